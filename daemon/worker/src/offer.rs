//! What this worker offers, as it tells the daemon when it attaches.

use greenroom_diffusion::Device;
use greenroom_domain::{DeviceKind, Offer, Problem, Reading};
use std::collections::BTreeSet;

use crate::{
    Args, device,
    inventory::{self, Source, Watch},
};

/// What a worker has to compute with.
#[derive(Debug)]
pub(crate) struct Own {
    /// What it really computes on.
    pub device: Device,
    /// As its drivers, or a simulation, tell it.
    pub reading: Reading,
    /// Where to look how it is later; none where the drivers do not know it.
    pub watch: Option<Watch>,
}

/// Opens the device and finds it among those of the machine.
///
/// # Errors
/// If there is no such device, or a simulation cannot be read.
pub(crate) fn open(args: &Args) -> Result<Own, Problem> {
    let source = Source::of(args.simulated.clone());
    let device = if source.is_simulated() { Device::Cpu } else { args.device.open()? };
    let number = if source.is_simulated() { args.device.number() } else { device::number(&device) };
    let (reading, watch) = match source.watch(number)? {
        Some((reading, watch)) => (reading, Some(watch)),
        None => (unknown(number), None),
    };
    Ok(Own { device, reading, watch })
}

/// What this worker offers. It runs one task at a time.
pub(crate) fn offer(args: &Args, reading: &Reading) -> Offer {
    let machine = inventory::memory_mib();
    let ram_mib = args.ram_mib.unwrap_or(machine);
    let is_cpu = reading.kind == DeviceKind::Cpu;
    let memory_mib = if is_cpu { reading.memory_mib.min(ram_mib) } else { reading.memory_mib };
    Offer {
        node: node(args),
        device: reading.name.clone(),
        uuid: (!is_cpu && !reading.id.is_empty()).then(|| reading.id.clone()),
        kind: reading.kind,
        model: reading.model.clone(),
        profile: reading.profile.clone(),
        memory_mib: args.memory_mib.unwrap_or(memory_mib),
        ram_mib,
        threads: args.threads as u32,
        slots: 1,
        tags: args.tags.iter().cloned().collect(),
        warm: BTreeSet::new(),
    }
}

/// The machine's name on the farm.
pub(crate) fn node(args: &Args) -> String {
    args.node.clone().unwrap_or_else(inventory::node)
}

/// A card that CUDA opened and the driver's library does not know.
fn unknown(number: Option<usize>) -> Reading {
    let name = number.map_or_else(|| "cpu".into(), |number| format!("cuda:{number}"));
    let kind = if number.is_some() { DeviceKind::Gpu } else { DeviceKind::Cpu };
    Reading { name, kind, ..Reading::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn args(more: &[&str]) -> Args {
        let needed =
            ["worker", "--daemon", "d", "--token-file", "t", "--artifacts", "/a", "--scratch", "/s", "--pack", "/p"];
        Args::parse_from(needed.iter().chain(more))
    }

    #[test]
    fn a_processor_offers_no_more_memory_than_its_worker_may_use() {
        let own = open(&args(&["--device", "cpu"])).unwrap();
        let whole = offer(&args(&[]), &own.reading);
        assert!(whole.ram_mib > 256 && whole.memory_mib == whole.ram_mib && whole.uuid.is_none(), "{whole:?}");
        let limited = offer(&args(&["--ram-mib", "200", "--node", "n1"]), &own.reading);
        assert_eq!((limited.memory_mib, limited.ram_mib, &limited.node[..]), (200, 200, "n1"));
    }

    #[test]
    fn a_simulated_card_is_offered_whole_and_computed_on_the_processor() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/devices.example.toml");
        let args = args(&["--simulated", example, "--device", "cuda:0", "--ram-mib", "200"]);
        let own = open(&args).unwrap();
        assert!(own.device.is_cpu());
        let offer = offer(&args, &own.reading);
        assert_eq!((&offer.device[..], offer.memory_mib, offer.ram_mib), ("cuda:0", 143_771, 200));
        assert!(offer.uuid.is_some_and(|uuid| uuid.starts_with("GPU-")));
        let (_, pids) = own.watch.unwrap().read().unwrap();
        assert!(pids.contains(&std::process::id()));
    }
}
