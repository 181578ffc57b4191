//! Keeps worker processes running: one per slot, restarted when it dies, stopped with the daemon.

use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt as _, process::Command, time::Instant};

use crate::{args::Config, farm::Farm};

/// The first restart waits this long, each further one twice as long …
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A worker that ran this long was healthy: its next restart is a first one.
const HEALTHY: Duration = Duration::from_secs(30);
/// A worker may take so long to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(5);

/// Keeps one worker running until the daemon stops.
pub(crate) async fn run(farm: Arc<Farm>, config: Arc<Config>, address: String, slot: u32) {
    let mut wait = FIRST_WAIT;
    loop {
        let started = Instant::now();
        // A secret of its own, told by the pipe and kept nowhere: it holds as long as the process.
        let own = farm.access.child();
        match command(&config, &address).spawn() {
            Ok(mut child) => {
                // The worker ends when this pipe closes, so it cannot outlive a daemon that was killed.
                let mut lifeline = child.stdin.take();
                if let Some(pipe) = &mut lifeline {
                    let _ = pipe.write_all(format!("{}\n", own.secret).as_bytes()).await;
                }
                tokio::select! {
                    status = child.wait() => {
                        let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
                        tracing::warn!(slot, %status, "worker.exit");
                    }
                    () = farm.stop.cancelled() => {
                        drop(lifeline);
                        if tokio::time::timeout(STOPPING, child.wait()).await.is_err() {
                            tracing::warn!(slot, "the worker does not stop; killing it");
                            let _ = child.kill().await;
                        }
                        return;
                    }
                }
            }
            Err(error) => {
                let program = config.worker.display();
                tracing::error!(slot, %program, %error, "cannot start the worker; set --worker to greenroom-worker");
            }
        }
        drop(own);
        wait = if started.elapsed() >= HEALTHY { FIRST_WAIT } else { wait };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = farm.stop.cancelled() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn command(config: &Config, address: &str) -> Command {
    let mut command = Command::new(&config.worker);
    command
        .arg("--daemon")
        .arg(address)
        .arg("--token-file")
        .arg("-")
        .arg("--artifacts")
        .arg(config.artifacts.to_string())
        .arg("--scratch")
        .arg(config.state.join("scratch"))
        .arg("--pack")
        .arg(&config.pack)
        .arg("--threads")
        .arg(config.threads.to_string())
        .arg("--until-stdin-closes")
        .env("RAYON_NUM_THREADS", config.threads.to_string())
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    if let Some(library) = &config.onnxruntime {
        command.arg("--onnxruntime").arg(library);
    }
    if config.commands.enabled {
        command.arg("--commands-user").arg(&config.commands.user);
        command.arg("--commands-scratch").arg(&config.commands.scratch);
    }
    command
}
