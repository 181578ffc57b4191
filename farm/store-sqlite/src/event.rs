//! Events as rows. Rows are only ever added, so the next number is the last plus one.

use async_trait::async_trait;
use greenroom_domain::{Event, EventSeq};
use greenroom_store::{EventScope, EventStore, Result, rules};
use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    job, project, row,
};

const STEP: &str = "read events";

/// Numbers the events and appends them, in the transaction of the changes that they tell of.
pub(crate) async fn append(connection: &mut SqliteConnection, mut events: Vec<Event>) -> Query<Vec<Event>> {
    let mut last = last(&mut *connection).await?;
    for event in &mut events {
        project::must_exist(&mut *connection, event.project).await?;
        if let Some(job) = event.job {
            job::by_id(&mut *connection, job).await?.ok_or_else(|| rules::missing("job", &job))?;
        }
        last.0 += 1;
        event.seq = last;
        sqlx::query("insert into event (seq, at, project, job, body) values (?, ?, ?, ?, ?)")
            .bind(row::integer(event.seq.0))
            .bind(event.at.as_millis())
            .bind(event.project.to_string())
            .bind(event.job.map(|j| j.to_string()))
            .bind(row::body(event)?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(events)
}

async fn last(executor: impl SqliteExecutor<'_>) -> Query<EventSeq> {
    let seq: i64 = sqlx::query_scalar("select coalesce(max(seq), 0) from event").fetch_one(executor).await?;
    Ok(EventSeq(seq.unsigned_abs()))
}

async fn after(
    executor: impl SqliteExecutor<'_>,
    after: EventSeq,
    scope: EventScope,
    limit: usize,
) -> Query<Vec<Event>> {
    let (after, limit) = (row::integer(after.0), row::integer(limit));
    let bodies = match scope {
        EventScope::All => {
            let query = sqlx::query_scalar("select body from event where seq > ? order by seq limit ?");
            query.bind(after).bind(limit).fetch_all(executor).await?
        }
        EventScope::Project(id) => {
            let query = sqlx::query_scalar("select body from event where project = ? and seq > ? order by seq limit ?");
            query.bind(id.to_string()).bind(after).bind(limit).fetch_all(executor).await?
        }
        EventScope::Job(id) => {
            let query = sqlx::query_scalar("select body from event where job = ? and seq > ? order by seq limit ?");
            query.bind(id.to_string()).bind(after).bind(limit).fetch_all(executor).await?
        }
    };
    row::many(bodies)
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn events(&self, seq: EventSeq, scope: EventScope, limit: usize) -> Result<Vec<Event>> {
        after(&self.readers, seq, scope, limit).await.failing(STEP, &self.path)
    }

    async fn last_seq(&self) -> Result<EventSeq> {
        last(&self.readers).await.failing(STEP, &self.path)
    }
}
