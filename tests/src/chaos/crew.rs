//! Simulated workers as processes of their own, each behind a proxy of its own, started again whenever they end.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use tokio::task::AbortHandle;

use super::proxy::Proxy;
use crate::process::{Programs, alive, is_stopped};

/// One of them.
pub(super) struct Hand {
    pub proxy: Proxy,
    pid: Arc<Mutex<Option<u32>>>,
    keeper: AbortHandle,
}

impl Hand {
    /// Starts one, for a daemon with this state folder.
    pub(super) async fn start(number: usize, state: &Path, daemon: Arc<Mutex<SocketAddr>>, takes: Duration) -> Self {
        let proxy = Proxy::open(daemon).await;
        let (pid, url, state) = (Arc::new(Mutex::new(None)), proxy.url(), state.to_owned());
        let keeper = tokio::spawn(keep(number, url, state, takes, pid.clone())).abort_handle();
        Self { proxy, pid, keeper }
    }

    /// Its process, while there is one.
    pub(super) fn pid(&self) -> Option<u32> {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a signal to its process; false where there is none.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        self.pid().is_some_and(|pid| kill(Pid::from_raw(pid.cast_signed()), signal).is_ok())
    }

    /// Whether its process stands still.
    pub(super) fn is_stopped(&self) -> bool {
        self.pid().is_some_and(is_stopped)
    }

    /// Whether this process has gone.
    pub(super) fn is_gone(pid: u32) -> bool {
        !alive(pid)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        // The child goes with the task that holds it.
        self.keeper.abort();
    }
}

async fn keep(number: usize, url: String, state: PathBuf, takes: Duration, pid: Arc<Mutex<Option<u32>>>) {
    let (programs, scratch) = (Programs::find(), TempDir::new().unwrap());
    loop {
        let mut command = tokio::process::Command::new(programs.path("greenroom-worker"));
        command.args(["--daemon", &url, "--node", &format!("node{number}"), "--device", "cpu"]);
        command.arg("--token-file").arg(state.join("worker.token"));
        command.arg("--artifacts").arg(state.join("artifacts"));
        command.arg("--scratch").arg(scratch.path()).arg("--pack").arg(&programs.pack);
        command.args(["--rehearse", &takes.as_millis().to_string()]);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        *pid.lock().unwrap_or_else(PoisonError::into_inner) = child.id();
        let _ = child.wait().await;
        *pid.lock().unwrap_or_else(PoisonError::into_inner) = None;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
