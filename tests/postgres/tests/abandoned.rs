//! A server ends with the process that started it, whatever becomes of that.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and a child learns here that it is one"
)]

use greenroom_test_postgres::Server;
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const CHILD: &str = "GREENROOM_TEST_POSTGRES_TO_ABANDON";

#[test]
fn a_killed_test_leaves_neither_its_server_nor_its_folder() {
    if std::env::var_os(CHILD).is_some() {
        let server = Server::start();
        let pid = std::fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
        println!("\nserver {} {}", pid.lines().next().unwrap(), server.data().display());
        loop {
            std::thread::park();
        }
    }
    let name = "a_killed_test_leaves_neither_its_server_nor_its_folder";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (pid, data) = started(&mut child);
    assert!(Path::new(&format!("/proc/{pid}")).exists() && data.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() || data.exists() {
        assert!(killed.elapsed() < Duration::from_secs(20), "server {pid} or {} is left", data.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn started(child: &mut Child) -> (u32, PathBuf) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("server ")).unwrap();
    let mut words = line.split(' ').skip(1);
    (words.next().unwrap().parse().unwrap(), words.next().unwrap().into())
}
