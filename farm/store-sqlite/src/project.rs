//! Projects as rows.

use async_trait::async_trait;
use greenroom_domain::{Project, ProjectId};
use greenroom_store::{ProjectStore, Result, rules};
use sqlx::{SqliteConnection, SqliteExecutor};
use std::collections::BTreeSet;

use crate::{
    SqliteStore,
    error::{Failing, Query},
    row,
};

const STEP: &str = "read project";

pub(crate) async fn insert(connection: &mut SqliteConnection, new: &Project) -> Query<()> {
    let same_id = by_id(&mut *connection, new.id).await?.is_some();
    let same_name = by_name(&mut *connection, &new.name).await?.is_some();
    rules::insert_project(new, same_id, same_name)?;
    sqlx::query("insert into project (id, name, created, body) values (?, ?, ?, ?)")
        .bind(new.id.to_string())
        .bind(&new.name)
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Fails where a row would point to a project that is not there.
pub(crate) async fn must_exist(executor: impl SqliteExecutor<'_>, id: ProjectId) -> Query<()> {
    by_id(executor, id).await?.map(drop).ok_or_else(|| rules::missing("project", &id).into())
}

/// Which of these are there.
pub(crate) async fn known(
    executor: impl SqliteExecutor<'_>,
    ids: impl Iterator<Item = ProjectId>,
) -> Query<BTreeSet<String>> {
    let query = sqlx::query_scalar("select id from project where id in (select value from json_each(?))");
    Ok(query.bind(row::list(ids)?).fetch_all(executor).await?.into_iter().collect())
}

async fn by_id(executor: impl SqliteExecutor<'_>, id: ProjectId) -> Query<Option<Project>> {
    let query = sqlx::query_scalar("select body from project where id = ?").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn by_name(executor: impl SqliteExecutor<'_>, name: &str) -> Query<Option<Project>> {
    let query = sqlx::query_scalar("select body from project where name = ?").bind(name);
    row::optional(query.fetch_optional(executor).await?)
}

async fn all(executor: impl SqliteExecutor<'_>) -> Query<Vec<Project>> {
    row::many(sqlx::query_scalar("select body from project order by name").fetch_all(executor).await?)
}

#[async_trait]
impl ProjectStore for SqliteStore {
    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        by_id(&self.readers, id).await.failing(STEP, &self.path)
    }

    async fn project_by_name(&self, name: &str) -> Result<Option<Project>> {
        by_name(&self.readers, name).await.failing(STEP, &self.path)
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        all(&self.readers).await.failing(STEP, &self.path)
    }
}
