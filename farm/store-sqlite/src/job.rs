//! Jobs as rows.

use async_trait::async_trait;
use greenroom_domain::{Digest, Job, JobId, ProjectId};
use greenroom_store::{JobStore, Result, rules};
use sqlx::{SqliteConnection, SqliteExecutor};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    project, row,
};

const STEP: &str = "read job";

pub(crate) async fn insert(connection: &mut SqliteConnection, new: &Job) -> Query<()> {
    project::must_exist(&mut *connection, new.project).await?;
    let same_id = by_id(&mut *connection, new.id).await?.is_some();
    let same_request = by_request(&mut *connection, new.project, new.request).await?;
    rules::insert_job(new, same_id, same_request.as_ref())?;
    sqlx::query("insert into job (id, project, request, state, created, body) values (?, ?, ?, ?, ?, ?)")
        .bind(new.id.to_string())
        .bind(new.project.to_string())
        .bind(new.request.to_string())
        .bind(new.state.name())
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut SqliteConnection, new: &Job) -> Query<()> {
    let old = by_id(&mut *connection, new.id).await?;
    rules::update_job(new, old.as_ref())?;
    sqlx::query("update job set state = ?, body = ? where id = ?")
        .bind(new.state.name())
        .bind(row::body(new)?)
        .bind(new.id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn by_id(executor: impl SqliteExecutor<'_>, id: JobId) -> Query<Option<Job>> {
    let query = sqlx::query_scalar("select body from job where id = ?").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

pub(crate) async fn by_ids(
    executor: impl SqliteExecutor<'_>,
    ids: impl Iterator<Item = JobId>,
) -> Query<BTreeMap<JobId, Job>> {
    let query = sqlx::query_scalar("select body from job where id in (select value from json_each(?))");
    let jobs: Vec<Job> = row::many(query.bind(row::list(ids)?).fetch_all(executor).await?)?;
    Ok(jobs.into_iter().map(|job| (job.id, job)).collect())
}

/// Which of these are there.
pub(crate) async fn known(
    executor: impl SqliteExecutor<'_>,
    ids: impl Iterator<Item = JobId>,
) -> Query<BTreeSet<String>> {
    let query = sqlx::query_scalar("select id from job where id in (select value from json_each(?))");
    Ok(query.bind(row::list(ids)?).fetch_all(executor).await?.into_iter().collect())
}

pub(crate) async fn by_request(
    executor: impl SqliteExecutor<'_>,
    project: ProjectId,
    request: Digest,
) -> Query<Option<Job>> {
    let query = sqlx::query_scalar(
        "select body from job where project = ? and request = ? and state not in ('cancelled', 'failed')",
    );
    row::optional(query.bind(project.to_string()).bind(request.to_string()).fetch_optional(executor).await?)
}

async fn newest(executor: impl SqliteExecutor<'_>, project: Option<ProjectId>, limit: usize) -> Query<Vec<Job>> {
    let limit = row::integer(limit);
    let bodies = match project {
        None => {
            let query = sqlx::query_scalar("select body from job order by position desc limit ?");
            query.bind(limit).fetch_all(executor).await?
        }
        Some(project) => {
            let query = sqlx::query_scalar("select body from job where project = ? order by position desc limit ?");
            query.bind(project.to_string()).bind(limit).fetch_all(executor).await?
        }
    };
    row::many(bodies)
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        by_id(&self.readers, id).await.failing(STEP, &self.path)
    }

    async fn jobs(&self, project: Option<ProjectId>, limit: usize) -> Result<Vec<Job>> {
        newest(&self.readers, project, limit).await.failing(STEP, &self.path)
    }

    async fn job_by_request(&self, project: ProjectId, request: Digest) -> Result<Option<Job>> {
        by_request(&self.readers, project, request).await.failing(STEP, &self.path)
    }
}
