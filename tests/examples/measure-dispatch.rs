//! How many tasks a second a ledger hands out and takes back, each with its events, every commit flushed to the disk, and how
//! many rows it touches for each: `cargo xtask measure dispatch`.
//!
//! A commit holds what a busy daemon's writer gathers: the leases of one group of tasks and the outcomes of the group before.
//! The folder decides which disk is measured. Rows are PostgreSQL's own count of rows read and written in all tables.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, not a library"
)]

use greenroom_domain::{Event, EventBody, EventSeq, Job, Project, Task};
use greenroom_store::{Batch, Expected, Store, TaskStore, conformance::sample};
use greenroom_store_postgres::PostgresStore;
use greenroom_store_sqlite::SqliteStore;
use greenroom_test_postgres::Server;
use std::{path::PathBuf, time::Instant};

/// Tasks of a job.
const OF_A_JOB: u32 = 100;
/// Tasks handed out before anything is measured.
const WARM: usize = 1_000;
/// Tasks handed out.
const TASKS: usize = 8_000;
/// Tasks in one commit.
const GROUP: usize = 100;

#[tokio::main]
async fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("a folder on the disk that is to be measured"));
    let place = tempfile::Builder::new().prefix("dispatch-").tempdir_in(&folder).unwrap();
    let sqlite = SqliteStore::open(place.path().join("ledger.db")).await.unwrap();
    let tasks = queue(&sqlite).await;
    dispatch(&sqlite, &tasks[..WARM]).await;
    print("sqlite_dispatches_per_second", dispatch(&sqlite, &tasks[WARM..]).await, "1/s");
    sqlite.integrity_check().await.unwrap();

    let server = Server::start_in(&folder);
    let database = server.database();
    let open = async || PostgresStore::open(&server.url(&database)).await.unwrap();
    let postgres = open().await;
    let tasks = queue(&postgres).await;
    dispatch(&postgres, &tasks[..WARM]).await;
    // Sessions report what they touched when they end.
    postgres.close().await;
    server.sql(&database, "vacuum analyze");
    let postgres = open().await;
    let before = rows(&server, &database);
    print("postgres_dispatches_per_second", dispatch(&postgres, &tasks[WARM..]).await, "1/s");
    postgres.close().await;
    print("rows_per_task", (rows(&server, &database) - before) / TASKS as f64, "1");
    let postgres = open().await;
    assert!(postgres.open_tasks().await.unwrap().is_empty(), "everything was handed out and taken back");
    postgres.integrity_check().await.unwrap();
}

/// A full queue.
async fn queue(store: &dyn Store) -> Vec<(Project, Job, Task)> {
    let project = sample::project(1);
    store.commit(Batch::new().insert_project(project.clone())).await.unwrap();
    let mut all = vec![];
    for n in 0..(WARM + TASKS) as u32 / OF_A_JOB {
        let job = sample::job(&project, n);
        let tasks = (0..OF_A_JOB).map(|i| sample::task(&job, n * OF_A_JOB + i)).collect::<Vec<_>>();
        let batch = Batch::new().insert_job(job.clone());
        store.commit(tasks.iter().cloned().fold(batch, Batch::insert_task)).await.unwrap();
        all.extend(tasks.into_iter().map(|task| (project.clone(), job.clone(), task)));
    }
    all
}

/// Hands the tasks out and takes them back; answers how many a second.
async fn dispatch(store: &dyn Store, tasks: &[(Project, Job, Task)]) -> f64 {
    let started = Instant::now();
    let mut running: Vec<(Project, Job, Task)> = vec![];
    for group in tasks.chunks(GROUP).chain([&[][..]]) {
        let mut batch = Batch::new();
        for (n, (project, job, task)) in std::mem::take(&mut running).into_iter().enumerate() {
            let done = task.clone().finish(task.epoch, sample::output(n as u32), sample::at(9)).unwrap();
            let event = told(&project, &job, &done);
            batch = batch.update_task(done, Expected::of(&task)).event(event);
        }
        for (project, job, task) in group {
            let leased = task.clone().lease(sample::worker(1), sample::at(5)).unwrap();
            batch = batch.update_task(leased.clone(), Expected::of(task)).event(told(project, job, &leased));
            running.push((project.clone(), job.clone(), leased));
        }
        store.commit(batch).await.unwrap();
    }
    tasks.len() as f64 / started.elapsed().as_secs_f64()
}

/// As the daemon tells of a task.
fn told(project: &Project, job: &Job, task: &Task) -> Event {
    let state = task.state.name().to_owned();
    let body = EventBody::TaskChanged {
        task: task.id,
        kind: task.kind,
        shot: None,
        take: None,
        step: None,
        label: None,
        state,
        note: None,
    };
    Event { seq: EventSeq(0), at: sample::at(5), project: project.id, job: Some(job.id), body }
}

/// Rows of the ledger's tables that were read or written so far.
fn rows(server: &Server, database: &str) -> f64 {
    let sum = "select sum(n_tup_ins + n_tup_upd + n_tup_del + seq_tup_read + coalesce(idx_tup_fetch, 0)) \
               from pg_stat_user_tables where schemaname = 'greenroom'";
    server.sql(database, sum).trim().parse().unwrap()
}

fn print(figure: &str, value: f64, unit: &str) {
    println!("{}", serde_json::json!({ "figure": figure, "value": value, "unit": unit }));
}
