//! `greenroom run`

use clap::Args;
use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1;
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::Code;

use super::{Context, Ended, character, learn, steps};
use crate::{
    cast,
    connection::Farm,
    embedded::{self, Choices, EmbeddedFarm},
    environment,
    failure::Failure,
    json,
    names::ProjectName,
    output::Output,
    settings::{self, SetArgs},
    summary,
};

/// Film a whole script: make the cast, push, watch, and pull everything that was made.
///
/// Where a daemon is configured, it does the work. Where none is, a farm of our own is started for this run, keeps what it
/// makes below OUT/.farm, and ends with the run. The same script, cast and OUT again do no work again.
///
/// OUT gets episode.mp4, clips/*.mp4, contact-sheet.png, report.html and report.json. Ctrl-C cancels the job first.
///
/// Exit codes: 0 all shots accepted, 3 finished with drafts, 1 a problem, 2 usage, 130 interrupted.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Script to film (Fountain), or one shot (.toml)
    script: PathBuf,
    /// Folder of characters: a folder each, with pictures and, if wanted, a character.toml (name, description; real_person and a consent table for somebody who lives)
    #[arg(long, value_name = "DIR")]
    cast: PathBuf,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Project to work in; made if it is not there [default: called after the script]
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    /// Then learn the cast (a LoRA for everybody with five pictures or more), and film again with what is proved to be better: OUT/learnt gets that film, OUT/loras/NAME the proof
    #[arg(long)]
    learn: bool,
    #[command(flatten)]
    set: SetArgs,
    /// Models of our own farm [default: the daemon's choice]
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Threads of our own farm's worker [default: the daemon's choice]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
}

/// A daemon has this long to take a cancellation.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);

impl Run {
    /// Films.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        // Everything that can be wrong here is found before anything is started.
        let cast = cast::read(&self.cast)?;
        if let Err(error) = std::fs::File::open(&self.script) {
            let subject = self.script.display().to_string();
            return Err(Problem::invalid("read script", subject, error, "name a file that can be read").into());
        }
        let (mut embedded, farm) = self.farm(context).await?;
        let job = RefCell::new(None);
        let result = tokio::select! {
            result = Box::pin(self.film(context, &farm, &cast, &job)) => result,
            problem = ended(&mut embedded) => Err(problem.into()),
            () = environment::interrupted() => Err(Failure::Interrupted),
        };
        if result == Err(Failure::Interrupted)
            && let Some(name) = job.take()
        {
            cancel(&farm, name).await;
            context.output.note("the job is cancelled; the same command goes on from what is done");
        }
        if let Some(embedded) = embedded {
            embedded.stop().await;
        }
        result
    }

    /// The configured daemon, or one of our own.
    async fn farm(&self, context: &Context) -> Result<(Option<EmbeddedFarm>, Farm), Failure> {
        if context.config.address.value.is_some() {
            if self.pack.is_some() || self.threads.is_some() {
                context
                    .output
                    .note("--pack and --threads are for a farm of our own; the configured daemon has its own");
            }
            return Ok((None, Farm::configured(&context.config).await?));
        }
        let program = embedded::find(&context.environment)?;
        let choices = Choices { pack: self.pack.clone(), threads: self.threads };
        let state = self.out.join(".farm");
        let start = EmbeddedFarm::start(&program, &state, &choices);
        let embedded = tokio::select! {
            started = start => started?,
            () = environment::interrupted() => return Err(Failure::Interrupted),
        };
        match embedded.connect().await {
            Ok(farm) => Ok((Some(embedded), farm)),
            Err(problem) => {
                embedded.stop().await;
                Err(problem.into())
            }
        }
    }

    async fn film(
        &self,
        context: &Context,
        farm: &Farm,
        cast: &[cast::CastMember],
        current: &RefCell<Option<String>>,
    ) -> Ended {
        let output = &context.output;
        let project = self
            .project
            .clone()
            .unwrap_or_else(|| ProjectName::from_file(&self.script.file_stem().unwrap_or_default().to_string_lossy()));
        self.project(farm, &project).await?;
        let mut characters = Vec::new();
        for member in cast {
            characters.push(steps::create_character(farm, output, &project, member).await?);
        }
        for character in &mut characters {
            current.replace(Some(character.job.clone()).filter(|job| !job.is_empty()));
            *character = steps::profiled(farm, output, character.clone()).await?;
            output.say(&[character::line(character)]);
        }
        current.replace(None);
        let filming = Filming { farm, output, project: &project, script: &self.script, current };
        let first = filming.film(&self.out).await?;
        let (mut document, mut lines) = (first.document(), first.lines.clone());
        let mut last = first.summary;
        if self.learn {
            output.say(&first.lines);
            let learnt = learn::learn(&filming, &characters, &self.out).await?;
            document["loras"] = learnt.loras.into();
            lines = learnt.lines;
            if let Some(again) = learnt.again {
                document["learnt"] = again.document();
                lines.extend(again.lines);
                last = again.summary;
            }
        }
        output.answer(&document, &lines);
        Ok(last.outcome())
    }

    /// Makes the project, or finds that it is there with the settings that were asked for.
    async fn project(&self, farm: &Farm, name: &ProjectName) -> Result<(), Problem> {
        let settings = self.set.to_wire();
        let mut found = farm.projects().get_project(v1::GetProjectRequest { name: name.to_string() }).await;
        if found.as_ref().is_err_and(|status| status.code() == Code::NotFound) {
            let (project_id, settings) = (name.id().to_owned(), Some(settings.clone()));
            found = farm.projects().create_project(v1::CreateProjectRequest { project_id, settings }).await;
        }
        let project = match found {
            Ok(project) => project.into_inner(),
            Err(status) => return Err(farm.problem(status).await),
        };
        match settings::difference(&settings, &project.settings.unwrap_or_default()) {
            None => Ok(()),
            Some(difference) => Err(Problem::new(
                ProblemKind::Conflict,
                "open project",
                name.id(),
                format!("it was made with other settings: {difference}"),
                "leave --set out, or give --project a new name",
            )),
        }
    }
}

/// A script on its way through a farm.
pub(super) struct Filming<'a> {
    pub(super) farm: &'a Farm,
    pub(super) output: &'a Output,
    project: &'a ProjectName,
    script: &'a Path,
    /// The job that an interruption cancels.
    pub(super) current: &'a RefCell<Option<String>>,
}

/// A film that was made.
pub(super) struct Filmed {
    job: String,
    answer: v1::PushScriptResponse,
    pub(super) summary: summary::Summary,
    files: Vec<PathBuf>,
    /// What came of it and where it lies.
    pub(super) lines: Vec<String>,
}

impl Filming<'_> {
    /// Pushes, watches and pulls.
    pub(super) async fn film(&self, out: &Path) -> Result<Filmed, Failure> {
        let (job, answer) =
            steps::push(self.farm, self.output, self.project, self.script, steps::Whose::default()).await?;
        answer.notes.iter().for_each(|note| self.output.note(note));
        self.current.replace(Some(job.name.clone()));
        let job = steps::watch(self.farm, &job.name, self.output.job_in_passing()).await?;
        let summary = summary::end(&job)?;
        let files = steps::pull(self.farm, self.output, &job.name, out).await?;
        self.current.replace(None);
        let mut lines = summary.lines();
        lines.extend(where_to_look(out, &files));
        Ok(Filmed { job: job.name, answer, summary, files, lines })
    }
}

impl Filmed {
    pub(super) fn document(&self) -> Value {
        let mut document = json::summary(&self.summary);
        document["job"] = json!(self.job);
        document["created"] = json!(self.answer.created);
        document["notes"] = json!(self.answer.notes);
        document["files"] = self.files.iter().map(|file| file.display().to_string()).collect();
        document
    }
}

/// The end of our own farm before its time; a configured one has nothing to tell.
async fn ended(embedded: &mut Option<EmbeddedFarm>) -> Problem {
    match embedded {
        Some(farm) => farm.ended().await,
        None => std::future::pending().await,
    }
}

/// Asks the farm to stop a job; a farm that is away has stopped it too.
async fn cancel(farm: &Farm, name: String) {
    let mut jobs = farm.jobs();
    let request = jobs.cancel_job(v1::CancelJobRequest { name });
    let _ = tokio::time::timeout(CANCEL_WITHIN, request).await;
}

/// Every file, clips together.
pub(super) fn where_to_look(out: &Path, files: &[PathBuf]) -> Vec<String> {
    let (clips, rest): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.parent() == Some(&out.join("clips")));
    let mut lines = vec![String::new(), "Where to look:".to_owned()];
    lines.extend(rest.iter().map(|file| format!("  {}", file.display())));
    if !clips.is_empty() {
        let clip = if clips.len() == 1 { "clip" } else { "clips" };
        lines.insert(lines.len().min(3), format!("  {} ({} {clip})", out.join("clips").display(), clips.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_named_by_their_folder() {
        let files = ["o/episode.mp4", "o/clips/1-1.mp4", "o/clips/1-2.mp4", "o/report.html"].map(PathBuf::from);
        let expected = ["", "Where to look:", "  o/episode.mp4", "  o/clips (2 clips)", "  o/report.html"];
        assert_eq!(where_to_look(Path::new("o"), &files), expected);
    }
}
