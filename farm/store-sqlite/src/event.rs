//! Events as rows. Rows are only ever added, so the next number is the last plus one.

use async_trait::async_trait;
use greenroom_domain::{Event, EventSeq};
use greenroom_store::{EventScope, EventStore, Result, rules};
use sqlx::{QueryBuilder, SqliteConnection, SqliteExecutor};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    job, project,
    row::{self, ROWS},
};

const STEP: &str = "read events";

/// Numbers the events and appends them, in the transaction of the changes that they tell of.
pub(crate) async fn append(connection: &mut SqliteConnection, mut events: Vec<Event>) -> Query<Vec<Event>> {
    let projects = project::known(&mut *connection, events.iter().map(|e| e.project)).await?;
    let jobs = job::known(&mut *connection, events.iter().filter_map(|e| e.job)).await?;
    let mut last = last(&mut *connection).await?;
    for event in &mut events {
        if !projects.contains(&event.project.to_string()) {
            return Err(rules::missing("project", &event.project).into());
        }
        if let Some(job) = event.job.filter(|job| !jobs.contains(&job.to_string())) {
            return Err(rules::missing("job", &job).into());
        }
        last.0 += 1;
        event.seq = last;
    }
    for rows in events.chunks(ROWS) {
        let bodies = rows.iter().map(row::body).collect::<Query<Vec<_>>>()?;
        let mut insert = QueryBuilder::new("insert into event (seq, at, project, job, body) ");
        insert.push_values(rows.iter().zip(bodies), |mut row, (event, body)| {
            row.push_bind(row::integer(event.seq.0));
            row.push_bind(event.at.as_millis());
            row.push_bind(event.project.to_string());
            row.push_bind(event.job.map(|j| j.to_string()));
            row.push_bind(body);
        });
        insert.build().persistent(rows.len() == ROWS).execute(&mut *connection).await?;
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
