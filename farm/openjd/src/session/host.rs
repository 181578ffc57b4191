//! The session's process: opens the working folder, enters environments, runs tasks one after the other, and cleans up.

use openjd_model::job;
use openjd_sessions::{ActionState, PathFormat, PathMappingRule, Session, SessionConfig};
use std::{
    cell::Cell,
    io::{self, BufRead},
    rc::Rc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    files::Outputs,
    log::Voice,
    tree,
    wire::{Ended, Opening, Order, Said, receive},
};
use crate::{
    space,
    template::{Documents, Template},
};

/// A session from its first order to its last. The environment that commands get is this process's own.
///
/// # Errors
/// If the worker has gone before it said anything, or says what cannot be understood.
pub fn serve(mut orders: impl BufRead + Send + 'static, environment: Vec<(String, String)>) -> io::Result<()> {
    let voice = Voice::take();
    let ended = |ended| voice.say(&Said::Ended(ended));
    let Some(Order::Open(opening)) = receive(&mut orders)? else { return Err(io::Error::other("nothing was opened")) };
    tree::adopt()?;
    let mut host = match Host::open(&opening, voice, environment) {
        Ok(host) => host,
        Err(cause) => {
            ended(Ended::Failed(cause));
            return Ok(());
        }
    };
    ended(Ended::Well);
    let mut next = receive(&mut orders)?;
    while let Some(Order::File(header)) = &next {
        host.outputs.put(header, &mut orders)?;
        next = receive(&mut orders)?;
    }
    host.outputs.settle()?;
    let (hear, heard) = unbounded_channel();
    if let Some(order) = next {
        let _ = hear.send(order);
    }
    std::thread::spawn(move || {
        while let Ok(Some(order)) = receive(&mut orders) {
            if hear.send(order).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(host.work(heard));
    Ok(())
}

struct Host {
    voice: &'static Voice,
    template: Template,
    step: job::Step,
    session: Session,
    outputs: Outputs,
    /// Of the environments that were entered.
    entered: Option<Vec<String>>,
    /// Goes with everything in it.
    folder: TempDir,
}

impl Host {
    fn open(opening: &Opening, voice: &'static Voice, environment: Vec<(String, String)>) -> Result<Self, String> {
        let documents = Documents {
            file: &opening.file,
            template: &opening.template,
            environments: &opening.environments,
            parameters: &opening.parameters,
            template_folder: &opening.template_folder,
            working_folder: &opening.working_folder,
        };
        let template = Template::read(documents).map_err(|problem| problem.to_string())?;
        let step = template.job.steps.iter().find(|step| step.name == opening.step).cloned();
        let step = step.ok_or_else(|| format!("the template has no step {}", opening.step))?;
        let unusable = |e: io::Error| format!("{}: {e}", opening.scratch.display());
        let folder = tempfile::Builder::new().prefix("greenroom-").tempdir_in(&opening.scratch).map_err(unusable)?;
        let written = match crate::template::format_of(&opening.template_folder) {
            greenroom_domain::PathFormat::Posix => PathFormat::Posix,
            greenroom_domain::PathFormat::Windows => PathFormat::Windows,
        };
        let mut farm: Vec<_> = opening.paths.iter().map(rule).collect();
        farm.sort_by_key(|rule| std::cmp::Reverse(rule.source_path.len()));
        let (outputs, mut rules) =
            Outputs::make(&template.paths, &folder.path().join("outputs"), &farm, written).map_err(unusable)?;
        // Of rules of one length the first counts, and those that lead to the session's own folders come first.
        rules.extend(farm);
        let session = Session::with_config(SessionConfig {
            session_id: "session".into(),
            job_parameter_values: template.values.clone(),
            path_mapping_rules: Some(rules),
            retain_working_dir: false,
            callback: Some(progress(voice)),
            os_env_vars: Some(environment.into_iter().collect()),
            session_root_directory: Some(folder.path().to_owned()),
            user: None,
            profile: Some(template.profile.clone()),
            cancel_token: None,
            sticky_bit_policy: Default::default(),
            debug_collect_stdout: false,
            echo_openjd_directives: true,
        });
        let session = session.map_err(|e| e.to_string())?;
        Ok(Self { voice, template, step, session, outputs, entered: None, folder })
    }

    async fn work(mut self, mut heard: UnboundedReceiver<Order>) {
        loop {
            match heard.recv().await {
                Some(Order::Run { index }) => {
                    let Some(ended) = self.task(index, &mut heard).await else { break };
                    self.voice.say(&Said::Ended(ended));
                }
                Some(Order::Close) => {
                    let ended = self.leave().await;
                    self.voice.say(&Said::Ended(ended));
                    break;
                }
                // There is nothing to cancel, and files come before the first task.
                Some(Order::Cancel | Order::File(_) | Order::Open(_)) => {}
                None => break,
            }
        }
        tree::end_children();
        self.session.cleanup();
        let _ = self.folder.close();
    }

    /// Runs a task while listening for its end; none where the worker has gone.
    async fn task(&mut self, index: u32, heard: &mut UnboundedReceiver<Order>) -> Option<Ended> {
        let (cancel, stop) = (self.session.cancel_handle(), Rc::new(Cell::new(false)));
        let mut run = Box::pin(self.run(index, stop.clone()));
        let mut told = false;
        loop {
            tokio::select! {
                ended = &mut run => {
                    return Some(if stop.get() && ended != Ended::Well { Ended::Cancelled } else { ended });
                }
                order = heard.recv() => match order {
                    Some(Order::Cancel) => stop.set(true),
                    Some(_) => {}
                    // Nobody waits for what runs: it is ended, not asked.
                    None => return None,
                },
                // Between two actions there is nothing to stop, so it is said until one hears it.
                () = tokio::time::sleep(Duration::from_millis(20)), if stop.get() && !told => {}
            }
            told = told || (stop.get() && cancel.cancel(None, false));
        }
    }

    async fn run(&mut self, index: u32, stop: Rc<Cell<bool>>) -> Ended {
        if self.entered.is_none()
            && let Err(cause) = self.enter(&stop).await
        {
            return Ended::Failed(cause);
        }
        if stop.get() {
            return Ended::Cancelled;
        }
        let task = match space::task(&self.template.file, &self.step, index as usize) {
            Ok(task) => task,
            Err(problem) => return Ended::Failed(problem.to_string()),
        };
        let symbols = self.step.resolved_symtab.as_ref();
        let ran = self.session.run_task(&self.step.name, &self.step.script, task.as_ref(), symbols, None).await;
        let result = match ran {
            Ok(result) => result,
            Err(error) => return Ended::Failed(self.session.redact(&error.to_string())),
        };
        let said = self.session.action_status().and_then(|status| status.fail_message);
        let said = said.map_or_else(String::new, |said| format!(": {}", self.session.redact(&said)));
        match result.state {
            ActionState::Success => match self.outputs.publish(self.voice) {
                Ok(()) => Ended::Well,
                Err(error) => Ended::Failed(format!("what it left cannot be read: {error}")),
            },
            ActionState::Canceled => Ended::Cancelled,
            ActionState::Timeout => Ended::Failed(format!("it ran longer than its time-out{said}")),
            ActionState::Failed | ActionState::Running => match result.exit_code {
                Some(code) => Ended::Failed(format!("exit code {code}{said}")),
                None => Ended::Failed(format!("it was killed{said}")),
            },
        }
    }

    /// Environments of other templates around the job's own, and those around the step's.
    async fn enter(&mut self, stop: &Cell<bool>) -> Result<(), String> {
        let of_job = self.template.job.job_environments.iter().flatten();
        let of_step = self.step.step_environments.iter().flatten();
        let all: Vec<_> = self.template.environments.iter().chain(of_job).chain(of_step).cloned().collect();
        self.entered = Some(Vec::new());
        for environment in all {
            if stop.get() {
                break;
            }
            let entered = self
                .session
                .enter_environment(&environment, environment.resolved_symtab.as_ref(), None, None)
                .await
                .map_err(|e| self.session.redact(&e.to_string()));
            // One whose onEnter failed counts as entered: its onExit cleans up after it.
            self.entered = Some(self.session.environments_entered().to_vec());
            entered?;
        }
        self.outputs.settle().map_err(|e| e.to_string())
    }

    /// Leaves the environments, the last one first; each is left, whatever became of the one before.
    async fn leave(&mut self) -> Ended {
        let mut ended = Ended::Well;
        for id in self.entered.take().unwrap_or_default().iter().rev() {
            if let Err(error) = self.session.exit_environment(id, None, false, None).await {
                ended = Ended::Failed(self.session.redact(&error.to_string()));
            }
        }
        ended
    }
}

fn progress(voice: &'static Voice) -> openjd_sessions::session::SessionCallbackType {
    let last = std::sync::Mutex::new(-1.0);
    Box::new(move |_, status| {
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(percent) = status.progress.filter(|percent| *percent != *last) {
            *last = percent;
            voice.say(&Said::Progress { fraction: (percent / 100.0) as f32 });
        }
    })
}

fn rule(rule: &greenroom_domain::PathRule) -> PathMappingRule {
    let source_path_format = match rule.format {
        greenroom_domain::PathFormat::Posix => PathFormat::Posix,
        greenroom_domain::PathFormat::Windows => PathFormat::Windows,
    };
    PathMappingRule { source_path_format, source_path: rule.from.clone(), destination_path: rule.to.clone() }
}
