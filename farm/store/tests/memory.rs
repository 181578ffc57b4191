//! The ledger in memory keeps every promise of a store.

use greenroom_store::{MemoryStore, Store, conformance};
use std::sync::Arc;

async fn make() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

#[tokio::test]
async fn projects() {
    conformance::projects(make).await;
}

#[tokio::test]
async fn characters() {
    conformance::characters(make).await;
}

#[tokio::test]
async fn jobs() {
    conformance::jobs(make).await;
}

#[tokio::test]
async fn tasks() {
    conformance::tasks(make).await;
}

#[tokio::test]
async fn events() {
    conformance::events(make).await;
}

#[tokio::test]
async fn forgotten() {
    conformance::forgotten(make).await;
}

#[tokio::test]
async fn batches() {
    conformance::batches(make).await;
}

#[tokio::test]
async fn bookmarks() {
    conformance::bookmarks(make).await;
}

#[tokio::test]
async fn policies() {
    conformance::policies(make).await;
}

#[tokio::test]
async fn users() {
    conformance::users(make).await;
}

#[tokio::test]
async fn tokens() {
    conformance::tokens(make).await;
}

#[tokio::test]
async fn audits() {
    conformance::audits(make).await;
}
