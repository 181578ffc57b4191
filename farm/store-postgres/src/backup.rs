//! A copy of the ledger beside it in the same database: taken before a migration, and the way back from one.
//!
//! It needs no program of the server's version on the daemon's machine, and no right that the ledger's owner lacks. It is no
//! backup against the loss of the database; that is the database administrator's, by `pg_dump` or a replica.

use greenroom_domain::ProblemKind;
use greenroom_store::Result;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::{
    error::{Failing, Query, unusable},
    lead, open,
    place::{Place, SCHEMA},
};

/// Where the copy is.
const COPY: &str = "greenroom_backup";

/// Where the ledger goes whose place the copy takes.
const UNDONE: &str = "greenroom_undone";

/// Copies the ledger as it is, in a schema of the same version.
pub(crate) async fn take(session: &mut PgConnection, place: &Place, version: i64) -> Result<()> {
    const STEP: &str = "copy ledger before its migration";
    tracing::info!(ledger = %place, version, copy = COPY, "copying the ledger before its migration");
    run(session, &format!("drop schema if exists {COPY} cascade; create schema {COPY}")).await.failing(STEP, place)?;
    let mut copy = place.connect_in(COPY).await.failing(STEP, place)?;
    // The same migrations make the same tables, with everything that holds them together.
    open::run(&open::MIGRATIONS, &mut copy, version, place).await?;
    copy.close().await.failing(STEP, place)?;
    fill(session).await.failing(STEP, place)
}

/// Puts the copy in the ledger's place.
pub(crate) async fn restore(place: &Place) -> Result<i64> {
    const STEP: &str = "restore ledger";
    let mut session = place.connect_in(COPY).await.failing(STEP, place)?;
    let free = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(lead::LOCK).fetch_one(&mut session).await;
    if !free.failing(STEP, place)? {
        let remedy = "stop every daemon on this ledger first";
        return Err(unusable(ProblemKind::Conflict, STEP, place, "a daemon uses it", remedy));
    }
    let version = open::version(&mut session).await.failing(STEP, place)?;
    if version == 0 {
        let remedy = "restore the database itself from its administrator's backup";
        return Err(unusable(ProblemKind::NotFound, STEP, place, "no copy was taken before a migration", remedy));
    }
    let swap = format!(
        "begin; drop schema if exists {UNDONE} cascade; alter schema {SCHEMA} rename to {UNDONE}; \
         alter schema {COPY} rename to {SCHEMA}; comment on schema {SCHEMA} is '{}'; commit",
        open::OURS
    );
    run(&mut session, &swap).await.failing(STEP, place)?;
    session.close().await.failing(STEP, place)?;
    Ok(version)
}

/// Lets go of every copy.
pub(crate) async fn forget(session: &mut PgConnection) -> Query<()> {
    run(session, &format!("drop schema if exists {COPY} cascade; drop schema if exists {UNDONE} cascade")).await
}

/// Copies the rows of every table, in the order in which the tables were made: a table is referred to by later ones alone.
async fn fill(session: &mut PgConnection) -> Query<()> {
    let mut snapshot = session.begin_with("begin isolation level repeatable read read write").await?;
    let tables = "select relname from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'r' \
                  and relname <> '_sqlx_migrations' order by oid";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *snapshot).await?;
    for table in tables {
        run(&mut snapshot, &format!("delete from {COPY}.\"{table}\"")).await?;
        let copy = format!("insert into {COPY}.\"{table}\" overriding system value select * from {SCHEMA}.\"{table}\"");
        run(&mut snapshot, &copy).await?;
    }
    let counters = "select format('select setval(pg_get_serial_sequence(%L, %L), greatest(max(%I), 1)) from %I.%I', \
                    format('%I.%I', table_schema, table_name), column_name, column_name, table_schema, table_name) \
                    from information_schema.columns where table_schema = $1 and is_identity = 'YES'";
    let counters: Vec<String> = sqlx::query_scalar(counters).bind(COPY).fetch_all(&mut *snapshot).await?;
    for counter in counters {
        run(&mut snapshot, &counter).await?;
    }
    snapshot.commit().await?;
    Ok(())
}

async fn run(session: &mut PgConnection, statements: &str) -> Query<()> {
    session.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await?;
    Ok(())
}
