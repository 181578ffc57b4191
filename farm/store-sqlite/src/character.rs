//! Revisions of characters as rows; one revision of each is marked as the latest.

use async_trait::async_trait;
use greenroom_domain::{Character, CharacterId, ProjectId};
use greenroom_store::{CharacterStore, Result, rules};
use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    project, row,
};

const STEP: &str = "read character";

pub(crate) async fn insert(connection: &mut SqliteConnection, new: &Character) -> Query<()> {
    project::must_exist(&mut *connection, new.project).await?;
    let old = latest(&mut *connection, new.id).await?;
    let namesake = by_name(&mut *connection, new.project, &new.name).await?;
    rules::insert_character(new, old.as_ref(), namesake.as_ref())?;
    sqlx::query("update character set latest = 0 where id = ? and latest = 1")
        .bind(new.id.to_string())
        .execute(&mut *connection)
        .await?;
    let insert =
        "insert into character (id, revision, latest, project, name, created, body) values (?, ?, 1, ?, ?, ?, ?)";
    sqlx::query(insert)
        .bind(new.id.to_string())
        .bind(new.revision)
        .bind(new.project.to_string())
        .bind(&new.name)
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut SqliteConnection, new: &Character) -> Query<()> {
    let old = revision(&mut *connection, new.id, new.revision).await?;
    rules::update_character(new, old.as_ref())?;
    sqlx::query("update character set body = ? where id = ? and revision = ?")
        .bind(row::body(new)?)
        .bind(new.id.to_string())
        .bind(new.revision)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn latest(executor: impl SqliteExecutor<'_>, id: CharacterId) -> Query<Option<Character>> {
    let query = sqlx::query_scalar("select body from character where id = ? and latest = 1").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

pub(crate) async fn revision(
    executor: impl SqliteExecutor<'_>,
    id: CharacterId,
    number: u32,
) -> Query<Option<Character>> {
    let query = sqlx::query_scalar("select body from character where id = ? and revision = ?");
    row::optional(query.bind(id.to_string()).bind(number).fetch_optional(executor).await?)
}

async fn by_name(executor: impl SqliteExecutor<'_>, project: ProjectId, name: &str) -> Query<Option<Character>> {
    let query = sqlx::query_scalar("select body from character where project = ? and name = ? and latest = 1");
    row::optional(query.bind(project.to_string()).bind(name).fetch_optional(executor).await?)
}

async fn of_project(executor: impl SqliteExecutor<'_>, project: ProjectId) -> Query<Vec<Character>> {
    let query = sqlx::query_scalar("select body from character where project = ? and latest = 1 order by name");
    row::many(query.bind(project.to_string()).fetch_all(executor).await?)
}

#[async_trait]
impl CharacterStore for SqliteStore {
    async fn character(&self, id: CharacterId) -> Result<Option<Character>> {
        latest(&self.readers, id).await.failing(STEP, &self.path)
    }

    async fn character_revision(&self, id: CharacterId, number: u32) -> Result<Option<Character>> {
        revision(&self.readers, id, number).await.failing(STEP, &self.path)
    }

    async fn characters(&self, project: ProjectId) -> Result<Vec<Character>> {
        of_project(&self.readers, project).await.failing(STEP, &self.path)
    }

    async fn character_by_name(&self, project: ProjectId, name: &str) -> Result<Option<Character>> {
        by_name(&self.readers, project, name).await.failing(STEP, &self.path)
    }
}
