//! A daemon that is killed in the middle of a commit loses nothing that it answered, and leaves nothing half done.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use greenroom_domain::EventSeq;
use greenroom_store::{Batch, EventScope, EventStore, JobStore, ProjectStore, Store, TaskStore, conformance::sample};
use greenroom_store_sqlite::SqliteStore;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Set in the child: the ledger that it writes until it is killed.
const LEDGER: &str = "GREENROOM_TEST_LEDGER_TO_KILL";
const KILLS: u32 = 20;
const TASKS: u32 = 8;
const EVENTS: u32 = 4;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a child of the test learns here that it is one")]
async fn twenty_kills_in_the_middle_of_a_commit_lose_nothing() {
    if let Some(path) = std::env::var_os(LEDGER) {
        return write_until_killed(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut hits = 0;
    for round in 0..10 * KILLS {
        let (begun, acknowledged) = run_and_kill(&path, round);
        check(&path, begun, acknowledged).await;
        hits += u32::from(begun > acknowledged);
        if hits == KILLS {
            return;
        }
    }
    panic!("only {hits} kills hit a commit");
}

/// The child: says `begin` before each batch and `done` once it was answered.
async fn write_until_killed(path: &Path) {
    let store = SqliteStore::open(path).await.unwrap();
    let project = sample::project(0);
    if store.project(project.id).await.unwrap().is_none() {
        store.commit(Batch::new().insert_project(project.clone())).await.unwrap();
    }
    let mut out = std::io::stdout();
    let first = store.jobs(None, usize::MAX).await.unwrap().len() as u32 + 1;
    for n in first.. {
        let job = sample::job(&project, n);
        let tasks = (0..TASKS).map(|i| sample::task(&job, n * 100 + i));
        let batch = tasks.fold(Batch::new().insert_job(job.clone()), Batch::insert_task);
        let batch = (0..EVENTS).fold(batch, |batch, i| batch.event(sample::event(&project, Some(&job), i)));
        writeln!(out, "\nbegin {n}").unwrap();
        out.flush().unwrap();
        store.commit(batch).await.unwrap();
        writeln!(out, "\ndone {n}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts the child, kills it some time after a batch began, and answers the last batch that it began and the last that
/// it was told is written. Where they differ, the kill hit between the two: inside the commit.
#[expect(clippy::disallowed_methods, reason = "the kills must fall into different moments of a commit")]
fn run_and_kill(path: &Path, round: u32) -> (u32, u32) {
    let name = "twenty_kills_in_the_middle_of_a_commit_lose_nothing";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(LEDGER, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut begun, mut acknowledged, mut begins) = (0, 0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        match line.unwrap().split_once(' ').map(|(word, n)| (word.to_owned(), n.parse())) {
            Some((word, Ok(n))) if word == "begin" => (begun, begins) = (n, begins + 1),
            Some((word, Ok(n))) if word == "done" => acknowledged = n,
            _ => continue,
        }
        if begins == 1 + round % 3 && begun > acknowledged {
            // Each round a little later, from the first insert to the flush.
            std::thread::sleep(Duration::from_micros(u64::from(round % KILLS) * 150));
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ends only by the kill");
    assert!(begun > 0, "the child wrote");
    (begun, acknowledged.max(begun - 1))
}

/// Every acknowledged batch is there, the one that was hit is there or not, and each is whole.
async fn check(path: &Path, begun: u32, acknowledged: u32) {
    let store = SqliteStore::open(path).await.unwrap();
    store.integrity_check().await.unwrap();
    let jobs = store.jobs(None, usize::MAX).await.unwrap();
    let written = jobs.len() as u32;
    assert!((acknowledged..=begun).contains(&written), "{written} batches, {acknowledged} acknowledged, {begun} begun");
    for job in &jobs {
        assert_eq!(store.tasks(job.id).await.unwrap().len() as u32, TASKS);
        let events = store.events(EventSeq(0), EventScope::Job(job.id), usize::MAX).await.unwrap();
        assert_eq!(events.len() as u32, EVENTS);
    }
    assert_eq!(store.last_seq().await.unwrap(), EventSeq(u64::from(written * EVENTS)));
}
