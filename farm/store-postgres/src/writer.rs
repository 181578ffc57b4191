//! Whoever writes, and on which session.

use greenroom_domain::{Event, ProblemKind};
use greenroom_store::{Batch, Result, StoreError};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::sync::watch;

use crate::{
    batch,
    error::{Error, Failing, Query, away, unusable},
    event,
    place::Place,
};

const STEP: &str = "write ledger";

/// A commit that takes longer is given up with its session: a server that is cut off says nothing at all.
const WITHIN: Duration = Duration::from_secs(20);

/// The writing side of a store.
#[derive(Debug)]
pub(crate) enum Writer {
    /// Writes whenever it is its turn; its session is made anew where it was lost.
    Anyone(Option<PgConnection>),
    /// Writes nothing: it does not lead. Knows who does.
    Standby,
    /// Writes on the session that holds the leader's lock, and on no other.
    Leader(Leader),
}

/// What a leader has.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) session: PgConnection,
    /// The number of its term; every commit compares it with the ledger's.
    pub(crate) epoch: i64,
    /// Dropped with the rest, and so heard of by whoever waits for the end of the term.
    pub(crate) _term: watch::Sender<()>,
}

impl Writer {
    /// All of it or nothing.
    pub(crate) async fn commit(&mut self, place: &Place, batch: Batch) -> Result<Vec<Event>> {
        let (session, epoch) = match self {
            Self::Leader(leader) => (&mut leader.session, Some(leader.epoch)),
            Self::Standby => return Err(not_leading(place)),
            Self::Anyone(Some(session)) => (session, None),
            Self::Anyone(none) => (none.insert(place.connect().await.failing(STEP, place)?), None),
        };
        let answer = tokio::time::timeout(WITHIN, transaction(session, epoch, batch)).await;
        let broken = answer.as_ref().map_or(true, |answer| answer.as_ref().is_err_and(Error::is_broken));
        if broken {
            self.let_go();
        }
        let late = |_| away(STEP, place, format!("the server did not answer within {} s", WITHIN.as_secs()));
        answer.map_err(late)?.failing(STEP, place)
    }

    /// Asks the leader's session whether it still is; ends the term if not. Answers whether a term goes on.
    pub(crate) async fn leads_on(&mut self, within: Duration) -> bool {
        let Self::Leader(leader) = self else { return false };
        let epoch = leader.epoch;
        let asked = sqlx::query_scalar::<_, i64>("select epoch from leader").fetch_one(&mut leader.session);
        if !matches!(tokio::time::timeout(within, asked).await, Ok(Ok(now)) if epoch == now) {
            self.let_go();
        }
        matches!(self, Self::Leader(_))
    }

    /// Drops the session as it is, without another word to the server.
    pub(crate) fn let_go(&mut self) {
        *self = match self {
            Self::Anyone(_) => Self::Anyone(None),
            Self::Standby | Self::Leader(_) => Self::Standby,
        };
    }

    /// Ends the session in good order; it writes no more.
    pub(crate) async fn close(&mut self) {
        if let Self::Anyone(Some(session)) | Self::Leader(Leader { session, .. }) =
            std::mem::replace(self, Self::Standby)
        {
            // The server ends the session anyway once the connection is gone.
            let _ = session.close().await;
        }
    }
}

async fn transaction(session: &mut PgConnection, epoch: Option<i64>, batch: Batch) -> Query<Vec<Event>> {
    // Each statement sees what was committed before it, so after the wait for its turn everything; whatever the database's
    // own setting is.
    let mut transaction = session.begin_with("begin isolation level read committed read write").await?;
    match write(&mut transaction, epoch, batch).await {
        Ok(events) => transaction.commit().await.map(|()| events).map_err(Error::from),
        Err(error) => {
            // At once: others wait for their turn until it is over.
            transaction.rollback().await?;
            Err(error)
        }
    }
}

async fn write(transaction: &mut PgConnection, epoch: Option<i64>, batch: Batch) -> Query<Vec<Event>> {
    let now: i64 = sqlx::query_scalar("select epoch from leader for update").fetch_one(&mut *transaction).await?;
    if epoch.is_some_and(|epoch| epoch != now) {
        // Nobody can take the lock from a session that holds it: there is a pooler in between.
        let cause = "another daemon leads, though this one's session holds the lock: sessions are shared by a pooler";
        return Err(sqlx::Error::Protocol(cause.into()).into());
    }
    batch::apply(transaction, &batch.changes).await?;
    event::append(transaction, batch.events).await
}

fn not_leading(place: &Place) -> StoreError {
    let remedy = "send changes to the daemon that leads; `greenroom status` names it";
    unusable(ProblemKind::Unavailable, STEP, place, "this daemon does not lead", remedy)
}
