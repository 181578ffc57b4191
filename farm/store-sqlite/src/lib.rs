//! The ledger in SQLite.
//!
//! One file in write-ahead mode with `synchronous = FULL`: what a commit answered is on the disk. All writes go through one
//! connection, one batch at a time; reads have a few connections of their own and never wait for a writer.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod audit;
mod backup;
mod batch;
mod bookmark;
mod character;
mod check;
mod error;
mod event;
mod forgotten;
mod job;
mod open;
mod policy;
mod project;
mod row;
mod scrub;
mod task;
mod token;
mod user;

use async_trait::async_trait;
use greenroom_domain::Event;
use greenroom_store::{Batch, Result, Store};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

use crate::error::{Error, Failing};

/// A ledger in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// None while it is in use, and where it was lost: then the next one is made.
    writer: Mutex<Option<SqliteConnection>>,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the ledger, or makes a new one where there is no file, and brings its schema up to this build's, with a copy taken
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Unusable`](greenroom_store::StoreError::Unusable) if the folder is missing or closed to writing, the
    /// file is something else, or a newer build has written it; the problem says which, and what to do.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let writer = open::writer(&path).await?;
        let readers = open::readers(&path).await?;
        Ok(Self { path, writer: Mutex::new(Some(writer)), readers })
    }

    /// Puts the copy that was taken before the last migration in the ledger's place, and keeps what it replaces beside it as
    /// `LEDGER.undone`. Answers the schema's version, for a build that knows that one. Nobody may have the ledger open.
    ///
    /// # Errors
    /// If there is no copy, or the files cannot be moved.
    pub fn restore(path: impl AsRef<Path>) -> Result<i64> {
        backup::restore(path.as_ref())
    }

    /// Puts a copy of a ledger in this one's place, and keeps what it replaces beside it as `LEDGER.undone`. Nobody may have
    /// the ledger open.
    ///
    /// # Errors
    /// If the copy is no whole ledger that this build can read, or the files cannot be moved.
    pub async fn restore_from(path: impl AsRef<Path>, copy: &Path) -> Result<()> {
        backup::restore_from(path.as_ref(), copy).await
    }

    /// The connection that writes, taken out of its place; a new one where it was lost.
    async fn connection(&self, place: &mut Option<SqliteConnection>) -> Result<SqliteConnection> {
        match place.take() {
            Some(connection) => Ok(connection),
            None => open::connect(&self.path).await,
        }
    }

    /// Writes everything back into the one file and lets go of it. A store that is dropped instead loses nothing; only its
    /// log stays beside the file until the next open.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn close(self) -> Result<()> {
        self.readers.close().await;
        match self.writer.into_inner() {
            Some(writer) => writer.close().await.failing("close ledger", &self.path),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, batch: Batch) -> Result<Vec<Event>> {
        const STEP: &str = "write ledger";
        let mut place = self.writer.lock().await;
        // Taken out for as long as it is used: a connection whose disk was full, or whose caller left in the middle, may take
        // itself to be in a transaction for ever. It is dropped, and what it had not committed with it.
        let mut writer = self.connection(&mut place).await?;
        let written = write(&mut writer, batch).await;
        if matches!(written, Ok(_) | Err(Error::Rule(_))) {
            *place = Some(writer);
        }
        written.failing(STEP, &self.path)
    }

    async fn integrity_check(&self) -> Result<()> {
        let mut connection = self.readers.acquire().await.failing("check ledger", &self.path)?;
        check::all(&mut connection).await.failing("check ledger", &self.path)
    }

    async fn copy_to(&self, file: &Path) -> Result<()> {
        let mut connection = self.readers.acquire().await.failing("copy ledger", &self.path)?;
        backup::copy(&mut connection, &self.path, file, "copy ledger").await
    }

    async fn scrub(&self) -> Result<()> {
        let mut place = self.writer.lock().await;
        let mut writer = self.connection(&mut place).await?;
        let scrubbed = scrub::scrub(&mut writer, &self.path).await.failing("scrub ledger", &self.path);
        *place = Some(writer);
        scrubbed
    }
}

/// All of it or nothing. Immediate: the write lock is taken before anything is read, so every precondition still holds at the end.
async fn write(writer: &mut SqliteConnection, batch: Batch) -> error::Query<Vec<Event>> {
    let mut transaction = writer.begin_with("begin immediate").await?;
    let written = async {
        batch::apply(&mut transaction, &batch.changes).await?;
        event::append(&mut transaction, batch.events).await
    };
    match written.await {
        Ok(events) => transaction.commit().await.map(|()| events).map_err(Error::from),
        Err(Error::Rule(error)) => {
            transaction.rollback().await?;
            Err(error.into())
        }
        Err(error) => Err(error),
    }
}
