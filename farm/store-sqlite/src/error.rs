//! What SQLite says, told as the store's errors.

use greenroom_domain::{Problem, ProblemKind};
use greenroom_store::{Result, StoreError};
use std::path::Path;

/// What a query answers: its value, a broken rule, or SQLite's own error, which does not know its file yet.
pub(crate) type Query<T> = std::result::Result<T, Error>;

/// Why a query failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The store's rules.
    Rule(StoreError),
    /// The database.
    Sql(sqlx::Error),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Rule(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// Gives an error its step and its file.
pub(crate) trait Failing<T> {
    fn failing(self, step: &'static str, path: &Path) -> Result<T>;
}

impl<T, E: Into<Error>> Failing<T> for std::result::Result<T, E> {
    fn failing(self, step: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| match error.into() {
            Error::Rule(error) => error,
            Error::Sql(error) => told(step, path, error),
        })
    }
}

/// A ledger that a person must do something about.
pub(crate) fn unusable(
    kind: ProblemKind,
    step: &str,
    path: &Path,
    cause: impl std::fmt::Display,
    remedy: &str,
) -> StoreError {
    StoreError::Unusable(Problem::new(kind, step, path.display().to_string(), cause, remedy))
}

fn told(step: &'static str, path: &Path, error: sqlx::Error) -> StoreError {
    // The low byte is SQLite's primary result code; the rest only refines it.
    let code = error.as_database_error().and_then(|e| e.code()).and_then(|c| c.parse::<u32>().ok()).map(|c| c & 0xff);
    match code {
        Some(5 | 6) => {
            let remedy = "stop the other program that has the ledger open";
            unusable(ProblemKind::Unavailable, step, path, "another program keeps it locked", remedy)
        }
        Some(8) => {
            let remedy = "let the daemon's user write the file and its folder";
            unusable(ProblemKind::Denied, step, path, "the file cannot be written", remedy)
        }
        Some(11) => StoreError::Corrupt(format!("{}: {error}", path.display())),
        Some(13) => {
            unusable(ProblemKind::Unavailable, step, path, "the disk is full", "free some space on it and try again")
        }
        Some(26) => {
            let remedy = "name another file, or move this one away to start a new ledger";
            unusable(ProblemKind::Invalid, step, path, "the file is not a database", remedy)
        }
        _ => StoreError::io(step, error),
    }
}

#[cfg(test)]
mod tests {
    use crate::SqliteStore;
    use greenroom_domain::Project;
    use greenroom_store::{Batch, ProjectStore, Store, conformance::sample};

    #[tokio::test]
    async fn a_full_disk_refuses_the_batch_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let store = SqliteStore::open(&path).await.unwrap();
        // SQLite answers a file that may not grow as it answers a disk that is full.
        sqlx::query("pragma max_page_count = 60").execute(store.writer.lock().await.as_mut().unwrap()).await.unwrap();
        let mut written = 0;
        let error = loop {
            let name = format!("{written}-{}", "x".repeat(4_000));
            let project = Project { name, ..sample::project(written) };
            match store.commit(Batch::new().insert_project(project)).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), format!("write ledger: {}: the disk is full", path.display()));
        assert_eq!(error.problem().remedy, "free some space on it and try again");
        assert_eq!(store.projects().await.unwrap().len(), written as usize);
        store.integrity_check().await.unwrap();
        // There is room again: it goes on as if nothing had been.
        store.commit(Batch::new().insert_project(sample::project(written))).await.unwrap();
        assert_eq!(store.projects().await.unwrap().len(), written as usize + 1);
    }
}
