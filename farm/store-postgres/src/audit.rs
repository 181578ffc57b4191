//! The audit log as rows. They are only ever added; the database itself refuses anything else.

use async_trait::async_trait;
use greenroom_domain::{AuditRow, Deed};
use greenroom_store::{AuditStore, DeedFilter, Result};
use sqlx::{PgConnection, PgExecutor};

use crate::{
    PostgresStore,
    error::{Failing, Query},
    row,
};

const STEP: &str = "read audit log";

/// Appends a row, in the transaction of the changes that it tells of.
pub(crate) async fn append(connection: &mut PgConnection, deed: &Deed) -> Query<()> {
    let last = sqlx::query_scalar("select body from audit order by seq desc limit 1").fetch_optional(&mut *connection);
    let last = row::optional::<AuditRow>(last.await?)?;
    let new = AuditRow::after(last.as_ref(), deed.clone());
    sqlx::query("insert into audit (seq, at, who, body) values ($1, $2, $3, $4)")
        .bind(row::integer(new.seq))
        .bind(new.deed.at.as_millis())
        .bind(&new.deed.user)
        .bind(row::body(&new)?)
        .execute(connection)
        .await?;
    Ok(())
}

type Columns = (i64, i64, String, String);

async fn after(executor: impl PgExecutor<'_>, seq: u64, limit: usize) -> Query<Vec<Columns>> {
    let query = sqlx::query_as("select seq, at, who, body from audit where seq > $1 order by seq limit $2");
    Ok(query.bind(row::integer(seq)).bind(row::integer(limit)).fetch_all(executor).await?)
}

async fn newest(executor: impl PgExecutor<'_>, filter: &DeedFilter, limit: usize) -> Query<Vec<Columns>> {
    let query = "select seq, at, who, body from audit where at >= $1 and ($2 is null or who = $2) \
                 order by seq desc limit $3";
    let since = filter.since.map_or(i64::MIN, |since| since.as_millis());
    Ok(sqlx::query_as(query).bind(since).bind(&filter.user).bind(row::integer(limit)).fetch_all(executor).await?)
}

/// The row, if its columns say what its body says.
fn whole((seq, at, user, body): Columns) -> Option<AuditRow> {
    let row: AuditRow = serde_json::from_str(&body).ok()?;
    (row::integer(row.seq) == seq && row.deed.at.as_millis() == at && row.deed.user == user).then_some(row)
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn audit(&self, seq: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRow>)>> {
        let rows = after(&self.readers, seq, limit).await.failing(STEP, &self.place)?;
        Ok(rows.into_iter().map(|row| (row.0.unsigned_abs(), whole(row))).collect())
    }

    async fn deeds(&self, filter: &DeedFilter, limit: usize) -> Result<Vec<AuditRow>> {
        let rows = newest(&self.readers, filter, limit).await.failing(STEP, &self.place)?;
        Ok(rows.into_iter().filter_map(whole).collect())
    }
}
