//! The administrator decides what goes first, what waits, and why.

use greenroom_proto::v1::{self, job::State};
use greenroom_tests::{CLOSE_MARA, CLOSE_TOBIN, Farm, Options, PackCopy, cast_folder, shot_file};
use serde_json::Value;
use std::fs;

/// What the command answers in JSON.
async fn told(farm: &Farm, arguments: &[&str]) -> Value {
    let said = farm.said(&[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
}

/// Why the first waiting task of a job that can start does not.
async fn code(farm: &Farm, job: &str) -> String {
    let reasons = told(farm, &["why", job]).await;
    let codes = reasons.as_array().unwrap().iter().map(|why| why["code"].as_str().unwrap());
    let mut codes = codes.filter(|code| !matches!(*code, "waiting-on-tasks" | "running"));
    codes.next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_paused_job_waits_and_goes_on_when_it_is_told_to() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let job = lab.push("two.toml", shot_file("Two", &[CLOSE_MARA, CLOSE_TOBIN]).as_bytes()).await.job.name;
    lab.computing(&job, "generate").await;
    let said = farm.said(&["job", "pause", &job]).await;
    assert!(said.contains("active, paused, priority 0"), "{said}");
    farm.idle().await;
    assert_eq!(code(&farm, &job).await, "paused");
    let queue = told(&farm, &["queue"]).await;
    assert!(queue["queued"].as_u64() > Some(0) && queue["running"] == 0, "{queue}");
    assert_eq!(queue["tasks"][0]["remedy"], format!("greenroom job resume {}", job.rsplit('/').next().unwrap()));
    farm.said(&["job", "resume", &job]).await;
    let job = lab.ended(&job).await;
    assert!(matches!(job.state(), State::Done | State::Draft), "{job:?}");
    let refused = farm.said(&["job", "pause", &job.name]).await;
    assert!(refused.contains("it is done already") || refused.contains("it is draft already"), "{refused}");
}

#[tokio::test]
async fn what_is_more_urgent_goes_first() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let first = lab.push("a.toml", shot_file("A", &[CLOSE_MARA, CLOSE_MARA]).as_bytes()).await.job.name;
    lab.computing(&first, "generate").await;
    let urgent = lab.push("b.toml", shot_file("B", &[CLOSE_TOBIN]).as_bytes()).await.job.name;
    assert_eq!(code(&farm, &urgent).await, "queued");
    let said = farm.said(&["job", "priority", &urgent, "11"]).await;
    assert!(said.contains("11 is no priority (from -10 to 10)"), "{said}");
    farm.said(&["job", "priority", &urgent, "5"]).await;
    assert_eq!(code(&farm, &first).await, "behind-priority");
    lab.ended(&urgent).await;
    assert_eq!(lab.job(&first).await.state(), State::Active, "it was pushed before");
    lab.ended(&first).await;
}

#[tokio::test]
async fn a_drained_node_takes_nothing_until_it_is_told_to() {
    let mut farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let nodes = told(&farm, &["nodes"]).await;
    let node = nodes[0]["name"].as_str().unwrap().to_owned();
    assert_eq!((nodes[0]["state"].as_str(), &nodes[0]["devices"][0]["kind"]), (Some("open"), &"cpu".into()));
    let said = farm.said(&["node", "drain", &node, "--reason", "new fan"]).await;
    assert!(said.contains("drained") && said.contains("(new fan)"), "{said}");
    let job = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    assert_eq!(code(&farm, &job).await, "drained");
    farm.kill_daemon();
    farm.restart().await;
    let lab = lab.reached_by(farm.client());
    assert_eq!(code(&farm, &job).await, "drained", "it outlives the daemon");
    farm.said(&["node", "resume", &node]).await;
    lab.ended(&job).await;
    let refused = farm.said(&["node", "drain", "nowhere"]).await;
    assert!(refused.contains("find node: nowhere: there is none of that name"), "{refused}");
}

#[tokio::test]
async fn a_limit_holds_until_the_policy_is_changed() {
    let farm = Farm::start().await;
    let lab = farm.project("lab").await;
    lab.cast().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    let set = async |text: &str| {
        fs::write(&file, text).unwrap();
        farm.said(&["policy", "set", file.to_str().unwrap()]).await
    };
    assert!(set("[limit.card]").await.contains("limit.card limits nothing"));
    assert!(set("[timeout]\ndance = \"1h\"").await.contains("dance"));
    let said = set("[limit.card]\nat_once = 0\nkinds = [\"generate\"]").await;
    assert_eq!(said, "revision 1 is in force\n");
    let job = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    assert_eq!(code(&farm, &job).await, "limit-reached");
    let limits = farm.said(&["limits"]).await;
    assert!(limits.contains("card             0 of 0 tasks at once"), "{limits}");
    assert!(set("[limit.card]\nat_once = 1\nkinds = [\"generate\"]").await.contains("revision 2"));
    lab.ended(&job).await;
    let shown = farm.said(&["policy", "show"]).await;
    assert!(shown.contains("# revision 2") && shown.contains("at_once = 1"), "{shown}");
}

/// The pack, with a training that lasts long enough to be in the way and ends within a story.
fn pack() -> PackCopy {
    let pack = PackCopy::new();
    let text = fs::read_to_string(pack.path().join("pack.toml")).unwrap();
    let quick = text.replace("steps = 150\n", "steps = 40\n").replace("\nsteps = 16\n", "\nsteps = 2\n");
    pack.replace("pack.toml", quick.as_bytes());
    pack
}

#[tokio::test]
async fn a_training_makes_room_for_a_film_and_goes_on_after_it() {
    let pack = pack();
    let farm = Farm::start_with(Options { pack: Some(pack.path().to_owned()), ..Options::default() }).await;
    let settings = v1::Settings { lora_images: Some(0), retries: Some(0), ..v1::Settings::default() };
    let lab = farm.project_with("lab", settings).await;
    let policy = tempfile::NamedTempFile::new().unwrap();
    fs::write(&policy, "[pace]\npreempt_after = \"1s\"\npreempt_every = \"1s\"\n").unwrap();
    farm.said(&["policy", "set", policy.path().to_str().unwrap()]).await;
    let pictures = (1..=5).map(|n| cast_folder().join(format!("mara/{n}.png")).display().to_string());
    let pictures: Vec<_> = pictures.collect();
    let create = ["character", "create", "lab", "MARA"].into_iter().chain(pictures.iter().map(String::as_str));
    farm.said(&create.collect::<Vec<_>>()).await;
    let asked = told(&farm, &["lora", "train", "lab", "MARA"]).await;
    let training = asked["job"]["name"].as_str().unwrap();
    lab.computing(training, "train").await;
    let film = lab.push("one.toml", shot_file("One", &[CLOSE_MARA]).as_bytes()).await.job.name;
    lab.ended(&film).await;
    assert!(farm.log().contains("task.preempt") && farm.log().contains("task.pause"), "nothing was paused");
    assert_eq!(lab.job(training).await.state(), State::Active, "it is not done yet");
    let job = lab.ended(training).await;
    assert_eq!(job.state(), State::Done, "{job:?}");
    let train = job.tasks.iter().find(|task| task.kind == "train").unwrap();
    assert!(train.attempts >= 2, "{train:?}");
}
