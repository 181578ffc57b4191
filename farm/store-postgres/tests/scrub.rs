//! What was forgotten is in none of the ledger's tables, as they lie on the server's disk.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_domain::{Character, Forgotten};
use greenroom_store::{Batch, Forgetting, Store, conformance::sample};
use greenroom_store_postgres::PostgresStore;
use greenroom_test_postgres::Server;
use std::path::Path;

const SECRET: &str = "scarthatonlyhermotherknows";

/// Whether any file of a folder holds these bytes.
fn holds(folder: &Path, bytes: &str) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, bytes);
        }
        std::fs::read(&path).unwrap_or_default().windows(bytes.len()).any(|window| window == bytes.as_bytes())
    })
}

#[tokio::test]
async fn a_forgotten_character_is_in_no_table_of_the_ledger() {
    let server = Server::start();
    let database = server.database();
    let store = PostgresStore::open(&server.url(&database)).await.unwrap();
    let project = sample::project(1);
    let mara = Character { description: SECRET.into(), ..sample::character(&project, 1, "MARA") };
    let others = (2..40).map(|n| sample::character(&project, n, &format!("EXTRA {n}")));
    let batch = others.fold(Batch::new().insert_project(project.clone()), Batch::insert_character);
    store.commit(batch.insert_character(mara.clone())).await.unwrap();
    let tables = server.data().join("base");
    server.sql("postgres", "checkpoint");
    assert!(holds(&tables, SECRET), "it was there");
    let stone = Forgotten {
        character: mara.id,
        project: project.id,
        name: Forgotten::name_digest(mara.id, &mara.name),
        revisions: 1,
        at: sample::at(9),
        belongings: vec![],
        footage: vec![],
        cancelled: vec![],
        rewritten: 0,
        finished: None,
    };
    let forgetting = Forgetting { stone, characters: vec![], jobs: vec![], tasks: vec![], events: vec![] };
    store.commit(Batch::new().forget(forgetting)).await.unwrap();
    store.scrub().await.unwrap();
    server.sql("postgres", "checkpoint");
    for trace in [SECRET, "MARA"] {
        assert!(!holds(&tables, trace), "{trace} is still there");
    }
    store.integrity_check().await.unwrap();
}
