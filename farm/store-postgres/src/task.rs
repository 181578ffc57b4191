//! Tasks as rows.

use async_trait::async_trait;
use greenroom_domain::{Digest, JobId, Spec, Task, TaskId, TaskOutput};
use greenroom_store::{Expected, Result, TaskStore, rules};
use sqlx::{PgConnection, PgExecutor};
use std::collections::BTreeMap;

use crate::{
    PostgresStore,
    error::{Failing, Query},
    job, row,
};

const STEP: &str = "read task";

/// New tasks, no two with one id, in few round trips.
pub(crate) async fn insert(connection: &mut PgConnection, new: &[&Task]) -> Query<()> {
    let there = by_ids(&mut *connection, new.iter().map(|t| t.id)).await?;
    let jobs = job::by_ids(&mut *connection, new.iter().map(|t| t.job)).await?;
    for task in new {
        rules::insert_task(task, there.contains_key(&task.id), jobs.get(&task.job))?;
    }
    let insert = "insert into task (id, job, kind, state, epoch, spec_digest, created, body) \
                  select id, job, kind, state, epoch, spec_digest, created, body \
                  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::text[]) \
                  with ordinality as new (id, job, kind, state, epoch, spec_digest, created, body, nth) order by nth";
    sqlx::query(insert)
        .bind(column(new, |t| t.id.to_string()))
        .bind(column(new, |t| t.job.to_string()))
        .bind(column(new, |t| t.kind.to_string()))
        .bind(column(new, |t| t.state.name()))
        .bind(column(new, |t| row::integer(t.epoch.0)))
        .bind(column(new, |t| spec_digest(t)))
        .bind(column(new, |t| t.created.as_millis()))
        .bind(new.iter().map(row::body).collect::<Query<Vec<_>>>()?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Tasks as they shall be, no two with one id, in few round trips.
pub(crate) async fn update(connection: &mut PgConnection, new: &[(&Task, Expected)]) -> Query<()> {
    let there = by_ids(&mut *connection, new.iter().map(|(t, _)| t.id)).await?;
    for (task, was) in new {
        rules::update_task(task, *was, there.get(&task.id))?;
    }
    let update = "update task set state = new.state, epoch = new.epoch, spec_digest = new.spec_digest, body = new.body \
                  from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) \
                  as new (id, state, epoch, spec_digest, body) where task.id = new.id";
    sqlx::query(update)
        .bind(column(new, |(t, _)| t.id.to_string()))
        .bind(column(new, |(t, _)| t.state.name()))
        .bind(column(new, |(t, _)| row::integer(t.epoch.0)))
        .bind(column(new, |(t, _)| spec_digest(t)))
        .bind(new.iter().map(|(t, _)| row::body(t)).collect::<Query<Vec<_>>>()?)
        .execute(connection)
        .await?;
    Ok(())
}

/// One column of many rows.
fn column<T, C>(rows: &[T], of: impl Fn(&T) -> C) -> Vec<C> {
    rows.iter().map(of).collect()
}

async fn by_ids(executor: impl PgExecutor<'_>, ids: impl Iterator<Item = TaskId>) -> Query<BTreeMap<TaskId, Task>> {
    let ids: Vec<_> = ids.map(|id| id.to_string()).collect();
    let query = sqlx::query_scalar("select body from task where id = any($1)").bind(ids);
    let tasks: Vec<Task> = row::many(query.fetch_all(executor).await?)?;
    Ok(tasks.into_iter().map(|task| (task.id, task)).collect())
}

/// What `spec_digest` holds for a task.
pub(crate) fn spec_digest(task: &Task) -> Option<String> {
    task.spec.as_ref().map(Spec::digest).map(|d| d.to_string())
}

pub(crate) async fn by_id(executor: impl PgExecutor<'_>, id: TaskId) -> Query<Option<Task>> {
    let query = sqlx::query_scalar("select body from task where id = $1").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn of_job(executor: impl PgExecutor<'_>, job: JobId) -> Query<Vec<Task>> {
    let query = sqlx::query_scalar("select body from task where job = $1 order by position").bind(job.to_string());
    row::many(query.fetch_all(executor).await?)
}

async fn open(executor: impl PgExecutor<'_>) -> Query<Vec<Task>> {
    // Said like the index task_open, so that finished tasks, which are nearly all, are never looked at.
    let query = sqlx::query_scalar(
        "select task.body from task join job on job.id = task.job \
         where task.state in ('waiting', 'ready', 'leased') and job.state = 'active' order by task.position",
    );
    row::many(query.fetch_all(executor).await?)
}

async fn leased(executor: impl PgExecutor<'_>) -> Query<Vec<Task>> {
    let query = sqlx::query_scalar("select body from task where state = 'leased' order by position");
    row::many(query.fetch_all(executor).await?)
}

async fn first_done(executor: impl PgExecutor<'_>, spec: Digest) -> Query<Option<Task>> {
    let query =
        sqlx::query_scalar("select body from task where spec_digest = $1 and state = 'done' order by position limit 1");
    row::optional(query.bind(spec.to_string()).fetch_optional(executor).await?)
}

#[async_trait]
impl TaskStore for PostgresStore {
    async fn task(&self, id: TaskId) -> Result<Option<Task>> {
        by_id(&self.readers, id).await.failing(STEP, &self.place)
    }

    async fn tasks(&self, job: JobId) -> Result<Vec<Task>> {
        of_job(&self.readers, job).await.failing(STEP, &self.place)
    }

    async fn open_tasks(&self) -> Result<Vec<Task>> {
        open(&self.readers).await.failing(STEP, &self.place)
    }

    async fn leased_tasks(&self) -> Result<Vec<Task>> {
        leased(&self.readers).await.failing(STEP, &self.place)
    }

    async fn output_by_spec(&self, spec: Digest) -> Result<Option<TaskOutput>> {
        let task = first_done(&self.readers, spec).await.failing(STEP, &self.place)?;
        Ok(task.and_then(|t| t.output().cloned()))
    }
}
