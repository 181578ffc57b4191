//! What a change needs to be allowed, said once for every store: each function gets the rows that are there and the new one.

use greenroom_domain::{Character, Event, Forgotten, Job, LoraVersion, Policy, Project, Task};

use crate::{Expected, Result, StoreError, Unique};

mod access;

pub use access::{insert_token, insert_user, token_holder, update_token, update_user};

/// A new project: `same_id` and `same_name` are what the ledger has under its id and its name.
///
/// # Errors
/// If either is there.
pub fn insert_project(new: &Project, same_id: bool, same_name: bool) -> Result<()> {
    match (same_id, same_name) {
        (true, _) => Err(StoreError::Exists(Unique::Id(new.id.to_string()))),
        (_, true) => Err(StoreError::Exists(Unique::Project { name: new.name.clone() })),
        _ => Ok(()),
    }
}

/// A new revision: `latest` is the character's latest, `namesake` whoever has its name in the project now.
///
/// # Errors
/// If it is not the next revision, moves to another project, drops a calibration or a LoRA, or takes another character's name.
pub fn insert_character(new: &Character, latest: Option<&Character>, namesake: Option<&Character>) -> Result<()> {
    let last = latest.map_or(0, |c| c.revision);
    if new.revision <= last {
        return Err(StoreError::Exists(Unique::Revision { character: new.id, revision: new.revision }));
    }
    if new.revision - last > 1 {
        let id = format!("{} with revision {}", new.id, new.revision - 1);
        return Err(StoreError::Missing { noun: "character", id });
    }
    if let Some(old) = latest {
        let same = [
            ("project", old.project == new.project),
            ("calibrations", old.calibrations == new.calibrations),
            ("LoRAs", old.loras == new.loras),
        ];
        fixed("character", &new.id.to_string(), &same)?;
    }
    match namesake {
        Some(other) if other.id != new.id => Err(StoreError::Exists(Unique::Character { name: new.name.clone() })),
        _ => Ok(()),
    }
}

/// The state of a revision that is there as `old`.
///
/// # Errors
/// If it is not there, or more than its state and its references' qualities differ, new calibrations and LoRAs and which of
/// these is in force aside.
pub fn update_character(new: &Character, old: Option<&Character>) -> Result<()> {
    let missing = || missing("character", &format!("{} with revision {}", new.id, new.revision));
    let old = old.ok_or_else(missing)?;
    let pictures = |c: &Character| c.references.iter().map(|r| (r.name.clone(), r.digest)).collect::<Vec<_>>();
    let same = [
        ("project", old.project == new.project),
        ("name", old.name == new.name),
        ("references", pictures(old) == pictures(new)),
        ("description", old.description == new.description),
        ("calibrations", new.calibrations.starts_with(&old.calibrations)),
        ("LoRAs", continues(&new.loras, &old.loras)),
        ("consent", old.consent == new.consent),
        ("creation time", old.created == new.created),
    ];
    fixed("character", &new.id.to_string(), &same)
}

/// Whether every old version is there as it was but for its state, and at most one of each pack's is in force.
fn continues(new: &[LoraVersion], old: &[LoraVersion]) -> bool {
    let but_for_state =
        |old: &LoraVersion, new: &LoraVersion| *old == LoraVersion { state: old.state.clone(), ..new.clone() };
    let kept = new.len() >= old.len() && old.iter().zip(new).all(|(old, new)| but_for_state(old, new));
    let active = |version: &&LoraVersion| version.state.is_active();
    let mut packs: Vec<_> = new.iter().filter(active).map(|version| version.pack).collect();
    packs.sort_unstable();
    kept && packs.windows(2).all(|pair| pair[0] != pair[1])
}

/// A new job: `same_request` is the job that answers the same request already.
///
/// # Errors
/// If its id or its request is there.
pub fn insert_job(new: &Job, same_id: bool, same_request: Option<&Job>) -> Result<()> {
    match (same_id, same_request) {
        (true, _) => Err(StoreError::Exists(Unique::Id(new.id.to_string()))),
        (_, Some(job)) if answers(new) => Err(StoreError::Exists(Unique::Request { job: job.id })),
        _ => Ok(()),
    }
}

/// Whether the job answers its request: a cancelled or failed one does not.
#[must_use]
pub fn answers(job: &Job) -> bool {
    !matches!(job.state.name(), "cancelled" | "failed")
}

/// A job that is there as `old`.
///
/// # Errors
/// If it is not there, has ended, or its project, request, user or creation time differ.
pub fn update_job(new: &Job, old: Option<&Job>) -> Result<()> {
    let old = old.ok_or_else(|| missing("job", &new.id))?;
    open_job(old)?;
    let same = [
        ("project", old.project == new.project),
        ("request", old.request == new.request),
        ("user", old.user == new.user),
        ("creation time", old.created == new.created),
    ];
    fixed("job", &new.id.to_string(), &same)
}

/// A new task of `job`.
///
/// # Errors
/// If its id is there, or the job is not there or has ended.
pub fn insert_task(new: &Task, same_id: bool, job: Option<&Job>) -> Result<()> {
    if same_id {
        return Err(StoreError::Exists(Unique::Id(new.id.to_string())));
    }
    open_job(job.ok_or_else(|| missing("job", &new.job))?)
}

/// A task that is there as `old` and that the writer saw as `was`.
///
/// # Errors
/// If it is not there, was changed meanwhile, has ended, or differs in what is fixed.
pub fn update_task(new: &Task, was: Expected, old: Option<&Task>) -> Result<()> {
    let old = old.ok_or_else(|| missing("task", &new.id))?;
    if Expected::of(old) != was {
        return Err(StoreError::Stale { task: new.id });
    }
    if old.state.is_final() {
        return Err(StoreError::Final { noun: "task", id: new.id.to_string() });
    }
    let same = [
        ("job", old.job == new.job),
        ("shot", old.shot == new.shot),
        ("take", old.take == new.take),
        ("kind", old.kind == new.kind),
        ("creation time", old.created == new.created),
    ];
    fixed("task", &new.id.to_string(), &same)
}

/// A character that is there as `latest` is forgotten.
///
/// # Errors
/// If it is not there, or belongs to another project than is said.
pub fn forget(stone: &Forgotten, latest: Option<&Character>) -> Result<()> {
    let latest = latest.ok_or_else(|| missing("character", &stone.character))?;
    let same = [("project", latest.project == stone.project), ("revision", latest.revision == stone.revisions)];
    fixed("character", &stone.character.to_string(), &same)
}

/// Another character's revision that named something of the forgotten one.
///
/// # Errors
/// If it is not there, or is another.
pub fn rewrite_character(new: &Character, old: Option<&Character>) -> Result<()> {
    let old = old.ok_or_else(|| missing("character", &new.id))?;
    let same = [
        ("project", old.project == new.project),
        ("name", old.name == new.name),
        ("creation time", old.created == new.created),
    ];
    fixed("character", &new.id.to_string(), &same)
}

/// A job that ended and named something of the forgotten character.
///
/// # Errors
/// If it is not there, is another, has not ended, or another job answers its new request.
pub fn rewrite_job(new: &Job, old: Option<&Job>, same_request: Option<&Job>) -> Result<()> {
    let old = old.ok_or_else(|| missing("job", &new.id))?;
    let same = [
        ("project", old.project == new.project),
        ("state", old.state.name() == new.state.name() && old.state.is_final()),
        ("creation time", old.created == new.created),
    ];
    fixed("job", &new.id.to_string(), &same)?;
    match same_request {
        Some(job) if job.id != new.id && answers(new) => Err(StoreError::Exists(Unique::Request { job: job.id })),
        _ => Ok(()),
    }
}

/// A task that ended and named something of the forgotten character.
///
/// # Errors
/// If it is not there, is another, or has not ended.
pub fn rewrite_task(new: &Task, old: Option<&Task>) -> Result<()> {
    let old = old.ok_or_else(|| missing("task", &new.id))?;
    let same = [
        ("job", old.job == new.job),
        ("shot", old.shot == new.shot),
        ("take", old.take == new.take),
        ("kind", old.kind == new.kind),
        ("state", old.state.name() == new.state.name() && old.state.is_final()),
        ("creation time", old.created == new.created),
    ];
    fixed("task", &new.id.to_string(), &same)
}

/// An event that named something of the forgotten character.
///
/// # Errors
/// If it is not there, or tells of something else.
pub fn rewrite_event(new: &Event, old: Option<&Event>) -> Result<()> {
    let old = old.ok_or_else(|| missing("event", &new.seq.0))?;
    let kind = |e: &Event| std::mem::discriminant(&e.body);
    let same = [
        ("time", old.at == new.at),
        ("project", old.project == new.project),
        ("job", old.job == new.job),
        ("kind", kind(old) == kind(new)),
    ];
    fixed("event", &new.seq.0.to_string(), &same)
}

/// What became of belongings that the stone `old` names.
///
/// # Errors
/// If there is no such stone, or more than the belongings' fates differs.
pub fn update_forgotten(new: &Forgotten, old: Option<&Forgotten>) -> Result<()> {
    let old = old.ok_or_else(|| missing("forgotten character", &new.character))?;
    let named = |f: &Forgotten| f.belongings.iter().map(|b| (b.kind, b.digest, b.bytes)).collect::<Vec<_>>();
    let same = [
        ("project", old.project == new.project),
        ("name", old.name == new.name),
        ("time", old.at == new.at),
        ("belongings", named(old) == named(new)),
        ("footage", old.footage == new.footage),
    ];
    fixed("forgotten character", &new.character.to_string(), &same)
}

/// The next policy: `newest` is the one in force.
///
/// # Errors
/// If it is not the next revision.
pub fn set_policy(new: &Policy, newest: Option<&Policy>) -> Result<()> {
    let last = newest.map_or(0, |policy| policy.revision);
    if new.revision <= last {
        return Err(StoreError::Exists(Unique::Policy { revision: new.revision }));
    }
    if new.revision - last > 1 {
        return Err(missing("policy", &format!("with revision {}", new.revision - 1)));
    }
    Ok(())
}

/// The error for a row that is not there.
pub fn missing(noun: &'static str, id: &impl std::fmt::Display) -> StoreError {
    StoreError::Missing { noun, id: id.to_string() }
}

fn open_job(job: &Job) -> Result<()> {
    if job.state.is_final() { Err(StoreError::Final { noun: "job", id: job.id.to_string() }) } else { Ok(()) }
}

fn fixed(noun: &'static str, id: &str, same: &[(&'static str, bool)]) -> Result<()> {
    match same.iter().find(|(_, same)| !same) {
        Some((field, _)) => Err(StoreError::Fixed { noun, id: id.to_owned(), field }),
        None => Ok(()),
    }
}
