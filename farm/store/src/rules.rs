//! What a change needs to be allowed, said once for every store: each function gets the rows that are there and the new one.

use greenroom_domain::{Character, Job, Project, Task};

use crate::{Expected, Result, StoreError, Unique};

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
/// If it is not the next revision, moves to another project, drops a calibration, or takes another character's name.
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
        let carried_on = old.calibrations == new.calibrations;
        let same = [("project", old.project == new.project), ("calibrations", carried_on)];
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
/// If it is not there, or more than its state and its references' qualities differ, new calibrations aside.
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
        ("creation time", old.created == new.created),
    ];
    fixed("character", &new.id.to_string(), &same)
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
/// If it is not there, has ended, or more than title and state differ.
pub fn update_job(new: &Job, old: Option<&Job>) -> Result<()> {
    let old = old.ok_or_else(|| missing("job", &new.id))?;
    open_job(old)?;
    let same = [
        ("project", old.project == new.project),
        ("request", old.request == new.request),
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
