//! What this machine has, in the words of a template's host requirements.

use greenroom_domain::Host;
use std::{fs, path::Path};

const MIB: f64 = 1_048_576.0;

/// Of the whole machine; GPUs are those that the kernel's driver shows.
pub(super) fn of_this_machine(scratch: &Path) -> Host {
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let disk = nix::sys::statvfs::statvfs(scratch).map_or(0.0, |disk| {
        let (free, block) = (disk.blocks_available(), disk.fragment_size());
        free as f64 * block as f64 / MIB
    });
    let amounts = [
        ("amount.worker.vcpu", processors),
        ("amount.worker.memory", memory().unwrap_or(0.0)),
        ("amount.worker.gpu", gpus() as f64),
        ("amount.worker.disk.scratch", disk),
    ];
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { std::env::consts::ARCH };
    let attributes = [("attr.worker.os.family", std::env::consts::OS), ("attr.worker.cpu.arch", arch)];
    Host {
        amounts: amounts.map(|(name, amount)| (name.to_owned(), amount)).into(),
        attributes: attributes.map(|(name, value)| (name.to_owned(), [value.to_owned()].into())).into(),
    }
}

/// MiB of the machine.
fn memory() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// A folder for each that the driver knows.
fn gpus() -> usize {
    fs::read_dir("/proc/driver/nvidia/gpus").map_or(0, |gpus| gpus.flatten().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_memory_and_an_operating_system() {
        let host = of_this_machine(Path::new("/tmp"));
        for name in ["amount.worker.vcpu", "amount.worker.memory", "amount.worker.disk.scratch"] {
            assert!(host.amounts[name] >= 1.0, "{name}: {:?}", host.amounts);
        }
        assert!(host.attributes["attr.worker.os.family"].contains("linux"));
    }
}
