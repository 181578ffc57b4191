//! Users as rows. Their table has another name: `user` is a word of the language.

use async_trait::async_trait;
use greenroom_domain::{User, UserId};
use greenroom_store::{Result, UserStore, rules};
use sqlx::{PgConnection, PgExecutor};

use crate::{
    PostgresStore,
    error::{Failing, Query},
    project, row,
};

const STEP: &str = "read user";

pub(crate) async fn insert(connection: &mut PgConnection, new: &User) -> Query<()> {
    for &project in new.members.keys() {
        project::must_exist(&mut *connection, project).await?;
    }
    let same_id = by_id(&mut *connection, new.id).await?.is_some();
    rules::insert_user(new, same_id, by_name(&mut *connection, &new.name).await?.is_some())?;
    sqlx::query("insert into member (id, name, removed, created, body) values ($1, $2, $3, $4, $5)")
        .bind(new.id.to_string())
        .bind(&new.name)
        .bind(new.removed.is_some())
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut PgConnection, new: &User) -> Query<()> {
    for &project in new.members.keys() {
        project::must_exist(&mut *connection, project).await?;
    }
    rules::update_user(new, by_id(&mut *connection, new.id).await?.as_ref())?;
    sqlx::query("update member set removed = $1, body = $2 where id = $3")
        .bind(new.removed.is_some())
        .bind(row::body(new)?)
        .bind(new.id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn by_id(executor: impl PgExecutor<'_>, id: UserId) -> Query<Option<User>> {
    let query = sqlx::query_scalar("select body from member where id = $1").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn by_name(executor: impl PgExecutor<'_>, name: &str) -> Query<Option<User>> {
    let query = sqlx::query_scalar("select body from member where name = $1 and not removed").bind(name);
    row::optional(query.fetch_optional(executor).await?)
}

async fn all(executor: impl PgExecutor<'_>) -> Query<Vec<User>> {
    row::many(sqlx::query_scalar("select body from member where not removed order by name").fetch_all(executor).await?)
}

#[async_trait]
impl UserStore for PostgresStore {
    async fn user(&self, id: UserId) -> Result<Option<User>> {
        by_id(&self.readers, id).await.failing(STEP, &self.place)
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>> {
        by_name(&self.readers, name).await.failing(STEP, &self.place)
    }

    async fn users(&self) -> Result<Vec<User>> {
        all(&self.readers).await.failing(STEP, &self.place)
    }
}
