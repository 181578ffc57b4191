//! What this worker offers, as it tells the daemon when it attaches.

use greenroom_diffusion::Device;
use greenroom_domain::{DeviceKind, Offer};
use std::collections::BTreeSet;

use crate::Args;

/// What this worker offers. It runs one task at a time.
pub(crate) fn offer(args: &Args, device: &Device) -> Offer {
    let is_cpu = device.is_cpu();
    let first = |text: Option<String>| text.unwrap_or_default();
    Offer {
        node: node(args),
        device: if is_cpu { "cpu".into() } else { crate::device::name(device, args.threads) },
        kind: if is_cpu { DeviceKind::Cpu } else { DeviceKind::Gpu },
        model: if is_cpu { first(field("/proc/cpuinfo", "model name")) } else { String::new() },
        profile: None,
        memory_mib: args.memory_mib.unwrap_or_else(|| if is_cpu { memory() } else { 0 }),
        threads: args.threads as u32,
        slots: 1,
        tags: args.tags.iter().cloned().collect(),
        warm: BTreeSet::new(),
    }
}

/// The machine's name on the farm.
pub(crate) fn node(args: &Args) -> String {
    args.node.clone().or_else(|| read("/proc/sys/kernel/hostname")).unwrap_or_default()
}

/// The machine's memory, MiB; 0 where it does not tell.
fn memory() -> u64 {
    let total = field("/proc/meminfo", "MemTotal");
    total.and_then(|text| text.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn read(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The first `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path)?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_tells_its_memory_and_its_name() {
        assert!(memory() > 100, "{} MiB", memory());
        assert!(read("/proc/sys/kernel/hostname").is_some_and(|name| !name.is_empty()));
        assert_eq!(read("/no/such/file"), None);
    }
}
