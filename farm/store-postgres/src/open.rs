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
    if let Some(error) = too_old(number, place) {
        return Err(error);
    }
    if !durable {
        tracing::warn!(ledger = %place, "the server runs with fsync off: a power cut there loses jobs");
    }
    Ok(())
}

fn too_old(number: i32, place: &Place) -> Option<StoreError> {
    let version = number / 10_000;
    let cause = format!("the server is PostgreSQL {version}, and this build needs {OLDEST} or newer");
    (version < OLDEST).then(|| unusable(ProblemKind::Invalid, STEP, place, cause, "bring the server up to date"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PostgresStore;
    use greenroom_store::{Batch, CharacterStore, ForgottenStore, ProjectStore, Store, conformance::sample};
    use greenroom_test_postgres::Server;

    /// A ledger as the first build made it, with a character in it.
    async fn of_the_first_schema(place: &Place) -> (greenroom_domain::Project, greenroom_domain::Character) {
        let mut session = place.connect().await.unwrap();
        claim(&mut session, place).await.unwrap();
        run(&MIGRATIONS, &mut session, 1, place).await.unwrap();
        let project = sample::project(1);
        let mara = sample::character(&project, 1, "MARA");
        let insert = "insert into project (id, name, created, body) values ($1, $2, $3, $4)";
        let query = sqlx::query(insert).bind(project.id.to_string()).bind(&project.name);
        let body = serde_json::to_string(&project).unwrap();
        query.bind(project.created.as_millis()).bind(body).execute(&mut session).await.unwrap();
        let insert = "insert into character (id, revision, latest, project, name, created, body) \
                      values ($1, 1, true, $2, 'MARA', $3, $4)";
        let query = sqlx::query(insert).bind(mara.id.to_string()).bind(project.id.to_string());
        let body = serde_json::to_string(&mara).unwrap();
        query.bind(mara.created.as_millis()).bind(body).execute(&mut session).await.unwrap();
        session.close().await.unwrap();
        (project, mara)
    }

    #[tokio::test]
    async fn a_migration_leaves_a_copy_and_there_is_a_way_back() {
        let server = Server::start();
        let url = server.url(&server.database());
        let place = Place::parse(&url).unwrap();
        let (project, mara) = of_the_first_schema(&place).await;
        let store = PostgresStore::open(&url).await.unwrap();
        assert_eq!(store.forgotten(project.id).await.unwrap(), []);
        store.commit(Batch::new().insert_project(sample::project(2))).await.unwrap();
        let term = store.lead("http://a").await.unwrap();
        let busy = PostgresStore::restore(&url).await.unwrap_err().to_string();
        assert!(busy.ends_with("a daemon uses it"), "{busy}");
        drop(term);
        store.close().await;
        assert_eq!(PostgresStore::restore(&url).await.unwrap(), 1);
        let mut old = place.connect().await.unwrap();
        assert_eq!(version(&mut old).await.unwrap(), 1, "the build of the first schema can open it");
        let store = PostgresStore::open(&url).await.unwrap();
        assert_eq!(store.character_by_name(project.id, "MARA").await.unwrap(), Some(mara));
        assert_eq!(store.projects().await.unwrap(), [project], "what the newer build wrote is undone");
        store
            .commit(Batch::new().insert_project(sample::project(3)))
            .await
            .expect("numbers go on behind the copied ones");
        store.integrity_check().await.unwrap();
        let undone = "select count(*) from greenroom_undone.project";
        assert_eq!(sqlx::query_scalar::<_, i64>(undone).fetch_one(&mut old).await.unwrap(), 2, "and is not lost");
        store.scrub().await.unwrap();
        let left = PostgresStore::restore(&url).await.unwrap_err().to_string();
        assert!(left.ends_with("no copy was taken before a migration"), "{left}");
    }

    #[tokio::test]
    async fn nobody_migrates_under_a_leader_of_an_older_build() {
        let server = Server::start();
        let url = server.url(&server.database());
        let place = Place::parse(&url).unwrap();
        of_the_first_schema(&place).await;
        let mut leader = place.connect().await.unwrap();
        lock(&mut leader, lead::LOCK).await.unwrap();
        let refused = PostgresStore::open(&url).await.unwrap_err();
        assert!(refused.to_string().ends_with("a daemon leads that knows no newer one"), "{refused}");
        leader.close().await.unwrap();
        PostgresStore::open(&url).await.unwrap();
    }

    #[test]
    fn a_server_of_an_older_version_is_told() {
        let place = Place::parse("postgres://farm@db/ledger").unwrap();
        let said = too_old(130_014, &place).unwrap();
        assert!(said.to_string().ends_with("the server is PostgreSQL 13, and this build needs 14 or newer"), "{said}");
        assert!(too_old(150_018, &place).is_none());
    }
}
