//! The policy as rows, one for each revision.

use async_trait::async_trait;
use greenroom_domain::Policy;
use greenroom_store::{PolicyStore, Result, rules};
use sqlx::{PgConnection, PgExecutor};

use crate::{
    PostgresStore,
    error::{Failing, Query},
    row,
};

pub(crate) async fn set(connection: &mut PgConnection, new: &Policy) -> Query<()> {
    rules::set_policy(new, newest(&mut *connection).await?.as_ref())?;
    let query = sqlx::query("insert into policy (revision, body) values ($1, $2)").bind(row::integer(new.revision));
    query.bind(row::body(new)?).execute(connection).await?;
    Ok(())
}

async fn newest(executor: impl PgExecutor<'_>) -> Query<Option<Policy>> {
    let query = sqlx::query_scalar("select body from policy order by revision desc limit 1");
    row::optional(query.fetch_optional(executor).await?)
}

#[async_trait]
impl PolicyStore for PostgresStore {
    async fn policy(&self) -> Result<Option<Policy>> {
        newest(&self.readers).await.failing("read policy", &self.place)
    }
}
