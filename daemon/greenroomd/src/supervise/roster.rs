//! Which workers this machine gets: the worker program tells what the machine has, the configuration what of it is used.

use greenroom_domain::{Inventory, Problem, ProblemKind, Reading};
use serde::Deserialize;
use std::{process::Stdio, time::Duration};
use tokio::process::Command;

use crate::args::{Config, Devices, Workers};

/// A driver that wakes many cards takes some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// One worker's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Post {
    /// For logs: `cpu`, `cuda:0`.
    pub name: String,
    /// What the worker opens among what it sees.
    pub device: &'static str,
    /// What it sees (`CUDA_VISIBLE_DEVICES`).
    pub visible: String,
}

/// What the worker program answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Inventory(Inventory),
    Problem(Problem),
}

/// Posts for work on the processor.
pub(super) fn processors(workers: &Workers) -> impl Iterator<Item = Post> {
    let count = workers.processors();
    (0..count).map(move |n| {
        let name = if count == 1 { "cpu".to_owned() } else { format!("cpu-{n}") };
        Post { name, device: "cpu", visible: String::new() }
    })
}

/// Posts for cards and slices. What cannot be had is told, and the others are served.
pub(super) async fn cards(config: &Config) -> Vec<Post> {
    if !config.workers.wants_cards() {
        return vec![];
    }
    let inventory = match ask(config).await {
        Ok(inventory) => inventory,
        Err(problem) => {
            tracing::error!(remedy = problem.remedy, "{problem}; no cards are used");
            return vec![];
        }
    };
    for remark in &inventory.remarks {
        tracing::info!("{remark}");
    }
    let (posts, missing) = chosen(&config.workers.devices, &inventory);
    for device in missing {
        let remedy = "`greenroom-worker devices` tells what there is; mend [workers] devices";
        tracing::error!(remedy, device, "there is no such device to compute on");
    }
    posts
}

/// What of a machine is used, and what was asked for in vain.
fn chosen(devices: &Devices, inventory: &Inventory) -> (Vec<Post>, Vec<String>) {
    let post = |device: &Reading| Post { name: device.name.clone(), device: "cuda:0", visible: device.id.clone() };
    let usable = || inventory.accelerators().filter(|_| inventory.cuda);
    let Devices::Named(names) = devices else { return (usable().map(post).collect(), vec![]) };
    let (mut posts, mut missing) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| *name != "cpu") {
        match usable().find(|device| device.name == *name || device.id.starts_with(name.as_str())).map(post) {
            Some(found) if posts.contains(&found) => {}
            Some(found) => posts.push(found),
            None => missing.push(name.clone()),
        }
    }
    (posts, missing)
}

async fn ask(config: &Config) -> Result<Inventory, Problem> {
    let mut command = Command::new(&config.worker);
    command.args(["devices", "--json"]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some(file) = &config.workers.simulated {
        command.arg("--simulated").arg(file);
    }
    let fail = |cause: String| {
        let remedy = "try `greenroom-worker devices`, set --worker to the greenroom-worker of this release, or say devices = \"cpu\"";
        Problem::new(ProblemKind::Unavailable, "look for devices", config.worker.display().to_string(), cause, remedy)
    };
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| fail(format!("it does not answer within {} s", PATIENCE.as_secs())))?;
    let output = output.map_err(|error| fail(error.to_string()))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Answer::Inventory(inventory)) => Ok(inventory),
        Ok(Answer::Problem(problem)) => Err(problem),
        Err(error) => Err(fail(format!("its answer cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_domain::DeviceKind;

    fn machine(cuda: bool) -> Inventory {
        let device =
            |name: &str, id: &str, kind| Reading { name: name.into(), id: id.into(), kind, ..Reading::default() };
        let devices = vec![
            device("cpu", "cpu", DeviceKind::Cpu),
            device("cuda:0", "GPU-a", DeviceKind::Gpu),
            Reading { sliced: true, ..device("cuda:1", "GPU-b", DeviceKind::Gpu) },
            device("cuda:1:0", "MIG-c", DeviceKind::Mig),
        ];
        Inventory { cuda, devices, ..Inventory::default() }
    }

    fn seen(devices: &str, cuda: bool) -> (Vec<String>, Vec<String>) {
        let (posts, missing) = chosen(&devices.parse().unwrap(), &machine(cuda));
        (posts.into_iter().map(|post| post.visible).collect(), missing)
    }

    #[test]
    fn every_card_and_slice_gets_a_worker_that_sees_it_alone() {
        assert_eq!(seen("auto", true), (vec!["GPU-a".into(), "MIG-c".into()], vec![]));
        assert_eq!(seen("cpu", true), (vec![], vec![]));
        assert_eq!(seen("cpu,cuda:1:0,MIG-c", true), (vec!["MIG-c".into()], vec![]));
        assert_eq!(seen("GPU-a,cuda:9,cuda:1", true), (vec!["GPU-a".into()], vec!["cuda:9".into(), "cuda:1".into()]));
    }

    #[test]
    fn a_worker_program_without_cuda_gets_no_card() {
        assert_eq!(seen("auto", false), (vec![], vec![]));
        assert_eq!(seen("cuda:0", false), (vec![], vec!["cuda:0".into()]));
    }

    #[test]
    fn workers_for_the_processor_see_no_card() {
        let workers = Workers { count: 2, ..Workers::default() };
        let posts: Vec<_> = processors(&workers).collect();
        assert!(posts.len() == 2 && posts[1].name == "cpu-1" && posts.iter().all(|post| post.visible.is_empty()));
    }
}
