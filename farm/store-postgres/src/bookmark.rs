//! How far somebody has read in the event log, as rows.

use async_trait::async_trait;
use greenroom_domain::EventSeq;
use greenroom_store::{BookmarkStore, Result};
use sqlx::PgConnection;

use crate::{
    PostgresStore,
    error::{Failing, Query},
    row,
};

pub(crate) async fn set(connection: &mut PgConnection, name: &str, seq: EventSeq) -> Query<()> {
    let set = "insert into bookmark (name, seq) values ($1, $2) on conflict (name) do update set seq = excluded.seq";
    sqlx::query(set).bind(name).bind(row::integer(seq.0)).execute(connection).await?;
    Ok(())
}

#[async_trait]
impl BookmarkStore for PostgresStore {
    async fn bookmark(&self, name: &str) -> Result<Option<EventSeq>> {
        let query = sqlx::query_scalar("select seq from bookmark where name = $1").bind(name);
        let seq: Option<i64> = query.fetch_optional(&self.readers).await.failing("read bookmark", &self.place)?;
        Ok(seq.map(|seq| EventSeq(seq.unsigned_abs())))
    }
}
