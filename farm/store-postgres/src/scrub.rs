//! Leaving nothing of what was deleted in the ledger's tables.

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::{backup, error::Query};

/// Writes every table anew from its live rows alone, and lets go of copies that were taken before a migration. The
/// write-ahead log keeps old pages until PostgreSQL overwrites it, as backups do; both are the database administrator's.
pub(crate) async fn scrub(connection: &mut PgConnection) -> Query<()> {
    backup::forget(connection).await?;
    let tables = "select tablename from pg_tables where schemaname = current_schema()";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *connection).await?;
    for table in tables {
        connection.execute(AssertSqlSafe(format!("vacuum (full) \"{table}\""))).await?;
    }
    Ok(())
}
