//! Opening a database as a ledger, or saying why it cannot be one.

use greenroom_domain::ProblemKind;
use greenroom_store::{Result, StoreError};
use sqlx::{
    Connection, Executor, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::PgPoolOptions,
};

use crate::{
    backup,
    error::{Error, Failing, Query, unusable},
    lead,
    place::{CONNECTED_WITHIN, Place},
};

const STEP: &str = "open ledger";

/// The oldest server that does what is asked of it here: to notice that the other end of a session has gone. Tested: 15.
const OLDEST: i32 = 14;

/// Says whose schema it is.
pub(crate) const OURS: &str = "the ledger of Greenroom";

/// Whoever opens a ledger does so alone: `GRRM` and `open` in ASCII.
const LOCK: i64 = 0x4752_524d_6f70_656e;

/// Reads are short, and the control plane has few at a time.
const READERS: u32 = 8;

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!();

/// Makes sure that the database is a server's we know, is ours, and is up to date.
pub(crate) async fn prepare(place: &Place) -> Result<()> {
    let mut session = place.connect().await.failing(STEP, place)?;
    known(&mut session, place).await?;
    lock(&mut session, LOCK).await.failing(STEP, place)?;
    claim(&mut session, place).await?;
    migrate(&mut session, place).await?;
    session.close().await.failing(STEP, place)
}

/// Connections that read.
pub(crate) async fn readers(place: &Place) -> Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(READERS).acquire_timeout(CONNECTED_WITHIN);
    options.connect_with(place.sessions()).await.failing(STEP, place)
}

/// The version of the schema that the session's search path leads to; 0 where there is none yet.
pub(crate) async fn version(session: &mut PgConnection) -> Query<i64> {
    let there = "select to_regclass('_sqlx_migrations') is not null";
    if !sqlx::query_scalar::<_, bool>(there).fetch_one(&mut *session).await? {
        return Ok(0);
    }
    let last = "select coalesce(max(version), 0) from _sqlx_migrations where success";
    Ok(sqlx::query_scalar(last).fetch_one(session).await?)
}

async fn known(session: &mut PgConnection, place: &Place) -> Result<()> {
    let query = sqlx::query_as("select current_setting('server_version_num')::int, current_setting('fsync') = 'on'");
    let (number, durable): (i32, bool) = query.fetch_one(session).await.failing(STEP, place)?;
    if number / 10_000 < OLDEST {
        let cause = format!("the server is PostgreSQL {}, and this build needs {OLDEST} or newer", number / 10_000);
        return Err(unusable(ProblemKind::Invalid, STEP, place, cause, "bring the server up to date"));
    }
    if !durable {
        tracing::warn!(ledger = %place, "the server runs with fsync off: a power cut there loses jobs");
    }
    Ok(())
}

async fn lock(session: &mut PgConnection, key: i64) -> Query<()> {
    sqlx::query("select pg_advisory_lock($1)").bind(key).execute(session).await?;
    Ok(())
}

/// Makes the schema where there is none, takes an empty one, accepts our own, and leaves every other as it is.
async fn claim(session: &mut PgConnection, place: &Place) -> Result<()> {
    let query = "select coalesce(obj_description(oid, 'pg_namespace'), ''), \
                 exists (select from pg_class where relnamespace = pg_namespace.oid) \
                 from pg_namespace where nspname = 'greenroom'";
    let found: Option<(String, bool)> =
        sqlx::query_as(query).fetch_optional(&mut *session).await.failing(STEP, place)?;
    let claim = "comment on schema greenroom is 'the ledger of Greenroom'";
    match found {
        Some((owner, _)) if owner == OURS => Ok(()),
        Some((_, true)) => {
            let remedy = "name another database, or rename that schema";
            let cause = "its schema greenroom is another program's";
            Err(unusable(ProblemKind::Invalid, STEP, place, cause, remedy))
        }
        Some((_, false)) => session.execute(claim).await.map(drop).failing(STEP, place),
        None => {
            session.execute("create schema greenroom").await.failing(STEP, place)?;
            session.execute(claim).await.map(drop).failing(STEP, place)
        }
    }
}

async fn migrate(session: &mut PgConnection, place: &Place) -> Result<()> {
    let ours = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let theirs = version(session).await.failing(STEP, place)?;
    if theirs > ours {
        let cause = format!("it has schema version {theirs}, and this build knows versions up to {ours}");
        let remedy = "run the newer build that wrote it, or go back with its `greenroomd ledger restore`";
        return Err(unusable(ProblemKind::Invalid, STEP, place, cause, remedy));
    }
    if theirs > 0 && theirs < ours {
        let free =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(lead::LOCK).fetch_one(&mut *session).await;
        if !free.failing(STEP, place)? {
            let cause = format!("it has schema version {theirs}, and a daemon leads that knows no newer one");
            let remedy = "stop every daemon on this ledger, then start those of the new build";
            return Err(unusable(ProblemKind::Unavailable, STEP, place, cause, remedy));
        }
        backup::take(session, place, theirs).await?;
    }
    run(&MIGRATIONS, session, ours, place).await
}

/// Brings the schema that the session's search path leads to up to a version.
pub(crate) async fn run(migrations: &Migrator, session: &mut PgConnection, to: i64, place: &Place) -> Result<()> {
    match migrations.run_to(to, session).await {
        Ok(()) => Ok(()),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(Error::Sql(error)).failing("migrate ledger", place)
        }
        Err(error) => Err(StoreError::Corrupt(format!("{place}: {error}"))),
    }
}
