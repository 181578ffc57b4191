//! Keeps worker processes running: one per post, restarted when it dies, stopped with the daemon.

mod cgroup;
mod fate;
mod roster;

use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    task::JoinSet,
    time::Instant,
};

use crate::{args::Config, farm::Farm};
use cgroup::{Cgroups, Group};
use fate::Evidence;
use roster::Post;

pub(crate) use fate::{Children, Fate, Life, fate};

/// The first restart waits this long, each further one twice as long …
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A worker that ran this long was healthy: its next restart is a first one.
const HEALTHY: Duration = Duration::from_secs(30);
/// A worker may take so long to stop before it is killed.
const STOPPING: Duration = Duration::from_secs(5);

/// Keeps all workers of this machine running until the daemon stops.
pub(crate) async fn run(farm: Arc<Farm>, config: Arc<Config>, address: String) {
    let cgroups = Arc::new(if config.workers.count > 0 { Cgroups::open(config.workers.memory_max) } else { None });
    let mut posts = JoinSet::new();
    let mut fill = |post: Post| {
        posts.spawn(hold(farm.clone(), config.clone(), address.clone(), post, cgroups.clone()));
    };
    // Nobody has to be asked about the processor.
    roster::processors(&config.workers).for_each(&mut fill);
    let cards = tokio::select! {
        cards = roster::cards(&config) => cards,
        () = farm.stop.cancelled() => vec![],
    };
    cards.into_iter().for_each(&mut fill);
    while posts.join_next().await.is_some() {}
}

/// Keeps one worker running until the daemon stops.
async fn hold(farm: Arc<Farm>, config: Arc<Config>, address: String, post: Post, cgroups: Arc<Option<Cgroups>>) {
    let mut wait = FIRST_WAIT;
    let device = &post.name;
    loop {
        let started = Instant::now();
        // A secret of its own, told by the pipe and kept nowhere: it holds as long as the process.
        let own = farm.access.child();
        let group = Option::as_ref(&cgroups).and_then(|cgroups| cgroups.group(&post.name));
        let limit = group.as_ref().and_then(Group::limit);
        match command(&config, &address, &post, limit.map(|limit| limit.mib())).spawn() {
            Ok(mut child) => {
                let grave = farm.children.born(&own.secret);
                if let Some(group) = &group {
                    group.enter(child.id());
                }
                // The worker ends when this pipe closes, so it cannot outlive a daemon that was killed.
                let mut lifeline = child.stdin.take();
                if let Some(pipe) = &mut lifeline {
                    let _ = pipe.write_all(format!("{}\n", own.secret).as_bytes()).await;
                }
                tokio::select! {
                    fate = died(&mut child, group.as_ref()) => {
                        tracing::warn!(device, %fate, "worker.exit");
                        let _ = grave.send(Some(fate));
                    }
                    () = farm.stop.cancelled() => {
                        drop(lifeline);
                        if tokio::time::timeout(STOPPING, child.wait()).await.is_err() {
                            tracing::warn!(device, "the worker does not stop; killing it");
                            let _ = child.kill().await;
                        }
                        return;
                    }
                }
            }
            Err(error) => {
                let program = config.worker.display();
                tracing::error!(device, %program, %error, "cannot start the worker; set --worker to greenroom-worker");
            }
        }
        drop((own, group));
        wait = if started.elapsed() >= HEALTHY { FIRST_WAIT } else { wait };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = farm.stop.cancelled() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Waits for a worker's end and finds out what it died of.
async fn died(child: &mut Child, group: Option<&Group>) -> Fate {
    let mut evidence = Evidence::new(group);
    loop {
        match tokio::time::timeout(fate::LOOKING, child.wait()).await {
            Ok(Ok(status)) => return evidence.fate(status),
            Ok(Err(error)) => return Fate::Unknown(error.to_string()),
            Err(_) => evidence.look(),
        }
    }
}

fn command(config: &Config, address: &str, post: &Post, ram_mib: Option<u64>) -> Command {
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
        .args(["--device", post.device])
        .arg("--until-stdin-closes")
        .env("RAYON_NUM_THREADS", config.threads.to_string())
        .env("CUDA_VISIBLE_DEVICES", &post.visible)
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    if let Some(library) = &config.onnxruntime {
        command.arg("--onnxruntime").arg(library);
    }
    if let Some(mib) = ram_mib {
        command.arg("--ram-mib").arg(mib.to_string());
    }
    if let Some(file) = &config.workers.simulated {
        command.arg("--simulated").arg(file);
    }
    if config.commands.enabled {
        command.arg("--commands-user").arg(&config.commands.user);
        command.arg("--commands-scratch").arg(&config.commands.scratch);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use clap::Parser as _;
    use std::path::Path;

    #[test]
    fn a_worker_sees_its_own_card_and_no_other() {
        let args = Args::parse_from(["greenroomd", "--pack", "/p"]);
        let config = Config::resolve(args, Path::new("/usr/bin/greenroomd")).unwrap();
        let post = Post { name: "cuda:1".into(), device: "cuda:0", visible: "GPU-2".into() };
        let command = command(&config, "http://d", &post, Some(512));
        let command = command.as_std();
        let visible = command.get_envs().find(|(name, _)| *name == "CUDA_VISIBLE_DEVICES").unwrap().1;
        assert_eq!(visible.unwrap(), "GPU-2");
        let line = command.get_args().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        assert!(line.contains("--device cuda:0") && line.contains("--ram-mib 512"), "{line}");
    }
}
