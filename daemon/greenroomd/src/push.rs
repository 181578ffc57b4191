//! What people ask for becomes jobs: characters to profile, scripts to shoot.

use greenroom_domain::{
    CalibrationRevision, CalibrationUsed, CastMember, Character, CharacterState, Consent, Digest, Event, EventBody,
    EventSeq, Job, LoraUsed, Priority, Problem, ProblemKind, ProfileSpec, Project, Reference, Task, Timestamp,
};
use greenroom_schedule::{ScriptPlan, compile_profile, compile_script};
use greenroom_store::{Batch, StoreError, Unique};
use greenroom_story::{Cast, Direction};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    access, clock,
    farm::Farm,
    forget,
    ledger::{LedgerError, event, task_event},
};

/// A script of more bytes is no script: 4 MiB are two thousand pages.
const SCRIPT_LIMIT: u64 = 4 << 20;

/// A plan of more bytes was not written by this daemon.
const PLAN_LIMIT: u64 = 64 << 20;

/// What a push made.
pub(crate) struct Pushed<T> {
    /// The job or the character.
    pub value: T,
    /// Whether it is new; false where an equal request made it before.
    pub created: bool,
    /// What a person may want to know.
    pub notes: Vec<String>,
}

/// Turns a script that is already here into a job; `pictures` are the files that it names.
pub(crate) async fn script(
    farm: &Farm,
    project: &Project,
    file: &str,
    script: Digest,
    pictures: &BTreeMap<String, Digest>,
    whose: Whose,
) -> Result<Pushed<Job>, LedgerError> {
    let bytes = farm.artifacts.get_bytes(script, SCRIPT_LIMIT).await.map_err(|e| too_large(file, &e))?;
    let characters = farm.store.characters(project.id).await?;
    let cast: Vec<_> =
        characters.iter().map(|c| Cast { name: c.name.clone(), description: c.description.clone() }).collect();
    let text = greenroom_story::decode_script(&bytes, file)?;
    refuse_forgotten(farm, project, &greenroom_story::names(&text, file), &characters).await?;
    let direction = Direction { fps: project.settings.fps };
    let breakdown = if file.to_ascii_lowercase().ends_with(".toml") {
        greenroom_story::parse_shot(&text, file, &cast, &farm.pack, &direction, pictures)?
    } else {
        greenroom_story::break_down(&text, file, &cast, &farm.pack, &direction)?
    };
    let notes = breakdown.notes.clone();
    let plan = ScriptPlan {
        script,
        pack: farm.pack_digest,
        settings: project.settings.clone(),
        diffusion: farm.pack.diffusion.clone(),
        cast: ready_cast(&characters, &breakdown, farm.pack_digest, clock::now())?,
        breakdown,
    };
    let request = put_json(farm, &plan).await?;
    let breakdown = put_json(farm, &plan.breakdown).await?;
    let now = clock::now();
    let mut job = Job::new(clock::new_job(), project.id, plan.breakdown.title.clone(), request, now);
    (job.user, job.priority) = (whose.user, whose.priority);
    let tasks = compile_script(&plan, breakdown, job.id, now, &mut clock::new_task);
    insert(farm, job, tasks, Batch::new(), notes).await
}

/// Who pushes, and how urgent it is to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whose {
    /// As they say.
    pub user: String,
    /// How urgent.
    pub priority: Priority,
}

/// A character as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct NewCharacter {
    /// In any case.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// (file name, picture) of each.
    pub references: Vec<(String, Digest)>,
    /// The pictures show somebody who lives.
    pub real_person: bool,
    /// What that person allowed.
    pub consent: Option<Consent>,
}

/// Makes a character, or a new revision of one, and the job that profiles it.
pub(crate) async fn character(
    farm: &Farm,
    project: &Project,
    asked: NewCharacter,
) -> Result<Pushed<Character>, LedgerError> {
    let NewCharacter { name, description, references, real_person, consent } = asked;
    let name = name.trim().to_uppercase();
    check_character(&name, &references)?;
    let now = clock::now();
    let old = farm.store.character_by_name(project.id, &name).await?;
    let is_person = real_person || old.as_ref().is_some_and(|old| old.consent.is_some());
    let consent = match consent {
        Some(given) => Some(Consent::try_new(given, &name, now)?),
        None if is_person => return Err(Consent::missing(&name).into()),
        None => None,
    };
    let spec = ProfileSpec { pack: farm.pack_digest, character: name.clone(), references: references.clone() };
    let request = match &consent {
        None => Digest::of_json(&(&spec, &description)),
        Some(consent) => Digest::of_json(&(&spec, &description, consent)),
    };
    if let Some(old) = &old {
        let same = old.description == description
            && old.consent == consent
            && old.references.iter().map(|r| (&r.name, r.digest)).eq(references.iter().map(|(n, d)| (n, *d)));
        let answered = farm.store.job_by_request(project.id, request).await?;
        if same && answered.is_some() {
            return Ok(Pushed { value: old.clone(), created: false, notes: vec![] });
        }
    }
    let job = Job::new(clock::new_job(), project.id, name.clone(), request, now);
    let task = compile_profile(spec, clock::new_task(), job.id, now);
    let character = Character {
        id: old.as_ref().map_or_else(clock::new_character, |c| c.id),
        project: project.id,
        name,
        revision: old.as_ref().map_or(1, |c| c.revision + 1),
        calibrations: old.as_ref().map_or_else(Vec::new, |c| c.calibrations.clone()),
        loras: old.map_or_else(Vec::new, |c| c.loras),
        references: references.into_iter().map(|(name, digest)| Reference { name, digest, quality: None }).collect(),
        description,
        consent,
        state: CharacterState::Profiling { task: task.id },
        created: now,
    };
    access::about_part("characters", character.id);
    let body = EventBody::CharacterChanged { character: character.id, state: "profiling".into() };
    let batch = Batch::new().insert_character(character.clone()).event(event(&job, now, body));
    let pushed = insert(farm, job, vec![task], batch, vec![]).await?;
    Ok(Pushed { value: character, created: pushed.created, notes: vec![] })
}

/// Makes a project.
pub(crate) async fn project(farm: &Farm, project: Project) -> Result<Project, LedgerError> {
    let _turn = farm.writing.lock().await;
    let body = EventBody::ProjectCreated { name: project.name.clone() };
    let event = Event { seq: EventSeq(0), at: project.created, project: project.id, job: None, body };
    farm.commit(Batch::new().insert_project(project.clone()).event(event)).await?;
    Ok(project)
}

/// The plan that a script's job was made from.
pub(crate) async fn load_plan(farm: &Farm, job: &Job) -> Result<ScriptPlan, Problem> {
    read_plan(farm, job.request).await.map_err(|cause| {
        let remedy = "restore the artifact folder from a backup, or push the script again";
        Problem::new(ProblemKind::Unavailable, "read plan", job.id.to_string(), cause, remedy)
    })
}

/// The plan that an artifact is, or why it is none.
pub(crate) async fn read_plan(farm: &Farm, request: Digest) -> Result<ScriptPlan, String> {
    let bytes = farm.artifacts.get_bytes(request, PLAN_LIMIT).await.map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}

pub(crate) async fn insert(
    farm: &Farm,
    job: Job,
    tasks: Vec<Task>,
    batch: Batch,
    notes: Vec<String>,
) -> Result<Pushed<Job>, LedgerError> {
    let _turn = farm.writing.lock().await;
    access::about_part("jobs", job.id);
    // A user of the farm is who it is, whatever it says.
    let job = Job { user: Some(access::user()).filter(|user| !user.is_empty()).unwrap_or(job.user), ..job };
    let body = EventBody::JobCreated { title: job.title.clone(), tasks: tasks.len() as u32 };
    let mut batch = batch.insert_job(job.clone()).event(event(&job, job.created, body));
    for task in tasks {
        batch = batch.event(event(&job, job.created, task_event(&task))).insert_task(task);
    }
    match farm.commit(batch).await {
        Ok(()) => Ok(Pushed { value: job, created: true, notes }),
        Err(StoreError::Exists(Unique::Request { job })) => {
            let missing = StoreError::Missing { noun: "job", id: job.to_string() };
            let job = farm.store.job(job).await?.ok_or(missing)?;
            Ok(Pushed { value: job, created: false, notes })
        }
        Err(error) => Err(error.into()),
    }
}

/// A script that has somebody who was forgotten is refused, unless somebody else has the name by now.
async fn refuse_forgotten(
    farm: &Farm,
    project: &Project,
    names: &BTreeSet<String>,
    characters: &[Character],
) -> Result<(), LedgerError> {
    let stones = farm.store.forgotten(project.id).await?;
    for name in names.iter().filter(|name| characters.iter().all(|c| c.name != **name)) {
        if let Some(stone) = stones.iter().rev().find(|stone| stone.was_called(name)) {
            let remedy = "take the character out of the script, or make a new one of that name";
            return Err(forget::gone("push script", name, stone, remedy).into());
        }
    }
    Ok(())
}

/// Profiles of everybody who appears. Somebody whose references were refused, or are not measured yet, stops the push; so does
/// a real person whose consent has expired.
fn ready_cast(
    characters: &[Character],
    breakdown: &greenroom_domain::Breakdown,
    pack: Digest,
    now: Timestamp,
) -> Result<Vec<CastMember>, Problem> {
    let appears = |c: &&Character| breakdown.shots().any(|s| s.cast.contains(&c.name));
    let ended = |c: &Character| c.consent.as_ref().and_then(|consent| consent.expires).filter(|&end| end <= now);
    if let Some((c, end)) = characters.iter().filter(appears).find_map(|c| Some((c, ended(c)?))) {
        let cause = format!("the real person's consent held until {}", clock::last_day(end));
        let remedy = "make the character again with a new consent, or forget it";
        return Err(Problem::new(ProblemKind::Conflict, "push script", &c.name, cause, remedy));
    }
    characters
        .iter()
        .filter(appears)
        .map(|c| match &c.state {
            CharacterState::Ready { profile, .. } => {
                let used =
                    |last: &CalibrationRevision| CalibrationUsed { number: last.number, calibration: last.calibration };
                let own = c.calibration().filter(|last| last.summary.uncalibrated.is_none());
                let calibration = own.map(used);
                let lora = c.lora(pack).map(|version| LoraUsed { number: version.number, lora: version.lora });
                Ok(CastMember { character: c.name.clone(), profile: *profile, calibration, lora })
            }
            CharacterState::Profiling { .. } => Err(Problem::new(
                ProblemKind::Unavailable,
                "push script",
                &c.name,
                "its references are still being measured",
                "watch the character's job and push again when it is done",
            )),
            CharacterState::Refused { problem } => Err(Problem {
                step: "push script".into(),
                cause: format!("{} cannot be cast: {}: {}", c.name, problem.subject, problem.cause),
                ..problem.clone()
            }),
        })
        .collect()
}

fn check_character(name: &str, references: &[(String, Digest)]) -> Result<(), Problem> {
    let bad = |cause: &str, remedy: &str| Err(Problem::invalid("create character", name, cause, remedy));
    if name.is_empty() || name.contains('/') || name.chars().any(char::is_control) || name.chars().count() > 64 {
        return bad("a name has 1 to 64 characters, no slash and nothing unprintable", "name it as the script does");
    }
    match references.len() {
        0 => bad("there is no reference picture", "give one to three or more pictures with one face each"),
        65.. => bad("there are more than 64 reference pictures", "choose the best ones"),
        _ => Ok(()),
    }
}

pub(crate) async fn put_json<T: serde::Serialize>(farm: &Farm, value: &T) -> Result<Digest, Problem> {
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Problem::new(ProblemKind::Internal, "store plan", "artifacts", e, "report this as a bug"))?;
    farm.artifacts.put_bytes(bytes.into()).await.map_err(|e| e.problem())
}

fn too_large(file: &str, error: &greenroom_artifacts::ArtifactError) -> Problem {
    Problem::invalid("read script", file, error, "push a screenplay of at most 4 MiB")
}
