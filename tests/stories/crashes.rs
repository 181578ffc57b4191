//! Processes die, jobs do not.

use greenroom_proto::v1::{ReportFile, job::State};
use greenroom_tests::{CLOSE_MARA, CLOSE_TOBIN, Farm, alive, of_kind, shot_file};
use std::collections::BTreeSet;

const PATHS: [&str; 4] = ["episode.mp4", "clips/1-1.mp4", "clips/1-2.mp4", "contact-sheet.png"];

/// The paths of what was filmed; strips come and go with the takes.
fn films(files: &[ReportFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).filter(|path| !path.starts_with("strips/")).collect()
}

#[tokio::test]
async fn a_task_whose_worker_is_killed_goes_to_the_next_one() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let pushed = lab.push("both.toml", shot_file("Both", &[CLOSE_MARA, CLOSE_TOBIN]).as_bytes()).await;
    let task = lab.computing(&pushed.job.name, "generate").await;
    let killed = farm.kill_worker();
    let job = lab.ended(&pushed.job.name).await;
    assert!(matches!(job.state(), State::Done | State::Draft), "{job:?}");
    for generate in of_kind(&job, "generate") {
        // Leased again: the kill hit while the first lease was held.
        assert_eq!(generate.attempts, if generate.uid == task { 2 } else { 1 });
    }
    assert!(!alive(killed));
    assert!(farm.worker_pids().iter().all(|&pid| pid != killed && alive(pid)));
    let (_, files) = lab.report(&job).await;
    assert_eq!(films(&files), PATHS, "one clip a shot");
}

#[tokio::test]
async fn a_job_goes_on_where_a_killed_daemon_left_it() {
    let mut farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let pushed = lab.push("both.toml", shot_file("Both", &[CLOSE_MARA, CLOSE_TOBIN]).as_bytes()).await;
    lab.reached(&pushed.job.name, "generate", "done").await;
    let held = lab.computing(&pushed.job.name, "generate").await;
    let workers = farm.worker_pids();
    let before = lab.job(&pushed.job.name).await;
    farm.kill_daemon();
    farm.gone(&workers).await;
    farm.restart().await;
    let lab = lab.reached_by(farm.client());
    let job = lab.ended(&pushed.job.name).await;
    assert!(matches!(job.state(), State::Done | State::Draft), "{job:?}");
    let attempts = job.tasks.iter().find(|task| task.uid == held).map(|task| task.attempts);
    assert_eq!(attempts, Some(2), "it was in the middle of the second shot");
    let mut done = before.tasks.iter().filter(|task| task.state == "done");
    assert!(done.all(|task| job.tasks.contains(task)), "what was done stays as it was, attempts and all");
    let ids: BTreeSet<_> = job.tasks.iter().map(|task| &task.uid).collect();
    assert_eq!(ids, before.tasks.iter().map(|task| &task.uid).collect(), "no task was made again");
    let (_, files) = lab.report(&job).await;
    assert_eq!(films(&files), PATHS, "one clip a shot");
}

#[tokio::test]
async fn a_cancelled_job_stops_and_its_worker_takes_the_next() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let long = CLOSE_MARA.replace("1.0", "20.0");
    let pushed = lab.push("long.toml", shot_file("Long", &[&long]).as_bytes()).await;
    let task = lab.computing(&pushed.job.name, "generate").await;
    let workers = farm.worker_pids();
    assert_eq!(lab.cancel(&pushed.job.name).await.state(), State::Cancelled);
    farm.idle().await;
    // Had it not heard, it would have computed to the end and sent a take.
    assert!(farm.log().contains("run task: task: it was cancelled"), "the worker was not told");
    let job = lab.job(&pushed.job.name).await;
    assert_eq!(job.state(), State::Cancelled);
    assert!(job.tasks.iter().any(|t| t.uid == task && t.state == "cancelled" && t.attempts == 1), "{job:?}");
    let next = lab.film("next.toml", &shot_file("Next", &[CLOSE_TOBIN])).await;
    assert!(matches!(next.state(), State::Done | State::Draft), "{next:?}");
    assert_eq!(farm.worker_pids(), workers, "it is the same worker");
}
