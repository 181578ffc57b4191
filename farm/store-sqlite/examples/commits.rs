//! How many commits a second this disk keeps, flush included: `cargo run --release --example commits -- FOLDER`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, not a library"
)]

use greenroom_store::{Batch, Expected, Store, TaskStore, conformance::sample};
use greenroom_store_sqlite::SqliteStore;
use std::time::{Duration, Instant};

const TASKS: u32 = 1_000;

#[tokio::main]
async fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let path = tempfile::Builder::new().prefix("commits").tempdir_in(folder).unwrap();
    let store = SqliteStore::open(path.path().join("ledger.db")).await.unwrap();
    let project = sample::project(1);
    let job = sample::job(&project, 1);
    store.commit(Batch::new().insert_project(project.clone()).insert_job(job.clone())).await.unwrap();
    let all = (0..TASKS).fold(Batch::new(), |batch, n| batch.insert_task(sample::task(&job, n)));
    let start = Instant::now();
    store.commit(all).await.unwrap();
    println!("{TASKS} tasks in one commit: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let mut times: Vec<Duration> = vec![];
    for n in 0..TASKS {
        let task = sample::task(&job, n);
        let leased = task.clone().lease(sample::worker(1), sample::at(2)).unwrap();
        let batch = Batch::new().update_task(leased, Expected::of(&task)).event(sample::event(&project, Some(&job), n));
        let start = Instant::now();
        store.commit(batch).await.unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    let total: Duration = times.iter().sum();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    println!(
        "leases, one a commit: {:.0} commits/s, p50 {:.2} ms, p99 {:.2} ms",
        f64::from(TASKS) / total.as_secs_f64(),
        at(50),
        at(99)
    );
    let start = Instant::now();
    let open = store.open_tasks().await.unwrap().len();
    println!("{open} open tasks read in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
}
