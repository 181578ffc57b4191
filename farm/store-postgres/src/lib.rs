//! The ledger in PostgreSQL, for a farm with more than one daemon.
//!
//! What a commit answered is on the server's disk. Every commit first takes the one row of `leader`, so writers take turns,
//! whoever they are: preconditions hold until the end, and the event log is numbered without gaps in commit order.
//!
//! Of several daemons one leads ([`PostgresStore::lead`]): it writes on the very session that holds an advisory lock, so
//! when the session ends, by a crash or a broken network, it can write no more, and only then can another one lead. A pooler
//! that shares sessions between transactions must not stand in between.

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
mod lead;
mod listen;
mod open;
mod place;
mod policy;
mod project;
mod row;
mod scrub;
mod task;
mod token;
mod user;
mod writer;

use async_trait::async_trait;
use greenroom_domain::{Event, ProblemKind};
use greenroom_store::{Batch, Result, Store};
use sqlx::{Connection, PgPool};
use std::{fmt, path::Path, sync::Arc};
use tokio::sync::Mutex;

use crate::{error::Failing, place::Place, writer::Writer};

pub use lead::Term;
pub use listen::Listener;

/// A ledger in one PostgreSQL database.
pub struct PostgresStore {
    place: Place,
    readers: PgPool,
    writer: Arc<Mutex<Writer>>,
}

impl PostgresStore {
    /// Opens the ledger of an address such as `postgres://USER:PASSWORD@HOST/DATABASE`, or makes a new one in an empty
    /// database, and brings its schema up to this build's, with a copy taken first. It may write at once, in turns with
    /// whoever else does; a daemon among several says [`Self::stand_by`] next.
    ///
    /// # Errors
    /// [`StoreError::Unusable`](greenroom_store::StoreError::Unusable) if the server cannot be reached, is too old or
    /// refuses the user, the database is missing or has another program's schema of the name, a newer build has written it,
    /// or it must be migrated while another daemon leads; the problem says which, and what to do.
    pub async fn open(url: &str) -> Result<Self> {
        let place = Place::parse(url).map_err(greenroom_store::StoreError::Unusable)?;
        open::prepare(&place).await?;
        let readers = open::readers(&place).await?;
        Ok(Self { place, readers, writer: Arc::new(Mutex::new(Writer::Anyone(None))) })
    }

    /// Puts the copy that was taken before the last migration in the ledger's place, and keeps what it replaces beside it
    /// until the next copy. Answers the schema's version, for a build that knows that one.
    ///
    /// # Errors
    /// If there is no copy, or a daemon leads.
    pub async fn restore(url: &str) -> Result<i64> {
        let place = Place::parse(url).map_err(greenroom_store::StoreError::Unusable)?;
        backup::restore(&place).await
    }

    /// Where it is, without the password.
    #[must_use]
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// Ends its sessions. A store that is dropped instead loses nothing.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, batch: Batch) -> Result<Vec<Event>> {
        const STEP: &str = "write ledger";
        let (writer, place) = (Arc::clone(&self.writer), self.place.clone());
        // A task of its own: once begun it comes to its end, even if whoever waits for it has gone, so that nobody else
        // waits for a turn that is never given back.
        let commit = tokio::spawn(async move { writer.lock().await.commit(&place, batch).await });
        commit.await.map_err(|error| greenroom_store::StoreError::io(STEP, error))?
    }

    async fn integrity_check(&self) -> Result<()> {
        let mut connection = self.readers.acquire().await.failing("check ledger", &self.place)?;
        check::all(&mut connection).await.failing("check ledger", &self.place)
    }

    async fn copy_to(&self, _: &Path) -> Result<()> {
        let (cause, remedy) = ("its server copies it", "use pg_dump, or what the server has for it");
        Err(error::unusable(ProblemKind::Conflict, "copy ledger", &self.place, cause, remedy))
    }

    async fn scrub(&self) -> Result<()> {
        const STEP: &str = "scrub ledger";
        let mut connection = self.place.connect().await.failing(STEP, &self.place)?;
        scrub::scrub(&mut connection).await.failing(STEP, &self.place)?;
        connection.close().await.failing(STEP, &self.place)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.place).finish_non_exhaustive()
    }
}
