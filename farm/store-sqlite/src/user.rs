//! Users as rows.

use async_trait::async_trait;
use greenroom_domain::{User, UserId};
use greenroom_store::{Result, UserStore, rules};
use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    project, row,
};

const STEP: &str = "read user";

pub(crate) async fn insert(connection: &mut SqliteConnection, new: &User) -> Query<()> {
    for &project in new.members.keys() {
        project::must_exist(&mut *connection, project).await?;
    }
    let same_id = by_id(&mut *connection, new.id).await?.is_some();
    rules::insert_user(new, same_id, by_name(&mut *connection, &new.name).await?.is_some())?;
    sqlx::query("insert into user (id, name, removed, created, body) values (?, ?, ?, ?, ?)")
        .bind(new.id.to_string())
        .bind(&new.name)
        .bind(i64::from(new.removed.is_some()))
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut SqliteConnection, new: &User) -> Query<()> {
    for &project in new.members.keys() {
        project::must_exist(&mut *connection, project).await?;
    }
    rules::update_user(new, by_id(&mut *connection, new.id).await?.as_ref())?;
    sqlx::query("update user set removed = ?, body = ? where id = ?")
        .bind(i64::from(new.removed.is_some()))
        .bind(row::body(new)?)
        .bind(new.id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn by_id(executor: impl SqliteExecutor<'_>, id: UserId) -> Query<Option<User>> {
    let query = sqlx::query_scalar("select body from user where id = ?").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn by_name(executor: impl SqliteExecutor<'_>, name: &str) -> Query<Option<User>> {
    let query = sqlx::query_scalar("select body from user where name = ? and removed = 0").bind(name);
    row::optional(query.fetch_optional(executor).await?)
}

async fn all(executor: impl SqliteExecutor<'_>) -> Query<Vec<User>> {
    row::many(sqlx::query_scalar("select body from user where removed = 0 order by name").fetch_all(executor).await?)
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn user(&self, id: UserId) -> Result<Option<User>> {
        by_id(&self.readers, id).await.failing(STEP, &self.path)
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>> {
        by_name(&self.readers, name).await.failing(STEP, &self.path)
    }

    async fn users(&self) -> Result<Vec<User>> {
        all(&self.readers).await.failing(STEP, &self.path)
    }
}
