//! What was forgotten is in none of the ledger's files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_domain::{Character, Forgotten};
use greenroom_store::{Batch, Forgetting, Store, conformance::sample};
use greenroom_store_sqlite::SqliteStore;
use std::path::Path;

const SECRET: &str = "a scar that only her mother knows";

/// Whether any file of a folder holds these bytes.
fn holds(folder: &Path, bytes: &str) -> bool {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes.as_bytes()))
}

#[tokio::test]
async fn a_forgotten_character_is_in_no_file_of_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("ledger.db")).await.unwrap();
    let project = sample::project(1);
    // Longer than a page, so that it lies on pages of its own.
    let mara = Character { description: SECRET.repeat(300), ..sample::character(&project, 1, "MARA") };
    let others = (2..40).map(|n| sample::character(&project, n, &format!("EXTRA {n}")));
    let batch = others.fold(Batch::new().insert_project(project.clone()), Batch::insert_character);
    store.commit(batch.insert_character(mara.clone())).await.unwrap();
    assert!(holds(folder.path(), SECRET), "it was there");
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
    for trace in [SECRET, "MARA"] {
        assert!(!holds(folder.path(), trace), "{trace} is still there");
    }
    store.integrity_check().await.unwrap();
}
