//! Leaving nothing of what was deleted in the ledger's files.

use greenroom_store::StoreError;
use sqlx::{Row, SqliteConnection};
use std::path::Path;

use crate::{backup, error::Query};

/// Writes the file anew from its live rows alone, and empties the write-ahead log into it. `secure_delete` already
/// overwrites what is deleted; this reaches what older builds deleted without it, and the log. Copies that were taken before a
/// migration go.
pub(crate) async fn scrub(connection: &mut SqliteConnection, path: &Path) -> Query<()> {
    backup::forget(path).map_err(|error| StoreError::io("scrub ledger", error))?;
    sqlx::query("vacuum").execute(&mut *connection).await?;
    let row = sqlx::query("pragma wal_checkpoint(truncate)").fetch_one(connection).await?;
    let (busy, left): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if busy == 0 && left == 0 {
        return Ok(());
    }
    let cause = "somebody reads the ledger, and its log cannot be emptied";
    Err(StoreError::io("scrub ledger", cause).into())
}
