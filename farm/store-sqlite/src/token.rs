//! Tokens as rows; what is searched is the digest of the secret.

use async_trait::async_trait;
use greenroom_domain::{Digest, Holder, Token, TokenId};
use greenroom_store::{Result, TokenStore, rules};
use sqlx::{SqliteConnection, SqliteExecutor};

use crate::{
    SqliteStore,
    error::{Failing, Query},
    row, user,
};

const STEP: &str = "read token";

pub(crate) async fn insert(connection: &mut SqliteConnection, new: &Token) -> Query<()> {
    if let Holder::User { user } = new.holder {
        rules::token_holder(user, user::by_id(&mut *connection, user).await?.as_ref())?;
    }
    let same_id = by_id(&mut *connection, new.id).await?.is_some();
    rules::insert_token(new, same_id, by_hash(&mut *connection, new.hash).await?.as_ref())?;
    sqlx::query("insert into token (id, hash, earlier, created, body) values (?, ?, ?, ?, ?)")
        .bind(new.id.to_string())
        .bind(new.hash.to_string())
        .bind(new.earlier.map(|(hash, _)| hash.to_string()))
        .bind(new.created.as_millis())
        .bind(row::body(new)?)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) async fn update(connection: &mut SqliteConnection, new: &Token) -> Query<()> {
    let old = by_id(&mut *connection, new.id).await?;
    rules::update_token(new, old.as_ref(), by_hash(&mut *connection, new.hash).await?.as_ref())?;
    sqlx::query("update token set hash = ?, earlier = ?, body = ? where id = ?")
        .bind(new.hash.to_string())
        .bind(new.earlier.map(|(hash, _)| hash.to_string()))
        .bind(row::body(new)?)
        .bind(new.id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

async fn by_id(executor: impl SqliteExecutor<'_>, id: TokenId) -> Query<Option<Token>> {
    let query = sqlx::query_scalar("select body from token where id = ?").bind(id.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn by_hash(executor: impl SqliteExecutor<'_>, hash: Digest) -> Query<Option<Token>> {
    let query = sqlx::query_scalar("select body from token where hash = ?1 or earlier = ?1").bind(hash.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn all(executor: impl SqliteExecutor<'_>) -> Query<Vec<Token>> {
    row::many(sqlx::query_scalar("select body from token order by position").fetch_all(executor).await?)
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn token(&self, id: TokenId) -> Result<Option<Token>> {
        by_id(&self.readers, id).await.failing(STEP, &self.path)
    }

    async fn token_by_hash(&self, hash: Digest) -> Result<Option<Token>> {
        by_hash(&self.readers, hash).await.failing(STEP, &self.path)
    }

    async fn tokens(&self) -> Result<Vec<Token>> {
        all(&self.readers).await.failing(STEP, &self.path)
    }
}
