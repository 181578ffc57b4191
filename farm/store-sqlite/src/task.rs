//! Tasks as rows.

use async_trait::async_trait;
use greenroom_domain::{Digest, JobId, Spec, Task, TaskId, TaskOutput};
use greenroom_store::{Expected, Result, TaskStore, rules};
use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    job, row,
};

const STEP: &str = "read task";

pub(crate) async fn insert(connection: &mut SqliteConnection, new: &Task) -> Query<()> {
    let same_id = by_id(&mut *connection, new.id).await?.is_some();
    let job = job::by_id(&mut *connection, new.job).await?;
    rules::insert_task(new, same_id, job.as_ref())?;
    let insert =
        "insert into task (id, job, kind, state, epoch, spec_digest, created, body) values (?, ?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(insert)
        .bind(new.id.to_string())
        .bind(new.job.to_string())
        .bind(new.kind.to_string())
        .bind(new.state.name())
        .bind(row::integer(new.epoch.0))
        .bind(spec_digest(new))
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut SqliteConnection, new: &Task, was: Expected) -> Query<()> {
    let old = by_id(&mut *connection, new.id).await?;
    rules::update_task(new, was, old.as_ref())?;
    sqlx::query("update task set state = ?, epoch = ?, spec_digest = ?, body = ? where id = ?")
        .bind(new.state.name())
        .bind(row::integer(new.epoch.0))
        .bind(spec_digest(new))
        .bind(row::body(new)?)
        .bind(new.id.to_string())
        .execute(connection)
        .await?;
    Ok(())
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
