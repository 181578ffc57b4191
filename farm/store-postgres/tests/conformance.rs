//! The ledger in PostgreSQL keeps every promise of a store.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_store::{Store, conformance};
use greenroom_store_postgres::PostgresStore;
use greenroom_test_postgres::Server;
use std::sync::Arc;

/// One server and one database for all suites, which take a second each to make; every story begins without a ledger in it.
#[tokio::test]
async fn every_promise_of_a_store_is_kept() {
    let server = Server::start();
    let database = server.database();
    let make = async || {
        server.sql(&database, "set client_min_messages = warning; drop schema if exists greenroom cascade");
        let store = PostgresStore::open(&server.url(&database)).await.unwrap();
        Arc::new(store) as Arc<dyn Store>
    };
    conformance::projects(make).await;
    conformance::characters(make).await;
    conformance::jobs(make).await;
    conformance::tasks(make).await;
    conformance::events(make).await;
    conformance::forgotten(make).await;
    conformance::batches(make).await;
    conformance::bookmarks(make).await;
    conformance::policies(make).await;
    conformance::users(make).await;
    conformance::tokens(make).await;
    conformance::audits(make).await;
    conformance::model(make).await;
}
