//! Events as rows. Rows are only ever added, so the next number is the last plus one.

use async_trait::async_trait;
use greenroom_domain::{Event, EventSeq};
use greenroom_store::{EventScope, EventStore, Result, rules};
use sqlx::{PgConnection, PgExecutor};

use crate::{
    PostgresStore,
    error::{Failing, Query},
    job, project, row,
};

const STEP: &str = "read events";

/// Numbers the events and appends them, in the transaction of the changes that they tell of.
pub(crate) async fn append(connection: &mut PgConnection, mut events: Vec<Event>) -> Query<Vec<Event>> {
    if events.is_empty() {
        return Ok(events);
    }
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
    let insert = "insert into event (seq, at, project, job, body) \
                  select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[])";
    sqlx::query(insert)
        .bind(events.iter().map(|e| row::integer(e.seq.0)).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.at.as_millis()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.project.to_string()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.job.map(|j| j.to_string())).collect::<Vec<_>>())
        .bind(events.iter().map(row::body).collect::<Query<Vec<_>>>()?)
        .execute(connection)
        .await?;
    Ok(events)
}

async fn last(executor: impl PgExecutor<'_>) -> Query<EventSeq> {
    let seq: i64 = sqlx::query_scalar("select coalesce(max(seq), 0) from event").fetch_one(executor).await?;
    Ok(EventSeq(seq.unsigned_abs()))
}

async fn after(executor: impl PgExecutor<'_>, after: EventSeq, scope: EventScope, limit: usize) -> Query<Vec<Event>> {
    let (after, limit) = (row::integer(after.0), row::integer(limit));
    let bodies = match scope {
        EventScope::All => {
            let query = sqlx::query_scalar("select body from event where seq > $1 order by seq limit $2");
            query.bind(after).bind(limit).fetch_all(executor).await?
        }
        EventScope::Project(id) => {
            let query =
                sqlx::query_scalar("select body from event where project = $1 and seq > $2 order by seq limit $3");
            query.bind(id.to_string()).bind(after).bind(limit).fetch_all(executor).await?
        }
        EventScope::Job(id) => {
            let query = sqlx::query_scalar("select body from event where job = $1 and seq > $2 order by seq limit $3");
            query.bind(id.to_string()).bind(after).bind(limit).fetch_all(executor).await?
        }
    };
    row::many(bodies)
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn events(&self, seq: EventSeq, scope: EventScope, limit: usize) -> Result<Vec<Event>> {
        after(&self.readers, seq, scope, limit).await.failing(STEP, &self.place)
    }

    async fn last_seq(&self) -> Result<EventSeq> {
        last(&self.readers).await.failing(STEP, &self.place)
    }
}
