//! A template's step with one set of parameters → files and a log.

use greenroom_domain::{CommandFile, CommandPlan, CommandSpec, Problem, ProblemKind, TaskOutput};
use greenroom_openjd::session::wire::{Ended, Header, Opening, Order, Said};
use std::{
    ops::ControlFlow,
    path::{Component, Path},
    time::Duration,
};

use super::{Bench, Progress};
use crate::{
    clock::{Every, Timings},
    fault::Fault,
    session::{Heard, Session},
};

mod host;
mod log;

/// A plan, a template or a list of more bytes was not written by the daemon.
const PLAN_LIMIT: u64 = 256 << 20;
/// Files that one task may leave; the session keeps to it too.
const MOST_FILES: usize = 10_000;
/// The session is listened to for so long before the daemon is told how far it is.
const TICK: Duration = Duration::from_millis(100);
/// The daemon hears at least so often.
const WORD: Duration = Duration::from_secs(1);
/// A command that was asked to end has at most ten minutes by the standard, and a little to tell.
const STOPPING: Duration = Duration::from_secs(630);

pub(super) fn run(
    bench: &mut Bench,
    spec: &CommandSpec,
    scratch: &Path,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    let key = (spec.plan.to_string(), spec.step.clone());
    let mut timings = Timings::default();
    let warm = bench.session.take();
    let mut session = match warm.filter(|session| session.serves(&key)) {
        Some(session) => session,
        None => timings.of("open", || open(bench, spec, key, scratch))?,
    };
    session.order(&Order::Run { index: spec.index })?;
    let mut task = Running { log: log::Log::default(), files: vec![], said: (0.0, String::new()) };
    let ended = timings.of("run", || task.listen(bench, &mut session, progress))?;
    let log = bench.keep_bytes(task.log.text().into_bytes())?;
    match ended {
        Ended::Well => {
            bench.session = Some(session);
            Ok(TaskOutput::Command { files: task.files, log, timings: timings.seconds() })
        }
        Ended::Cancelled => {
            session.close();
            Err(Fault::cancelled())
        }
        Ended::Failed(cause) => {
            session.close();
            Err(failed(spec, &cause, &task.log))
        }
    }
}

struct Running {
    log: log::Log,
    files: Vec<CommandFile>,
    said: (f32, String),
}

impl Running {
    /// Listens until the task has ended, and passes on what it is told.
    fn listen(&mut self, bench: &Bench, session: &mut Session, progress: &mut Progress<'_>) -> Result<Ended, Fault> {
        let (mut word, mut tick, mut stopping) = (Every::new(WORD), Every::new(TICK), None);
        let mut told = None;
        loop {
            match session.hear(TICK)? {
                Some(Heard::Said(Said::Ended(ended))) => return Ok(ended),
                Some(Heard::Said(Said::Log { line, output })) => {
                    bench.log.add(if output { "output" } else { "info" }, &line);
                    self.log.add(&line, output);
                }
                Some(Heard::Said(Said::Progress { fraction })) => self.said.0 = fraction,
                Some(Heard::Said(Said::Status { text })) => self.said.1 = text,
                Some(Heard::File(Header { path, bytes, executable }, file)) => {
                    check(&path, self.files.len())?;
                    let digest = bench.keep(&file)?;
                    self.files.push(CommandFile { path, digest, bytes, executable });
                }
                Some(Heard::Said(Said::File(_))) | None => {}
            }
            match &mut stopping {
                None => {
                    let new = tick.is_due() && told.as_ref() != Some(&self.said);
                    if new || word.is_due() {
                        told = Some(self.said.clone());
                        if let ControlFlow::Break(()) = progress(self.said.0, self.words()) {
                            session.order(&Order::Cancel)?;
                            stopping = Some(Every::new(STOPPING));
                        }
                    }
                }
                Some(late) => {
                    if late.is_due() {
                        return Ok(Ended::Cancelled);
                    }
                }
            }
        }
    }

    fn words(&self) -> &str {
        if self.said.1.is_empty() { "running" } else { &self.said.1 }
    }
}

/// The session is as little to be trusted as what ran in it.
fn check(path: &str, files: usize) -> Result<(), Problem> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !path.is_empty() && files < MOST_FILES {
        return Ok(());
    }
    let cause = if plain { "it left too many files" } else { "it left a file outside of its folders" };
    Err(Problem::new(ProblemKind::Denied, "take files", path, cause, "look at what the template runs"))
}

/// A session for the tasks of one step, with what the steps before it left.
fn open(bench: &mut Bench, spec: &CommandSpec, key: (String, String), scratch: &Path) -> Result<Session, Fault> {
    let Some(commands) = bench.commands.clone() else {
        let remedy = "set [commands] enabled = true and a user in the daemon's configuration";
        return Err(Problem::new(
            ProblemKind::Denied,
            "run command",
            spec.name(),
            "this worker runs no commands",
            remedy,
        )
        .into());
    };
    if let Some(lacking) = spec.requires.unmet(&host::of_this_machine(&commands.scratch)) {
        let remedy = "start a worker on a machine that has it, or ask for less";
        let cause = format!("this machine is not what the step asks for: {lacking}");
        return Err(Fault::for_now(Problem::new(ProblemKind::Unavailable, "run command", spec.name(), cause, remedy)));
    }
    let text = |digest| -> Result<String, Fault> {
        let bytes = bench.runtime.block_on(bench.artifacts.get_bytes(digest, PLAN_LIMIT))?;
        String::from_utf8(bytes.into()).map_err(|e| unreadable(spec, &e).into())
    };
    let plan: CommandPlan = serde_json::from_str(&text(spec.plan)?).map_err(|e| unreadable(spec, &e))?;
    let inputs: Vec<CommandFile> = match spec.inputs {
        Some(inputs) => serde_json::from_str(&text(inputs)?).map_err(|e| unreadable(spec, &e))?,
        None => vec![],
    };
    let source = plan.source;
    let environments = source.environments.iter().map(|(name, digest)| Ok((name.clone(), text(*digest)?)));
    let opening = Opening {
        template: text(source.template)?,
        environments: environments.collect::<Result<_, Fault>>()?,
        file: source.file,
        parameters: source.parameters,
        template_folder: source.template_folder,
        working_folder: source.working_folder,
        paths: plan.paths,
        step: spec.step.clone(),
        scratch: commands.scratch.clone(),
    };
    let mut session = Session::start(&commands, key, &bench.scratch)?;
    session.order(&Order::Open(Box::new(opening)))?;
    loop {
        match session.hear(STOPPING)? {
            Some(Heard::Said(Said::Ended(Ended::Well))) => break,
            Some(Heard::Said(Said::Ended(Ended::Failed(cause)))) => {
                let remedy =
                    "look at [commands] in the daemon's configuration: its user must be able to make folders there";
                let problem = Problem::new(ProblemKind::Unavailable, "open session", spec.name(), cause, remedy);
                return Err(Fault::for_now(problem));
            }
            Some(_) => {}
            None => return Err(failed(spec, "its session does not open", &log::Log::default())),
        }
    }
    for file in inputs {
        let local = scratch.join("input");
        bench.fetch(file.digest, &local)?;
        session.put(Header { path: file.path, bytes: file.bytes, executable: file.executable }, &local)?;
        std::fs::remove_file(&local)?;
    }
    Ok(session)
}

/// It may be the machine's fault, so another attempt is made.
fn failed(spec: &CommandSpec, cause: &str, log: &log::Log) -> Fault {
    let last = log.last_words();
    let said = if last.is_empty() { String::new() } else { format!("; it said last: {last}") };
    let remedy = "mend the template, its parameters or what the command needs, and push again";
    let problem = Problem::new(ProblemKind::Conflict, "run command", spec.name(), format!("{cause}{said}"), remedy);
    Fault::for_now(problem)
}

fn unreadable(spec: &CommandSpec, cause: &dyn std::fmt::Display) -> Problem {
    let remedy = "install daemon and worker from one release, and push again";
    Problem::new(ProblemKind::Internal, "read plan", spec.name(), cause, remedy)
}
