//! Copies of the ledger, taken while the farm works: every day, and whenever somebody asks.
//!
//! A copy is a whole ledger in one SQLite file. The artifacts are not in it: they are named by their digests and never change,
//! so any tool that copies files keeps them. A ledger in PostgreSQL is its server's to back up.

use greenroom_domain::{Problem, ProblemKind};
use serde::Deserialize;
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{args::Config, clock, farm::Farm};

const STEP: &str = "back up ledger";
/// Copies are called greenroom-20270331T120000Z.db: sorted by name they are sorted by time.
const PREFIX: &str = "greenroom-";
const ENDING: &str = ".db";
/// Whether it is time is looked at so often.
const LOOK: Duration = Duration::from_secs(60);

/// What is kept: section `[backup]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Backup {
    /// Where; `backups` in the state folder unless said otherwise. Another disk is better.
    pub folder: Option<PathBuf>,
    /// How often; 0s for never.
    pub every: jiff::SignedDuration,
    /// So many of the newest.
    pub keep: usize,
}

impl Default for Backup {
    fn default() -> Self {
        Self { folder: None, every: jiff::SignedDuration::from_hours(24), keep: 7 }
    }
}

/// A copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub path: PathBuf,
    pub bytes: u64,
    pub taken: SystemTime,
}

/// Takes a copy now and lets go of the oldest.
pub(crate) async fn take(farm: &Farm) -> Result<Copied, Problem> {
    if farm.config.ledger.is_some() {
        let remedy = "back up the database with pg_dump, or with what your server has for it";
        let cause = "the ledger is in PostgreSQL, and its server knows best how to copy it";
        return Err(Problem::new(ProblemKind::Conflict, STEP, "ledger", cause, remedy));
    }
    let folder = folder(&farm.config);
    let fail = |e: io::Error| {
        let remedy = "free some space, or name another [backup] folder";
        Problem::new(ProblemKind::Unavailable, STEP, folder.display().to_string(), e, remedy)
    };
    std::fs::create_dir_all(&folder).map_err(fail)?;
    let path = folder.join(format!("{PREFIX}{}{ENDING}", clock::compact(clock::now())));
    farm.store.copy_to(&path).await.map_err(|e| e.problem())?;
    let mut copies = list(&farm.config).map_err(fail)?;
    for old in copies.split_off(farm.config.backup.keep.max(1).min(copies.len())) {
        std::fs::remove_file(&old.path).map_err(fail)?;
    }
    let missing = || fail(io::ErrorKind::NotFound.into());
    copies.into_iter().find(|copy| copy.path == path).ok_or_else(missing)
}

/// The copies that are kept, the newest first.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn list(config: &Config) -> io::Result<Vec<Copied>> {
    let files = match std::fs::read_dir(folder(config)) {
        Ok(files) => files.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => vec![],
        Err(error) => return Err(error),
    };
    let mut copies = vec![];
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && name.ends_with(ENDING) {
            let known = file.metadata()?;
            copies.push(Copied { path: file.path(), bytes: known.len(), taken: known.modified()? });
        }
    }
    copies.sort_by(|a, b| b.path.cmp(&a.path));
    Ok(copies)
}

/// Lets go of every copy: somebody is forgotten who is in them.
///
/// # Errors
/// If one cannot be removed.
pub(crate) fn forget(config: &Config) -> io::Result<()> {
    list(config)?.into_iter().try_for_each(|copy| std::fs::remove_file(copy.path))
}

/// Takes copies as often as was asked, while this daemon leads.
pub(crate) async fn run(farm: Arc<Farm>) {
    let every = farm.config.backup.every.unsigned_abs();
    if every.is_zero() || farm.config.ledger.is_some() {
        return;
    }
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = farm.stop.cancelled() => return,
        }
        let newest = list(&farm.config).unwrap_or_default().into_iter().next();
        let due = newest.is_none_or(|copy| clock::age(copy.taken) >= every);
        // An empty ledger is not worth a copy.
        if due && *farm.committed.borrow() > greenroom_domain::EventSeq(0) {
            match take(&farm).await {
                Ok(copy) => tracing::info!(path = %copy.path.display(), bytes = copy.bytes, "ledger.backup"),
                Err(problem) => tracing::error!(remedy = problem.remedy, "{problem}"),
            }
        }
    }
}

fn folder(config: &Config) -> PathBuf {
    config.backup.folder.clone().unwrap_or_else(|| config.state.join("backups"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::tests::farm_on;
    use greenroom_store::{Batch, ProjectStore as _, Store as _, conformance::sample};
    use greenroom_store_sqlite::SqliteStore;

    #[tokio::test]
    async fn a_copy_is_a_whole_ledger_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let farm = farm_on(folder.path()).await;
        farm.commit(Batch::new().insert_project(sample::project(1))).await.unwrap();
        let keep = farm.config.backup.keep;
        for n in 0..=keep {
            let path = super::folder(&farm.config).join(format!("{PREFIX}20200101T00000{n}Z{ENDING}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "old").unwrap();
        }
        let copy = take(&farm).await.unwrap();
        farm.commit(Batch::new().insert_project(sample::project(2))).await.unwrap();
        let copies = list(&farm.config).unwrap();
        assert_eq!((copies.len(), &copies[0]), (keep, &copy));
        let store = SqliteStore::open(&copy.path).await.unwrap();
        store.integrity_check().await.unwrap();
        assert_eq!(store.projects().await.unwrap().len(), 1);
        forget(&farm.config).unwrap();
        assert!(list(&farm.config).unwrap().is_empty());
    }
}
