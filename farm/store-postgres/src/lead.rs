//! Leading: of several daemons on one ledger one writes, the others stand by.

use greenroom_store::Result;
use sqlx::PgConnection;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Mutex, watch};

use crate::{
    PostgresStore,
    error::{Failing, Query},
    place::Place,
    writer::{Leader, Writer},
};

const STEP: &str = "lead ledger";

/// The leader's lock, one for each database: `GRRM` and `lead` in ASCII.
pub(crate) const LOCK: i64 = 0x4752_524d_6c65_6164;

/// How often whoever stands by tries to lead, and whoever leads makes sure that it does.
const EVERY: Duration = Duration::from_secs(1);

/// A session that does not answer for so long is given up. With [`EVERY`] and the next try, another daemon leads within five
/// seconds of the moment at which the server lets go.
const WITHIN: Duration = Duration::from_secs(2);

/// Leading, for as long as the session that holds the lock lives.
#[derive(Debug)]
pub struct Term {
    /// Grows with every term.
    pub epoch: i64,
    writer: Arc<Mutex<Writer>>,
    ended: watch::Receiver<()>,
}

impl PostgresStore {
    /// Writes nothing from now on, until it leads.
    pub async fn stand_by(&self) {
        self.writer.lock().await.close().await;
    }

    /// Waits until it leads, and says to the others that they find the leader at `address`. One that led and lost its session
    /// asks again.
    ///
    /// # Errors
    /// If the database cannot be asked; try again.
    pub async fn lead(&self, address: &str) -> Result<Term> {
        let (session, epoch) = elected(&self.place, address).await.failing(STEP, &self.place)?;
        let (term, ended) = watch::channel(());
        *self.writer.lock().await = Writer::Leader(Leader { session, epoch, _term: term });
        Ok(Term { epoch, writer: Arc::clone(&self.writer), ended })
    }

    /// Where the leader is, as it said; none while nobody has led yet.
    ///
    /// # Errors
    /// If the database cannot be asked.
    pub async fn leader(&self) -> Result<Option<String>> {
        let query = sqlx::query_scalar("select address from leader where epoch > 0");
        query.fetch_optional(&self.readers).await.failing("ask who leads", &self.place)
    }
}

impl Term {
    /// Waits for the end of the term: the session is gone or does not answer. Must be waited for while leading, for this is
    /// what notices a silent end between commits.
    pub async fn ended(mut self) {
        loop {
            // Whoever commits right now notices for itself.
            if let Ok(mut writer) = self.writer.try_lock()
                && !writer.leads_on(WITHIN).await
            {
                return;
            }
            tokio::select! {
                _ = self.ended.changed() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}

/// A session that holds the lock, and the number of the term that begins.
async fn elected(place: &Place, address: &str) -> Query<(PgConnection, i64)> {
    let mut session = place.connect().await?;
    while !tried(&mut session).await? {
        tokio::time::sleep(EVERY).await;
    }
    let begin = "update leader set epoch = epoch + 1, address = $1 returning epoch";
    let epoch = sqlx::query_scalar(begin).bind(address).fetch_one(&mut session).await?;
    Ok((session, epoch))
}

async fn tried(session: &mut PgConnection) -> Query<bool> {
    let lock = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(session);
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    Ok(tokio::time::timeout(WITHIN, lock).await.map_err(late).map_err(sqlx::Error::Io)??)
}
