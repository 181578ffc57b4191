//! `greenroom nodes`, `greenroom devices`

use clap::Args;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{failure::Outcome, json};

/// List machines: whether they take work, and what each has.
#[derive(Args, Debug)]
pub(crate) struct Nodes {}

/// List devices: their memory, what is free of it, what they hold and run.
#[derive(Args, Debug)]
pub(crate) struct Devices {}

impl Nodes {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let nodes = list(context).await?;
        let mut lines: Vec<_> = nodes.iter().map(line).collect();
        if lines.is_empty() {
            lines.push("no worker is attached".to_owned());
        }
        context.output.answer(&nodes.iter().map(json::node).collect(), &lines);
        Ok(Outcome::Complete)
    }
}

impl Devices {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let nodes = list(context).await?;
        let devices = || nodes.iter().flat_map(|node| node.devices.iter().map(move |device| (node, device)));
        let mut lines: Vec<_> = devices().map(|(node, device)| device_line(&node.name, device)).collect();
        if lines.is_empty() {
            lines.push("no worker is attached".to_owned());
        }
        let document = devices().map(|(node, device)| {
            let mut value = json::device(device);
            value["node"] = node.name.clone().into();
            value
        });
        context.output.answer(&document.collect(), &lines);
        Ok(Outcome::Complete)
    }
}

/// A machine in one line.
pub(super) fn line(node: &v1::Node) -> String {
    let running: usize = node.devices.iter().map(|device| device.tasks.len()).sum();
    let reason = if node.reason.is_empty() { String::new() } else { format!("  ({})", node.reason) };
    format!("{:<20} {:<11} {} devices, {running} tasks{reason}", node.name, node.state, node.devices.len())
}

async fn list(context: &Context) -> Result<Vec<v1::Node>, crate::failure::Failure> {
    let farm = context.farm().await?;
    match farm.schedule().list_nodes(v1::ListNodesRequest {}).await {
        Ok(answer) => Ok(answer.into_inner().nodes),
        Err(status) => Err(farm.problem(status).await.into()),
    }
}

fn device_line(node: &str, device: &v1::NodeDevice) -> String {
    let tasks = if device.tasks.is_empty() { "idle".to_owned() } else { device.tasks.join(" ") };
    let (name, free, all) = (&device.device, device.free_mib, device.memory_mib);
    format!("{node:<20} {name:<10} {free:>7} of {all:>7} MiB free  {tasks}  {}", device.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_node_tells_why() {
        let node = v1::Node { name: "n1".into(), state: "drained".into(), reason: "fan".into(), devices: vec![] };
        assert_eq!(line(&node), "n1                   drained     0 devices, 0 tasks  (fan)");
    }
}
