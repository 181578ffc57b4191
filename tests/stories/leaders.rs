//! Several daemons on one PostgreSQL: one leads, and a job does not notice when that one dies.

use greenroom_proto::v1::{self, job::State};
use greenroom_test_postgres::Server;
use greenroom_tests::{CLOSE_MARA, CLOSE_TOBIN, Farm, Options, Project, of_kind, problem, shot_file};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A server, a database on it, and the folder of the artifacts.
struct Site {
    server: Server,
    database: String,
    artifacts: TempDir,
}

impl Site {
    fn new() -> Self {
        let server = Server::start();
        let database = server.database();
        Self { server, database, artifacts: TempDir::new().unwrap() }
    }

    fn options(&self) -> Options {
        let ledger = ("GREENROOM_LEDGER".to_owned(), self.server.url(&self.database));
        let artifacts = Some(self.artifacts.path().to_str().unwrap().to_owned());
        Options { artifacts, environment: vec![ledger], ..Options::default() }
    }

    /// (task, how often it ended) as the log has it.
    fn ends(&self) -> Vec<String> {
        let ended = "select body::json->'body'->>'task', count(*) from greenroom.event \
                     where body::json->'body'->>'state' in ('done', 'failed') group by 1 having count(*) > 1";
        self.server.sql(&self.database, ended).lines().map(str::to_owned).collect()
    }
}

async fn both_shots(lab: &Project) -> v1::Job {
    lab.push("both.toml", shot_file("Both", &[CLOSE_MARA, CLOSE_TOBIN]).as_bytes()).await.job
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long a farm is without a leader is what is measured")]
async fn another_daemon_takes_over_from_a_killed_leader_and_the_job_ends() {
    let site = Site::new();
    let mut first = Farm::start_with(site.options()).await;
    let second = Farm::stand_by(site.options()).await;
    let lab = first.project("lab").await;
    lab.cast().await;
    let job = both_shots(&lab).await;
    let held = lab.computing(&job.name, "generate").await;
    assert_eq!(second.leader().await, first.address());
    let before = lab.reached_by(second.client()).job(&job.name).await;
    assert_eq!(before.state(), State::Active, "whoever stands by reads");
    first.kill_daemon();
    let killed = Instant::now();
    second.leads().await;
    assert!(killed.elapsed() < Duration::from_secs(5), "it took {:?}", killed.elapsed());
    let lab = lab.reached_by(second.client());
    let after = lab.ended(&job.name).await;
    assert!(matches!(after.state(), State::Done | State::Draft), "{after:?}");
    let attempts = after.tasks.iter().find(|task| task.uid == held).map(|task| task.attempts);
    assert_eq!(attempts, Some(2), "it was in the middle of a shot");
    let ids: BTreeSet<_> = after.tasks.iter().map(|task| &task.uid).collect();
    assert!(before.tasks.iter().all(|task| ids.contains(&task.uid)), "no task was made again");
    assert_eq!(of_kind(&after, "assemble").count(), 1);
    assert_eq!(site.ends(), [] as [String; 0], "nothing was published twice");
}

#[tokio::test]
async fn a_daemon_that_stands_by_says_where_changes_are_taken() {
    let site = Site::new();
    let first = Farm::start_with(site.options()).await;
    let second = Farm::stand_by(site.options()).await;
    first.project("lab").await;
    greenroom_tests::until("the second daemon knows the leader", async || {
        (second.leader().await == first.address()).then_some(())
    })
    .await;
    let request = v1::CreateProjectRequest { project_id: "other".into(), settings: None };
    let refused = problem(&second.client().projects().create_project(request).await.unwrap_err());
    let leader = first.address();
    assert_eq!(refused.to_string(), format!("call daemon: CreateProject: this daemon stands by; {leader} leads"));
    assert_eq!(refused.remedy, format!("call {leader}"));
    let found = second.client().projects().get_project(v1::GetProjectRequest { name: "projects/lab".into() }).await;
    assert_eq!(found.unwrap().into_inner().name, "projects/lab");
    assert!(second.said(&["status"]).await.contains(&format!("leader   {leader} (this daemon stands by)")));
    for farm in [&first, &second] {
        assert!(!farm.log().contains(greenroom_test_postgres::PASSWORD), "a password is in no log");
    }
}

#[tokio::test]
async fn a_leader_whose_database_crashes_leads_again_and_the_job_ends() {
    let mut site = Site::new();
    let farm = Farm::start_with(site.options()).await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let job = both_shots(&lab).await;
    lab.computing(&job.name, "generate").await;
    site.server.crash();
    greenroom_tests::until("the daemon stands by", async || farm.log().contains("lead.end").then_some(())).await;
    let request = v1::CreateProjectRequest { project_id: "other".into(), settings: None };
    let refused = problem(&farm.client().projects().create_project(request).await.unwrap_err());
    assert_eq!(refused.cause, "this daemon stands by, and no other leads yet");
    site.server.run();
    farm.leads().await;
    let after = lab.ended(&job.name).await;
    assert!(matches!(after.state(), State::Done | State::Draft), "{after:?}");
    assert_eq!(site.ends(), [] as [String; 0], "nothing was published twice");
}
