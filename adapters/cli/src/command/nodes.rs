//! `greenroom nodes`, `greenroom devices`

use clap::Args;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{failure::Outcome, json};

/// List machines: whether they take work, and what each has.
#[derive(Args, Debug)]
pub(crate) struct Nodes {}

/// List devices: their memory, what can be given out of it, heat, errors, programs of others, what they hold and run.
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
    let mut more = vec![device.model.clone(), device.profile.clone()];
    more.extend(device.temperature_c.map(|degrees| format!("{degrees} °C")));
    more.extend(device.ecc_errors.filter(|&errors| errors > 0).map(|errors| format!("{errors} memory errors")));
    if device.others_mib > 0 {
        more.push(format!("{} MiB used by {} other programs", device.others_mib, device.others.len()));
    }
    if !device.unfit.is_empty() {
        more.push(format!("takes nothing new: {}", device.unfit));
    }
    more.retain(|part| !part.is_empty());
    format!("{node:<20} {name:<10} {free:>7} of {all:>7} MiB free  {tasks}  {}", more.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tells_what_is_wrong_with_it() {
        let device = v1::NodeDevice {
            device: "cuda:0".into(),
            model: "NVIDIA H200".into(),
            memory_mib: 143_771,
            free_mib: 139_675,
            temperature_c: Some(41),
            ecc_errors: Some(2),
            others_mib: 4096,
            others: vec![4711],
            unfit: "2 memory errors were not corrected".into(),
            ..v1::NodeDevice::default()
        };
        assert_eq!(
            device_line("n1", &device),
            "n1                   cuda:0      139675 of  143771 MiB free  idle  NVIDIA H200, 41 °C, 2 memory errors, 4096 MiB \
             used by 1 other programs, takes nothing new: 2 memory errors were not corrected"
        );
    }

    #[test]
    fn a_drained_node_tells_why() {
        let node = v1::Node { name: "n1".into(), state: "drained".into(), reason: "fan".into(), devices: vec![] };
        assert_eq!(line(&node), "n1                   drained     0 devices, 0 tasks  (fan)");
    }
}
