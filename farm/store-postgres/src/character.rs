//! Revisions of characters as rows; one revision of each is marked as the latest.

use async_trait::async_trait;
use greenroom_domain::{Character, CharacterId, ProjectId};
use greenroom_store::{CharacterStore, Result, rules};
use sqlx::{PgConnection, PgExecutor};

use crate::{
    PostgresStore,
    error::{Failing, Query},
    project, row,
};

const STEP: &str = "read character";

pub(crate) async fn insert(connection: &mut PgConnection, new: &Character) -> Query<()> {
    project::must_exist(&mut *connection, new.project).await?;
    let old = latest(&mut *connection, new.id).await?;
    let namesake = by_name(&mut *connection, new.project, &new.name).await?;
    rules::insert_character(new, old.as_ref(), namesake.as_ref())?;
    sqlx::query("update character set latest = false where id = $1 and latest")
        .bind(new.id.to_string())
        .execute(&mut *connection)
        .await?;
    let insert = "insert into character (id, revision, latest, project, name, created, body) values ($1, $2, true, $3, $4, $5, $6)";
    sqlx::query(insert)
        .bind(new.id.to_string())
        .bind(i64::from(new.revision))
        .bind(new.project.to_string())
        .bind(&new.name)
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut PgConnection, new: &Character) -> Query<()> {
    let old = revision(&mut *connection, new.id, new.revision).await?;
    rules::update_character(new, old.as_ref())?;
    sqlx::query("update character set body = $1 where id = $2 and revision = $3")
        .bind(row::body(new)?)
        .bind(new.id.to_string())
        .bind(i64::from(new.revision))
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn latest(executor: impl PgExecutor<'_>, id: CharacterId) -> Query<Option<Character>> {
    let query = sqlx::query_scalar("select body from character where id = $1 and latest").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

pub(crate) async fn revision(executor: impl PgExecutor<'_>, id: CharacterId, number: u32) -> Query<Option<Character>> {
    let query = sqlx::query_scalar("select body from character where id = $1 and revision = $2");
    row::optional(query.bind(id.to_string()).bind(i64::from(number)).fetch_optional(executor).await?)
}

async fn by_name(executor: impl PgExecutor<'_>, project: ProjectId, name: &str) -> Query<Option<Character>> {
    let query = sqlx::query_scalar("select body from character where project = $1 and name = $2 and latest");
    row::optional(query.bind(project.to_string()).bind(name).fetch_optional(executor).await?)
}

async fn of_project(executor: impl PgExecutor<'_>, project: ProjectId) -> Query<Vec<Character>> {
    let query = sqlx::query_scalar("select body from character where project = $1 and latest order by name");
    row::many(query.bind(project.to_string()).fetch_all(executor).await?)
}

#[async_trait]
impl CharacterStore for PostgresStore {
    async fn character(&self, id: CharacterId) -> Result<Option<Character>> {
        latest(&self.readers, id).await.failing(STEP, &self.place)
    }

    async fn character_revision(&self, id: CharacterId, number: u32) -> Result<Option<Character>> {
        revision(&self.readers, id, number).await.failing(STEP, &self.place)
    }

    async fn characters(&self, project: ProjectId) -> Result<Vec<Character>> {
        of_project(&self.readers, project).await.failing(STEP, &self.place)
    }

    async fn character_by_name(&self, project: ProjectId, name: &str) -> Result<Option<Character>> {
        by_name(&self.readers, project, name).await.failing(STEP, &self.place)
    }
}
