//! What a job made, read off the ledger: the report as JSON, as a page, and the list of files.

mod commands;
mod html;
mod looks;
mod lora;
mod people;
mod reliability;
mod takes;

use greenroom_domain::{
    CalibrationUsed, CharacterCalibration, Digest, Frames, Job, JobState, LoraUsed, Pack, Problem, ProblemKind,
    Project, Settings, ShotKey, Task, TaskKind, TaskOutput, TaskState, advice,
};
use greenroom_schedule::{ScriptPlan, best_take, takes as seen_takes};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::{farm::Farm, ledger::LedgerError, push};
use takes::TakeReport;

/// A calibration of more bytes is none.
const CALIBRATION_LIMIT: u64 = 1 << 20;

/// A report in every form.
pub(crate) struct Built {
    pub json: String,
    pub html: String,
    /// Relative path and content of each file.
    pub files: Vec<(String, Digest)>,
}

/// The report. Fields are only ever added; `version` grows when one changes its meaning.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    head: Head,
    settings: Settings,
    script: Digest,
    pack: PackUsed,
    cast: Vec<CastUsed>,
    shots: Vec<ShotReport>,
    episode: Option<EpisodeReport>,
    /// Seconds of work by stage, over all tasks that were run (not reused) for this job.
    timings: BTreeMap<String, f64>,
}

/// With which every report begins.
#[derive(Debug, Serialize)]
struct Head {
    version: u32,
    greenroom: &'static str,
    job: String,
    project: String,
    title: String,
    state: &'static str,
}

impl Head {
    fn of(project: &Project, job: &Job) -> Self {
        Self {
            version: 1,
            greenroom: env!("CARGO_PKG_VERSION"),
            job: job.id.to_string(),
            project: project.name.clone(),
            title: job.title.clone(),
            state: job.state.name(),
        }
    }
}

#[derive(Debug, Serialize)]
struct PackUsed {
    name: String,
    version: u32,
    digest: Digest,
    models: BTreeMap<String, Digest>,
}

#[derive(Debug, Serialize)]
struct CastUsed {
    character: String,
    profile: Digest,
    /// Which curve of its own its cosines were read by; none is the pack's.
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<CalibrationUsed>,
    /// What that curve is and what it was made from; none too where the artifact is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    curve: Option<CharacterCalibration>,
    /// The LoRA that its takes were generated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<LoraUsed>,
    /// What the real person allows now.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent: Option<people::ConsentUsed>,
    /// The day on which it was forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    forgotten: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShotReport {
    shot: ShotKey,
    heading: String,
    framing: greenroom_domain::Framing,
    camera: greenroom_domain::CameraMove,
    action: String,
    dialogue: Vec<greenroom_domain::Line>,
    expected: Vec<String>,
    prompt: String,
    frames: Frames,
    accepted: bool,
    chosen_take: Option<u32>,
    /// What could be done about the chosen take, most urgent first.
    recommendations: Vec<String>,
    takes: Vec<TakeReport>,
}

#[derive(Debug, Serialize)]
struct EpisodeReport {
    file: &'static str,
    digest: Digest,
    frames: Frames,
    seconds: f64,
}

/// Reads the report of a job that has ended: of a script's, or of a LoRA's.
pub(crate) async fn build(farm: &Farm, project: &Project, job: &Job) -> Result<Built, LedgerError> {
    let tasks = farm.store.tasks(job.id).await?;
    // What was done of a job of commands is of use whatever became of the rest.
    if job.state.is_final() && tasks.iter().any(|t| t.kind == TaskKind::Command) {
        return commands::build(project, job, &tasks);
    }
    let unready = |cause: &str, remedy: &str| {
        Problem::new(ProblemKind::Conflict, "read report", job.id.to_string(), cause, remedy)
    };
    match &job.state {
        JobState::Done { .. } | JobState::Draft { .. } => {}
        JobState::Active => {
            return Err(unready("the job is still active", "watch it and ask again when it has ended").into());
        }
        JobState::Failed { .. } => {
            return Err(unready("the job failed", "watch it: its problem is told at the end").into());
        }
        JobState::Cancelled { .. } => return Err(unready("the job was cancelled", "push the script again").into()),
    }
    if tasks.iter().any(|t| matches!(t.kind, TaskKind::Collect | TaskKind::Convert)) {
        return lora::build(farm, project, job, &tasks).await;
    }
    if !tasks.iter().any(|t| t.kind == TaskKind::Breakdown) {
        return Err(unready("a profile job makes nothing to report", "ask for a script's job, or a LoRA's").into());
    }
    let plan = push::load_plan(farm, job).await?;
    let mut cast = cast(farm, &plan).await;
    people::add(farm, project, &mut cast).await?;
    let report = report(project, job, &farm.pack, &plan, &tasks, cast);
    let files = files(&tasks, &report.shots);
    let pictures = report.shots.iter().flat_map(|shot| &shot.takes).map(|take| take.thumbnail);
    let thumbnails = html::thumbnails(farm, pictures).await;
    let json = serde_json::to_string_pretty(&report)
        .map_err(|e| Problem::new(ProblemKind::Internal, "write report", &job.title, e, "report this as a bug"))?;
    Ok(Built { json, html: html::page(&report, &thumbnails, &farm.pack.identity.calibration), files })
}

/// Everybody's profile and curve. A calibration that cannot be read is left out: the report is still useful.
async fn cast(farm: &Farm, plan: &ScriptPlan) -> Vec<CastUsed> {
    let mut cast = Vec::new();
    for member in &plan.cast {
        let mut curve = None;
        if let Some(used) = &member.calibration {
            let bytes = farm.artifacts.get_bytes(used.calibration, CALIBRATION_LIMIT).await;
            curve = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        }
        let (character, profile) = (member.character.clone(), member.profile);
        let (calibration, lora) = (member.calibration.clone(), member.lora.clone());
        cast.push(CastUsed { character, profile, calibration, curve, lora, consent: None, forgotten: None });
    }
    cast
}

fn report(project: &Project, job: &Job, pack: &Pack, plan: &ScriptPlan, tasks: &[Task], cast: Vec<CastUsed>) -> Report {
    let models = pack.model.iter().map(|m| (m.file.clone(), m.sha256)).collect();
    let shots = plan.breakdown.scenes.iter().flat_map(|scene| {
        scene.shots.iter().map(|shot| {
            let (seen, noise) = (seen_takes(tasks, shot.key), plan.diffusion.repair.seed_noise);
            let best = best_take(&seen, noise);
            ShotReport {
                shot: shot.key,
                heading: scene.heading.text.clone(),
                framing: shot.framing,
                camera: shot.camera,
                action: shot.action.clone(),
                dialogue: shot.dialogue.clone(),
                expected: shot.expected.clone(),
                prompt: shot.prompt.positive.clone(),
                frames: shot.duration,
                accepted: best.is_some_and(|take| take.verdict.decision.is_accept()),
                chosen_take: best.map(|take| take.number),
                recommendations: best.map_or_else(Vec::new, |t| advice(shot.key, t.verdict, plan.settings.gate)),
                takes: takes::of(&seen, tasks, shot.key, noise),
            }
        })
    });
    Report {
        head: Head::of(project, job),
        settings: plan.settings.clone(),
        script: plan.script,
        pack: PackUsed { name: pack.name.clone(), version: pack.version, digest: plan.pack, models },
        cast,
        shots: shots.collect(),
        episode: tasks.iter().find_map(|t| match t.output() {
            Some(TaskOutput::Episode { episode, duration, .. }) => Some(EpisodeReport {
                file: "episode.mp4",
                digest: *episode,
                frames: *duration,
                seconds: plan.settings.fps.seconds(*duration),
            }),
            _ => None,
        }),
        timings: timings(tasks),
    }
}

/// `generate`, `generate/decode` …: the kind's leased time, and what the worker said it spent inside.
fn timings(tasks: &[Task]) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for task in tasks {
        let TaskState::Done { output, seconds, reused: false, .. } = &task.state else { continue };
        *sums.entry(task.kind.to_string()).or_default() += seconds;
        let inside = match output {
            TaskOutput::Take { timings, .. }
            | TaskOutput::Verdict { timings, .. }
            | TaskOutput::Episode { timings, .. }
            | TaskOutput::Lora { timings, .. }
            | TaskOutput::Converted { timings, .. }
            | TaskOutput::Command { timings, .. }
            | TaskOutput::Proof { timings, .. } => timings,
            TaskOutput::Profile { .. }
            | TaskOutput::Calibration { .. }
            | TaskOutput::Breakdown { .. }
            | TaskOutput::Dataset { .. }
            | TaskOutput::Forgotten => continue,
        };
        for (stage, seconds) in inside {
            *sums.entry(format!("{}/{stage}", task.kind)).or_default() += seconds;
        }
    }
    sums
}

fn files(tasks: &[Task], shots: &[ShotReport]) -> Vec<(String, Digest)> {
    let Some(TaskOutput::Episode { episode, clips, contact_sheet, .. }) =
        tasks.iter().filter(|t| t.kind == TaskKind::Assemble).find_map(Task::output)
    else {
        return vec![];
    };
    let mut files = vec![("episode.mp4".to_owned(), *episode)];
    files.extend(clips.iter().map(|c| (format!("clips/{}.mp4", c.shot), c.video)));
    files.push(("contact-sheet.png".to_owned(), *contact_sheet));
    let strip = |take: &TakeReport| Some((take.strip.clone()?, take.verdict.looks.strip?));
    files.extend(shots.iter().flat_map(|shot| &shot.takes).filter_map(strip));
    files
}
