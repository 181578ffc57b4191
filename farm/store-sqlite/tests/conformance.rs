//! The ledger in SQLite keeps every promise of a store.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_store::{Store, conformance};
use greenroom_store_sqlite::SqliteStore;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tempfile::TempDir;

/// One folder for a suite, one file for each of its stories.
fn files() -> (TempDir, impl AsyncFn() -> Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let count = AtomicU32::new(0);
    let make = async move || {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(path.join(format!("{n}.db"))).await.unwrap());
        store
    };
    (folder, make)
}

#[tokio::test]
async fn projects() {
    let (_folder, make) = files();
    conformance::projects(make).await;
}

#[tokio::test]
async fn characters() {
    let (_folder, make) = files();
    conformance::characters(make).await;
}

#[tokio::test]
async fn jobs() {
    let (_folder, make) = files();
    conformance::jobs(make).await;
}

#[tokio::test]
async fn tasks() {
    let (_folder, make) = files();
    conformance::tasks(make).await;
}

#[tokio::test]
async fn events() {
    let (_folder, make) = files();
    conformance::events(make).await;
}

#[tokio::test]
async fn forgotten() {
    let (_folder, make) = files();
    conformance::forgotten(make).await;
}

#[tokio::test]
async fn batches() {
    let (_folder, make) = files();
    conformance::batches(make).await;
}

#[tokio::test]
async fn bookmarks() {
    let (_folder, make) = files();
    conformance::bookmarks(make).await;
}

#[tokio::test]
async fn policies() {
    let (_folder, make) = files();
    conformance::policies(make).await;
}

#[tokio::test]
async fn model() {
    let (_folder, make) = files();
    conformance::model(make).await;
}

#[tokio::test]
async fn users() {
    let (_folder, make) = files();
    conformance::users(make).await;
}

#[tokio::test]
async fn tokens() {
    let (_folder, make) = files();
    conformance::tokens(make).await;
}

#[tokio::test]
async fn audits() {
    let (_folder, make) = files();
    conformance::audits(make).await;
}
