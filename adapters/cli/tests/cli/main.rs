//! The program against daemons that are away, older, cut off, or evil: what a real one cannot be made to be.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails, and its name says what it shows")]

mod server;

use greenroom_domain::Digest;
use greenroom_proto::v1::{self, event::Body, job::State, watch_job_response::Update};
use server::Daemon;
use std::{collections::HashMap, path::Path, process::Output};
use tonic::Status;

const JOB: &str = "job_019aa0000000700080000000000000aa";

async fn greenroom(address: &str, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.args(arguments).env_clear().env("GREENROOM_ADDRESS", address).kill_on_drop(true);
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn event(sequence: u64, body: Body) -> Update {
    Update::Event(v1::Event { sequence, time: None, body: Some(body) })
}

fn check(sequence: u64, shot: &str, note: &str) -> Update {
    let (kind, state) = ("validate".into(), "done".into());
    let (uid, shot, note) = (format!("task_{sequence}"), shot.into(), note.into());
    event(sequence, Body::Task(v1::Task { uid, kind, shot, take: 1, state, note, attempts: 1, ..v1::Task::default() }))
}

fn job(state: State, drafts: &[&str]) -> v1::Job {
    let task = |sequence, shot, note| match check(sequence, shot, note) {
        Update::Event(v1::Event { body: Some(Body::Task(task)), .. }) => task,
        _ => unreachable!("check() makes task events"),
    };
    v1::Job {
        name: format!("projects/lab/jobs/{JOB}"),
        title: "Lab".into(),
        state: state.into(),
        draft_shots: drafts.iter().map(|&shot| shot.into()).collect(),
        tasks: vec![task(2, "1-1", "accepted: MARA p10 IDR 0.84"), task(3, "1-2", "unscored: MARA: no face found")],
        ..v1::Job::default()
    }
}

/// Two shots, the second a draft; the connection is lost between them.
fn cut_off_once() -> Daemon {
    let daemon = Daemon { job: job(State::Draft, &["1-2"]), ..Daemon::default() };
    let began = event(1, Body::Job(job(State::Active, &[])));
    let (first, second) =
        (check(2, "1-1", "accepted: MARA p10 IDR 0.84"), check(3, "1-2", "unscored: MARA: no face found"));
    let ended = event(4, Body::Job(job(State::Draft, &["1-2"])));
    let lost = Status::unavailable("the daemon stops");
    // The second connection repeats an event, as a daemon may after a restart: it is told once.
    *daemon.watches.lock().unwrap() =
        [(vec![began, first.clone()], Some(lost)), (vec![first, second, ended], None)].into();
    daemon
}

#[tokio::test]
async fn a_watch_goes_on_after_a_lost_connection_and_ends_with_the_drafts() {
    let daemon = cut_off_once();
    let asked = daemon.asked.clone();
    let output = greenroom(&daemon.start().await, &["watch", JOB]).await;
    let expected = "\
Lab: pushed
1-1      take 1  accepted: MARA p10 IDR 0.84
the connection is lost; trying again in 0.2 s
1-2      take 1  unscored: MARA: no face found
Lab: finished with drafts: 1-2
Lab: 1 of 2 shots accepted, 1 is a draft
  draft 1-2: 1 take, unscored: MARA: no face found
";
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(*asked.lock().unwrap(), [0, 2], "the second call resumes after what was heard");
}

#[tokio::test]
async fn a_watch_in_json_is_one_line_for_each_event() {
    let output = greenroom(&cut_off_once().start().await, &["watch", JOB, "--json"]).await;
    let text = text(&output.stdout);
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>();
    assert_eq!(lines.iter().map(|line| line["sequence"].as_u64()).collect::<Vec<_>>(), [1, 2, 3, 4].map(Some));
    assert_eq!(lines[1]["task"]["note"], "accepted: MARA p10 IDR 0.84");
    assert_eq!(lines[3]["job"]["draft_shots"][0], "1-2");
}

#[tokio::test]
async fn a_daemon_that_is_away_is_one_sentence_and_what_to_do() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = greenroom(&format!("http://{gone}"), &["jobs"]).await;
    let expected = format!(
        "error: call daemon: http://{gone}: Connection refused (os error 111)\n  try: start greenroomd there, or point \
         --address at a daemon that runs\n"
    );
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_wrong_token_names_the_file_and_where_the_right_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "wrong\n").unwrap();
    let daemon = Daemon { refusal: Some(Status::unauthenticated("no")), ..Daemon::default() };
    let address = daemon.start().await;
    let output = greenroom(&address, &["jobs", "--token-file", file.to_str().unwrap()]).await;
    let expected = format!(
        "error: call daemon: {address}: the token in {} is not the daemon's\n  try: give --token-file the file admin.token \
         in the daemon's state folder\n",
        file.display()
    );
    assert_eq!(text(&output.stderr), expected);
    let output = greenroom(&address, &["jobs", "--json"]).await;
    let json = serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    assert_eq!(json["error"]["cause"], "the daemon wants a token and none is configured");
    assert_eq!(json["error"]["kind"], "denied");
}

#[tokio::test]
async fn a_daemon_of_another_version_is_told_by_its_number() {
    let address = Daemon::default().start().await;
    let output = greenroom(&address, &["project", "list"]).await;
    let expected = format!(
        "error: call daemon: {address}: the daemon is version 9.9.9, this command is version {}\n  try: install the same \
         version of greenroom and greenroomd\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(text(&output.stderr), expected);
}

fn report(path: &str, content: &[u8], served: &[u8]) -> Daemon {
    let digest = Digest::of(content).to_string();
    let file = v1::ReportFile { path: path.into(), digest: digest.clone() };
    let report = v1::Report { json: "{}".into(), html: "<p>".into(), files: vec![file] };
    Daemon { report, artifacts: HashMap::from([(digest, served.to_vec())]), ..Daemon::default() }
}

async fn pull(daemon: Daemon, out: &Path) -> Output {
    greenroom(&daemon.start().await, &["pull", JOB, "--out", out.to_str().unwrap()]).await
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    names.sort();
    names
}

#[tokio::test]
async fn what_a_job_made_is_saved_with_its_report() {
    let dir = tempfile::tempdir().unwrap();
    let output = pull(report("clips/1-1.mp4", b"picture", b"picture"), dir.path()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(names(dir.path()), ["clips", "report.html", "report.json"]);
    assert_eq!(std::fs::read(dir.path().join("clips/1-1.mp4")).unwrap(), b"picture");
}

#[tokio::test]
async fn damaged_bytes_are_told_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let output = pull(report("episode.mp4", b"picture", b"pictures"), dir.path()).await;
    let expected = format!(
        "error: save file: {}: the bytes that arrived have the digest {}, not {}\n  try: pull again; if it stays, the \
         daemon's artifact store is damaged\n",
        dir.path().join("episode.mp4").display(),
        Digest::of(b"pictures"),
        Digest::of(b"picture")
    );
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_report_that_reaches_out_of_its_folder_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let output = pull(report("../evil", b"x", b"x"), &out).await;
    let expected = "error: save file: ../evil: the report names a file outside of the folder\n  try: call a daemon that you \
                    trust; nothing was written\n";
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[tokio::test]
async fn without_a_daemon_every_command_but_run_says_how_to_name_one() {
    let output = greenroom("", &["jobs"]).await;
    let expected = "error: find daemon: address: no daemon is configured\n  try: give --address URL, set GREENROOM_ADDRESS, \
                    or write [daemon] address in the configuration file; only `greenroom run` works without a daemon\n";
    assert_eq!(text(&output.stderr), expected);
}

#[tokio::test]
async fn config_tells_each_setting_and_whence_and_never_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let output = greenroom("http://farm:7474", &["config", "--token-file", token.to_str().unwrap()]).await;
    let expected = format!(
        "config      none  (default)\naddress     http://farm:7474  (environment GREENROOM_ADDRESS)\ntoken_file  {}  (flag \
         --token-file)\nca          the system's authorities  (default)\n",
        token.display()
    );
    assert_eq!(text(&output.stdout), expected);
}
