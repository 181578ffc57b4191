//! What a person reads when a file cannot be the ledger, and that a file which can be keeps everything.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_store::{Batch, ProjectStore, Store, conformance::sample};
use greenroom_store_sqlite::SqliteStore;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::path::Path;

async fn shell(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// The whole text: what is wrong with which file, and what to do.
async fn refusal(path: &Path) -> String {
    let error = SqliteStore::open(path).await.expect_err("the file cannot be opened");
    let problem = error.problem();
    format!("{error}\n{}", problem.remedy).replace(&path.display().to_string(), "FILE")
}

#[tokio::test]
async fn a_ledger_that_is_opened_again_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(Batch::new().insert_project(sample::project(1))).await.unwrap();
    store.close().await.unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.projects().await.unwrap(), [sample::project(1)]);
    store.integrity_check().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "INT. HIDDEN LAB - NIGHT\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let expected = "open ledger: FILE: the file is not a database\n\
                    name another file, or move this one away to start a new ledger";
    assert_eq!(refusal(&path).await, expected);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail.db");
    let mut other = shell(&path).await;
    sqlx::query("create table mail (body text)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let expected = "open ledger: FILE: the file is another program's database\n\
                    name another file, or move this one away to start a new ledger";
    assert_eq!(refusal(&path).await, expected);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_schema_is_left_to_the_newer_build() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    let mut newer = shell(&path).await;
    let insert = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
                  values (999, 'of the future', true, x'00', 0)";
    sqlx::query(insert).execute(&mut newer).await.unwrap();
    newer.close().await.unwrap();
    let expected = "open ledger: FILE: it has schema version 999, and this build knows versions up to 5\n\
                    run the newer build that wrote it, or go back with its `greenroomd ledger restore`";
    assert_eq!(refusal(&path).await, expected);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    // Nobody, not even root, can make a file there, and it is mounted wherever programs run, in a bare chroot too.
    let expected = "open ledger: FILE: the file cannot be written\n\
                    let the daemon's user write the file and its folder";
    assert_eq!(refusal(Path::new("/proc/ledger.db")).await, expected);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/ledger.db");
    assert_eq!(refusal(&path).await, "open ledger: FILE: its folder does not exist\nmake the folder first");
    assert_eq!(refusal(folder.path()).await, "open ledger: FILE: it is a folder\nname a file");
}

#[tokio::test]
async fn a_row_that_somebody_edited_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let (project, job) = (sample::project(1), sample::job(&sample::project(1), 1));
    let batch = Batch::new().insert_project(project.clone()).insert_job(job.clone());
    store.commit(batch.event(sample::event(&project, Some(&job), 1))).await.unwrap();
    let mut editor = shell(&path).await;
    sqlx::query("update job set state = 'done'").execute(&mut editor).await.unwrap();
    sqlx::query("update event set seq = 7").execute(&mut editor).await.unwrap();
    let text = store.integrity_check().await.expect_err("the damage is found").to_string();
    assert!(text.contains("the log has 1 events, but the last has number 7"), "{text}");
    assert!(text.contains(&format!("`{} {} {} done", job.id, job.project, job.request)), "{text}");
}
