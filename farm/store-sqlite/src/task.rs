//! Tasks as rows.

use async_trait::async_trait;
use greenroom_domain::{Digest, JobId, Spec, Task, TaskId, TaskOutput};
use greenroom_store::{Expected, Result, TaskStore, rules};
use sqlx::{QueryBuilder, SqliteConnection, SqliteExecutor};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    job,
    row::{self, ROWS},
};

const STEP: &str = "read task";

/// New tasks, no two with one id, in few statements.
pub(crate) async fn insert(connection: &mut SqliteConnection, new: &[&Task]) -> Query<()> {
    let there = known(&mut *connection, new).await?;
    let jobs = job::by_ids(&mut *connection, new.iter().map(|t| t.job)).await?;
    for task in new {
        rules::insert_task(task, there.contains(&task.id.to_string()), jobs.get(&task.job))?;
    }
    for rows in new.chunks(ROWS) {
        let bodies = rows.iter().map(row::body).collect::<Query<Vec<_>>>()?;
        let mut insert =
            QueryBuilder::new("insert into task (id, job, kind, state, epoch, spec_digest, created, body) ");
        insert.push_values(rows.iter().zip(bodies), |mut row, (task, body)| {
            row.push_bind(task.id.to_string());
            row.push_bind(task.job.to_string());
            row.push_bind(task.kind.to_string());
            row.push_bind(task.state.name());
            row.push_bind(row::integer(task.epoch.0));
            row.push_bind(spec_digest(task));
            row.push_bind(task.created.as_millis());
            row.push_bind(body);
        });
        insert.build().persistent(rows.len() == ROWS).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Tasks as they shall be, no two with one id, in few statements.
pub(crate) async fn update(connection: &mut SqliteConnection, new: &[(&Task, Expected)]) -> Query<()> {
    let there = by_ids(&mut *connection, new.iter().map(|(t, _)| t.id)).await?;
    for (task, was) in new {
        rules::update_task(task, *was, there.get(&task.id))?;
    }
    for rows in new.chunks(ROWS) {
        let bodies = rows.iter().map(|(task, _)| row::body(task)).collect::<Query<Vec<_>>>()?;
        let mut update = QueryBuilder::new("with new (id, state, epoch, spec_digest, body) as (");
        update.push_values(rows.iter().zip(bodies), |mut row, ((task, _), body)| {
            row.push_bind(task.id.to_string());
            row.push_bind(task.state.name());
            row.push_bind(row::integer(task.epoch.0));
            row.push_bind(spec_digest(task));
            row.push_bind(body);
        });
        update.push(
            ") update task set state = new.state, epoch = new.epoch, spec_digest = new.spec_digest, body = new.body \
             from new where task.id = new.id",
        );
        update.build().persistent(rows.len() == ROWS).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The ids of those that are there.
async fn known(executor: impl SqliteExecutor<'_>, tasks: &[&Task]) -> Query<BTreeSet<String>> {
    let ids = row::list(tasks.iter().map(|t| t.id))?;
    let query = sqlx::query_scalar("select id from task where id in (select value from json_each(?))").bind(ids);
    Ok(query.fetch_all(executor).await?.into_iter().collect())
}

async fn by_ids(executor: impl SqliteExecutor<'_>, ids: impl Iterator<Item = TaskId>) -> Query<BTreeMap<TaskId, Task>> {
    let query = sqlx::query_scalar("select body from task where id in (select value from json_each(?))");
    let tasks: Vec<Task> = row::many(query.bind(row::list(ids)?).fetch_all(executor).await?)?;
    Ok(tasks.into_iter().map(|task| (task.id, task)).collect())
}

/// What `spec_digest` holds for a task.
pub(crate) fn spec_digest(task: &Task) -> Option<String> {
    task.spec.as_ref().map(Spec::digest).map(|d| d.to_string())
}

pub(crate) async fn by_id(executor: impl SqliteExecutor<'_>, id: TaskId) -> Query<Option<Task>> {
    let query = sqlx::query_scalar("select body from task where id = ?").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn of_job(executor: impl SqliteExecutor<'_>, job: JobId) -> Query<Vec<Task>> {
    let query = sqlx::query_scalar("select body from task where job = ? order by position").bind(job.to_string());
    row::many(query.fetch_all(executor).await?)
}

async fn open(executor: impl SqliteExecutor<'_>) -> Query<Vec<Task>> {
    // Said like the index task_open, so that finished tasks, which are nearly all, are never looked at.
    let query = sqlx::query_scalar(
        "select task.body from task cross join job on job.id = task.job \
         where task.state in ('waiting', 'ready', 'leased') and job.state = 'active' order by task.position",
    );
    row::many(query.fetch_all(executor).await?)
}

async fn leased(executor: impl SqliteExecutor<'_>) -> Query<Vec<Task>> {
    let query = sqlx::query_scalar("select body from task where state = 'leased' order by position");
    row::many(query.fetch_all(executor).await?)
}

async fn first_done(executor: impl SqliteExecutor<'_>, spec: Digest) -> Query<Option<Task>> {
    let query =
        sqlx::query_scalar("select body from task where spec_digest = ? and state = 'done' order by position limit 1");
    row::optional(query.bind(spec.to_string()).fetch_optional(executor).await?)
}

#[async_trait]
impl TaskStore for SqliteStore {
    async fn task(&self, id: TaskId) -> Result<Option<Task>> {
        by_id(&self.readers, id).await.failing(STEP, &self.path)
    }

    async fn tasks(&self, job: JobId) -> Result<Vec<Task>> {
        of_job(&self.readers, job).await.failing(STEP, &self.path)
    }

    async fn open_tasks(&self) -> Result<Vec<Task>> {
        open(&self.readers).await.failing(STEP, &self.path)
    }

    async fn leased_tasks(&self) -> Result<Vec<Task>> {
        leased(&self.readers).await.failing(STEP, &self.path)
    }

    async fn output_by_spec(&self, spec: Digest) -> Result<Option<TaskOutput>> {
        let task = first_done(&self.readers, spec).await.failing(STEP, &self.path)?;
        Ok(task.and_then(|t| t.output().cloned()))
    }
}
