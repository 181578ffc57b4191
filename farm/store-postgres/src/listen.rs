//! Hearing of what others commit.

use greenroom_domain::EventSeq;
use greenroom_store::{EventStore, Result};
use sqlx::postgres::PgListener;

use crate::{PostgresStore, error::Failing};

const STEP: &str = "listen to ledger";

/// Hears of events that anybody commits.
#[derive(Debug)]
pub struct Listener<'a> {
    store: &'a PostgresStore,
    listener: PgListener,
}

impl PostgresStore {
    /// Begins to listen.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn listen(&self) -> Result<Listener<'_>> {
        let mut listener = PgListener::connect_with(&self.readers).await.failing(STEP, &self.place)?;
        listener.listen("greenroom_events").await.failing(STEP, &self.place)?;
        Ok(Listener { store: self, listener })
    }
}

impl Listener<'_> {
    /// The last event once more of them were committed. Nothing is missed: after a break in the connection, the log is asked.
    ///
    /// # Errors
    /// If the database cannot be reached any more.
    pub async fn next(&mut self) -> Result<EventSeq> {
        let heard = self.listener.try_recv().await.failing(STEP, &self.store.place)?;
        match heard.and_then(|told| told.payload().parse().ok()) {
            Some(seq) => Ok(EventSeq(seq)),
            None => self.store.last_seq().await,
        }
    }
}
