//! Opening a file as a ledger, or saying why it cannot be one.

use greenroom_domain::ProblemKind;
use greenroom_store::{Result, StoreError};
use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{fs::OpenOptions, io::ErrorKind, path::Path, time::Duration};

use crate::{
    backup,
    error::{Failing, Query, unusable},
};

const STEP: &str = "open ledger";

/// `GRRM` in the file's header says whose database it is.
const APPLICATION: i64 = 0x4752_524d;

/// Reads are short, and the control plane has few at a time.
const READERS: u32 = 4;

/// Another process that writes (a backup, a person with a shell) is waited for this long.
const BUSY: Duration = Duration::from_secs(5);

/// What to do about a ledger that a newer build has migrated.
const GO_BACK: &str = "run the newer build that wrote it, or go back with its `greenroomd ledger restore`";

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The one connection that writes, on a file that is ours and up to date.
pub(crate) async fn writer(path: &Path) -> Result<SqliteConnection> {
    touch(path)?;
    // Whose file it is must be known before anything is written to it, and switching to write-ahead mode is a write.
    claim(path).await?;
    let mut connection = connect(path).await?;
    let (ours, theirs) = (newest(), version(&mut connection).await.failing(STEP, path)?);
    if theirs > 0 && theirs < ours {
        backup::take(&mut connection, path, theirs).await?;
    }
    match MIGRATIONS.run(&mut connection).await {
        Ok(()) => Ok(connection),
        Err(MigrateError::VersionMissing(version)) => {
            let cause = format!("it has schema version {version}, and this build knows versions up to {ours}");
            Err(unusable(ProblemKind::Invalid, STEP, path, cause, GO_BACK))
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(error).failing("migrate ledger", path)
        }
        Err(error) => Err(StoreError::Corrupt(format!("{}: {error}", path.display()))),
    }
}

/// A connection that writes, on a file that was opened before.
pub(crate) async fn connect(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What is deleted or written over is overwritten with zeros: a person can be forgotten.
        .pragma("secure_delete", "on")
        .busy_timeout(BUSY);
    options.connect().await.failing(STEP, path)
}

/// Connections that cannot write.
pub(crate) async fn readers(path: &Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY);
    SqlitePoolOptions::new().max_connections(READERS).connect_with(options).await.failing(STEP, path)
}

/// The version of the schema that this build writes.
fn newest() -> i64 {
    MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0)
}

/// The version of the file's schema; 0 where there is none yet.
async fn version(connection: &mut SqliteConnection) -> Query<i64> {
    let there = "select count(*) from sqlite_schema where name = '_sqlx_migrations'";
    if sqlx::query_scalar::<_, i64>(there).fetch_one(&mut *connection).await? == 0 {
        return Ok(0);
    }
    Ok(sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations").fetch_one(connection).await?)
}

/// Makes the file where there is none; SQLite's own words for what can go wrong here help nobody.
fn touch(path: &Path) -> Result<()> {
    let Err(error) = OpenOptions::new().read(true).append(true).create(true).open(path) else { return Ok(()) };
    let (kind, cause, remedy) = match error.kind() {
        ErrorKind::NotFound if !path.parent().is_some_and(Path::is_dir) => {
            (ProblemKind::NotFound, "its folder does not exist", "make the folder first")
        }
        // A folder that takes no new files, /proc say, answers "not found" too.
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (ProblemKind::Denied, "the file cannot be written", "let the daemon's user write the file and its folder")
        }
        ErrorKind::StorageFull => (ProblemKind::Unavailable, "the disk is full", "free some space on it and try again"),
        ErrorKind::IsADirectory => (ProblemKind::Invalid, "it is a folder", "name a file"),
        _ => return Err(StoreError::io(STEP, error)),
    };
    Err(unusable(kind, STEP, path, cause, remedy))
}

/// Takes an empty file, accepts our own, and leaves every other as it is.
async fn claim(path: &Path) -> Result<()> {
    use sqlx::Connection as _;
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY);
    let mut connection = options.connect().await.failing(STEP, path)?;
    let owner: i64 =
        sqlx::query_scalar("pragma application_id").fetch_one(&mut connection).await.failing(STEP, path)?;
    let tables: i64 = sqlx::query_scalar("select count(*) from sqlite_schema")
        .fetch_one(&mut connection)
        .await
        .failing(STEP, path)?;
    if owner != APPLICATION && (owner != 0 || tables > 0) {
        let remedy = "name another file, or move this one away to start a new ledger";
        let cause = "the file is another program's database";
        return Err(unusable(ProblemKind::Invalid, STEP, path, cause, remedy));
    }
    if owner == 0 {
        // 0x4752524d, see APPLICATION; a pragma takes no parameters.
        sqlx::query("pragma application_id = 1196577357").execute(&mut connection).await.failing(STEP, path)?;
    }
    connection.close().await.failing(STEP, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger as the first build made it, with a character as that build wrote one.
    async fn of_the_first_schema(path: &Path) {
        touch(path).unwrap();
        claim(path).await.unwrap();
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        let first = MIGRATIONS.iter().take(1).cloned().collect::<Vec<_>>();
        Migrator { migrations: first.into(), ..Migrator::DEFAULT }.run(&mut connection).await.unwrap();
        let (project, mara) = sample();
        let insert = "insert into project (id, name, created, body) values (?, ?, ?, ?)";
        let query = sqlx::query(insert).bind(project.id.to_string()).bind(&project.name);
        let body = serde_json::to_string(&project).unwrap();
        query.bind(project.created.as_millis()).bind(body).execute(&mut connection).await.unwrap();
        let insert = "insert into character (id, revision, latest, project, name, created, body) \
                      values (?, 1, 1, ?, 'MARA', ?, ?)";
        let query = sqlx::query(insert).bind(mara.id.to_string()).bind(project.id.to_string());
        let body = serde_json::to_string(&mara).unwrap();
        assert!(!body.contains("consent"), "the first build knew no consent");
        query.bind(mara.created.as_millis()).bind(body).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
    }

    fn sample() -> (greenroom_domain::Project, greenroom_domain::Character) {
        use greenroom_store::conformance::sample;
        let project = sample::project(1);
        let mara = sample::character(&project, 1, "MARA");
        (project, mara)
    }

    #[tokio::test]
    async fn a_ledger_of_the_first_schema_keeps_its_characters_and_learns_to_forget() {
        use greenroom_store::{CharacterStore, ForgottenStore, Store};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        of_the_first_schema(&path).await;
        let (project, mara) = sample();
        let store = crate::SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.character_by_name(project.id, "MARA").await.unwrap(), Some(mara));
        assert_eq!(store.forgotten(project.id).await.unwrap(), []);
        store.integrity_check().await.unwrap();
    }

    #[tokio::test]
    async fn a_migration_leaves_a_copy_and_there_is_a_way_back() {
        use greenroom_store::{Batch, CharacterStore, ProjectStore, Store, conformance::sample};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        of_the_first_schema(&path).await;
        let (project, mara) = sample();
        let store = crate::SqliteStore::open(&path).await.unwrap();
        store.commit(Batch::new().insert_project(sample::project(2))).await.unwrap();
        drop(store); // as a daemon that was killed: its log stays beside the file
        assert_eq!(crate::SqliteStore::restore(&path).unwrap(), 1);
        let mut old = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        assert_eq!(version(&mut old).await.unwrap(), 1, "the build of the first schema can open it");
        sqlx::Connection::close(old).await.unwrap();
        let store = crate::SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.character_by_name(project.id, "MARA").await.unwrap(), Some(mara));
        assert_eq!(store.projects().await.unwrap().len(), 1, "what the newer build wrote is undone");
        let undone = crate::SqliteStore::open(folder.path().join("ledger.db.undone")).await.unwrap();
        assert_eq!(undone.projects().await.unwrap().len(), 2, "and is not lost");
        drop(undone);
        store.scrub().await.unwrap();
        let left = crate::SqliteStore::restore(&path).unwrap_err().to_string();
        assert!(left.ends_with("no copy was taken before a migration"), "{left}");
        assert!(!folder.path().join("ledger.db.undone").exists(), "who is forgotten is in no copy");
    }

    #[tokio::test]
    async fn a_new_file_carries_our_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        writer(&path).await.unwrap();
        let header = std::fs::read(&path).unwrap();
        assert_eq!(&header[68..72], b"GRRM", "SQLite keeps the application id at offset 68");
        assert_eq!(u32::from_be_bytes(*b"GRRM"), APPLICATION as u32);
    }
}
