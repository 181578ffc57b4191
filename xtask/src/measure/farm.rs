//! The release programs: a daemon on a free port with a state folder of its own, spoken to by the command.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use cargo_metadata::MetadataCommand;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{self, children, now, pause};

const READY_WITHIN: Duration = Duration::from_secs(20);
/// The command's exit code where some shots are drafts.
pub(super) const DRAFTS: i32 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A running daemon; it ends when this is dropped.
pub(super) struct Farm {
    command: PathBuf,
    daemon: Child,
    address: String,
    state: TempDir,
}

#[derive(Deserialize)]
struct Endpoint {
    address: String,
}

/// A release program of ours.
pub(super) fn program(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let path = metadata.target_directory.join("release").join(name).into_std_path_buf();
    ensure!(path.is_file(), "{} is not there: `make demo` builds it", path.display());
    Ok(path)
}

/// `command`, with the settings of this shell except those that lead to a farm that is there already.
pub(super) fn on_its_own(program: &Path) -> Command {
    let mut command = Command::new(program);
    for setting in
        ["ADDRESS", "TOKEN_FILE", "STATE", "LISTEN", "WORKERS", "WORKER", "DAEMON_CONFIG", "LEDGER", "ARTIFACTS"]
    {
        command.env_remove(format!("GREENROOM_{setting}"));
    }
    command.env_remove("GREENROOMD");
    command
}

impl Farm {
    /// Starts the daemon, and says how long it took until `greenroom status` had its first answer.
    pub(super) fn start(root: &Path) -> anyhow::Result<(Self, Duration)> {
        let command = program(root, "greenroom")?;
        let state = TempDir::with_prefix("greenroom-measure-")?;
        let log = fs::File::create(state.path().join("greenroomd.log"))?;
        let mut daemon = on_its_own(&program(root, "greenroomd")?);
        daemon.arg("--state").arg(state.path()).args(["--listen", "127.0.0.1:0", "--until-stdin-closes"]);
        daemon.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).env("NO_COLOR", "1");
        let started = now();
        let daemon = daemon.spawn().context("start greenroomd")?;
        let mut farm = Self { command, daemon, address: String::new(), state };
        farm.address = farm.endpoint()?;
        farm.ask(["status"])?;
        Ok((farm, started.elapsed()))
    }

    /// The answer of `greenroom --json`.
    pub(super) fn ask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> anyhow::Result<Value> {
        serde_json::from_str(&self.say(arguments)?).context("greenroom gave no JSON")
    }

    /// The same, where it gives one document for each line.
    pub(super) fn ask_lines<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Vec<Value>> {
        let text = self.say(arguments)?;
        text.lines().map(|line| serde_json::from_str(line).context("greenroom gave no JSON")).collect()
    }

    /// Waits until a worker is attached.
    pub(super) fn wait_for_worker(&self) -> anyhow::Result<()> {
        let started = now();
        while started.elapsed() < READY_WITHIN {
            if self.ask(["status"])?["workers"].as_array().is_some_and(|workers| !workers.is_empty()) {
                return Ok(());
            }
            pause(Duration::from_millis(50));
        }
        bail!("no worker came; the daemon said:\n{}", self.log())
    }

    pub(super) fn daemon_memory(&self, what: process::Memory) -> anyhow::Result<u64> {
        process::memory(self.daemon.id(), what)
    }

    pub(super) fn worker_memory(&self, what: process::Memory) -> anyhow::Result<u64> {
        let worker = children(self.daemon.id()).into_iter().find(|(_, name)| name == "greenroom-worker");
        let (pid, _) = worker.context("the daemon has no worker")?;
        process::memory(pid, what)
    }

    fn say<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> anyhow::Result<String> {
        let mut command = on_its_own(&self.command);
        command.args(["--json", "--config", "/dev/null", "--address", &self.address, "--token-file"]);
        command.arg(self.state.path().join("admin.token")).args(arguments).stderr(Stdio::inherit());
        let output = command.output().context("start greenroom")?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "greenroom ended with {}: {said}", output.status);
        Ok(said)
    }

    fn endpoint(&mut self) -> anyhow::Result<String> {
        let path = self.state.path().join("endpoint.json");
        let started = now();
        while started.elapsed() < READY_WITHIN {
            if let Some(found) = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Endpoint>(&text).ok()) {
                return Ok(found.address);
            }
            if let Some(status) = self.daemon.try_wait()? {
                bail!("greenroomd ended ({status}); it said:\n{}", self.log());
            }
            pause(LOOK_EVERY);
        }
        bail!("greenroomd was not ready in time; it said:\n{}", self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.state.path().join("greenroomd.log")).unwrap_or_default()
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        drop(self.daemon.stdin.take());
        // It ends by itself once its standard input has closed, and ends its worker first.
        let _ = self.daemon.wait();
    }
}
