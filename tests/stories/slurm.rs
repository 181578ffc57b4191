//! Slurm places workers, loses them and forgets them, and the film is made all the same.

use greenroom_proto::v1::{self, job::State};
use greenroom_tests::{CLOSE_MARA, CLOSE_TOBIN, Cluster, Farm, Options, Project, of_kind, shot_file, until};

/// A farm whose workers Slurm starts: each with a card, and gone after two seconds without a task.
async fn farm(cluster: &Cluster, max: u32) -> Farm {
    let asked = format!("partition = \"gpu\"\ngres = \"gpu:1\"\nmax = {max}\nidle = \"2s\"\npoll = \"500ms\"\n");
    let config = format!("[workers]\nengine = \"slurm\"\n[slurm]\n{asked}");
    let environment = cluster.environment();
    Farm::start_with(Options { workers: 0, environment, config, ..Options::default() }).await
}

async fn push(farm: &Farm, shots: &[&str]) -> (Project, v1::Job) {
    let lab = farm.project("lab").await;
    lab.cast().await;
    let pushed = lab.push("film.toml", shot_file("Film", shots).as_bytes()).await;
    (lab, pushed.job)
}

/// The film, which must be whole, with one take of each shot and one clip of it.
async fn whole(lab: &Project, job: &v1::Job, shots: usize) -> v1::Job {
    let job = lab.ended(&job.name).await;
    assert!(matches!(job.state(), State::Done | State::Draft), "{job:?}");
    assert_eq!(of_kind(&job, "generate").count(), shots, "{job:?}");
    let (_, files) = lab.report(&job).await;
    assert_eq!(files.iter().filter(|file| file.path.starts_with("clips/")).count(), shots, "{files:?}");
    job
}

/// Waits until a worker of the cluster generates; answers its process, Slurm's number of its job, and its node.
async fn computing(lab: &Project, cluster: &Cluster, job: &v1::Job) -> (u32, String, String) {
    lab.computing(&job.name, "generate").await;
    let [job, node, _] = cluster.workers()[0].1.clone();
    (cluster.workers()[0].0, job, node)
}

async fn says(farm: &Farm, words: &str) {
    until(&format!("the farm says {words}"), async || farm.log().contains(words).then_some(())).await;
}

#[tokio::test]
async fn a_slurm_job_is_a_worker_that_does_many_tasks_and_goes_when_there_are_none() {
    let cluster = Cluster::start().await;
    let farm = farm(&cluster, 2).await;
    let (lab, job) = push(&farm, &[CLOSE_MARA, CLOSE_TOBIN]).await;
    computing(&lab, &cluster, &job).await;
    let nodes = farm.said(&["nodes"]).await;
    assert!(nodes.starts_with("n1 ") && nodes.contains("open"), "{nodes}");
    let sees: Vec<_> = cluster.workers().into_iter().map(|(_, [job, node, cards])| (job, node, cards)).collect();
    assert!(sees.iter().all(|(_, _, cards)| cards.len() == 1), "each has a card of its own: {sees:?}");
    whole(&lab, &job, 2).await;
    until("every job has gone by itself", async || cluster.jobs("pending,running,completing").is_empty().then_some(()))
        .await;
    let done = farm.log().matches("task.done").count();
    let submitted = farm.log().matches("slurm.submit").count();
    assert!(submitted >= 1 && done > submitted, "{submitted} jobs for {done} tasks");
}

#[tokio::test]
async fn a_lost_node_is_made_up_for_and_a_controller_that_is_away_stops_nothing() {
    let mut cluster = Cluster::start().await;
    let farm = farm(&cluster, 1).await;
    let (lab, job) = push(&farm, &[CLOSE_MARA]).await;
    let (_, number, node) = computing(&lab, &cluster, &job).await;
    cluster.lose_node(&node);
    says(&farm, "the task's worker is gone").await;
    until("a worker elsewhere takes it up", async || {
        cluster.workers().iter().any(|(_, told)| told[0] != number && told[1] != node).then_some(())
    })
    .await;
    lab.computing(&job.name, "generate").await;
    cluster.lose_controller();
    whole(&lab, &job, 1).await;
    says(&farm, "call Slurm: squeue").await;
    cluster.control_again(true).await;
}

#[tokio::test]
async fn what_slurm_acknowledged_and_forgot_is_asked_for_again() {
    let mut cluster = Cluster::start().await;
    cluster.hold(true);
    let farm = farm(&cluster, 1).await;
    let lab = farm.project("lab").await;
    let cast = tokio::spawn(async move {
        lab.cast().await;
        lab
    });
    says(&farm, "slurm.submit").await;
    assert_eq!(cluster.jobs("pending"), ["1"]);
    cluster.lose_controller();
    cluster.control_again(false).await;
    assert!(cluster.jobs("all").is_empty(), "it has lost the job that it acknowledged");
    let lab = cast.await.unwrap();
    let log = farm.log();
    assert!(
        log.contains("lost=true") && log.matches("slurm.job=\"1\"").count() == 2,
        "its number was given out again: {log}"
    );
    let pushed = lab.push("film.toml", shot_file("Film", &[CLOSE_MARA]).as_bytes()).await;
    whole(&lab, &pushed.job, 1).await;
}

#[tokio::test]
async fn a_worker_that_slurm_takes_away_gives_back_its_task_and_another_does_it() {
    let cluster = Cluster::start().await;
    let farm = farm(&cluster, 1).await;
    let (lab, job) = push(&farm, &[CLOSE_MARA]).await;
    computing(&lab, &cluster, &job).await;
    cluster.preempt(2);
    says(&farm, "task.pause").await;
    says(&farm, "slurm.cancel").await;
    let job = whole(&lab, &job, 1).await;
    assert!(job.tasks.iter().any(|task| task.attempts >= 2), "it was given twice: {job:?}");
    assert!(!farm.log().contains("the task's worker is gone"), "nobody is blamed");
}

#[tokio::test]
async fn a_daemon_that_was_killed_finds_the_jobs_that_it_asked_for() {
    let cluster = Cluster::start().await;
    cluster.hold(true);
    let mut farm = farm(&cluster, 1).await;
    let lab = farm.project("lab").await;
    let (asking, again) = (lab.clone(), lab);
    let waits = tokio::spawn(async move { asking.cast().await });
    says(&farm, "slurm.submit").await;
    waits.abort();
    farm.kill_daemon();
    farm.restart().await;
    says(&farm, "workers are asked of Slurm open=1").await;
    cluster.hold(false);
    again.reached_by(farm.client()).cast().await;
    assert_eq!(farm.log().matches("slurm.submit").count(), 1, "{}", farm.log());
}
