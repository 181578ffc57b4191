//! The processor and the machine's memory, as the kernel tells them.

use greenroom_domain::{DeviceKind, Reading};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Drivers of sensors that sit in a processor.
const SENSORS: [&str; 3] = ["coretemp", "k10temp", "zenpower"];

/// The machine's name.
pub(crate) fn node() -> String {
    let name = text("/proc/sys/kernel/hostname");
    if name.trim().is_empty() { "localhost".into() } else { name.trim().into() }
}

/// The machine's memory, MiB.
pub(crate) fn memory_mib() -> u64 {
    mib(&text("/proc/meminfo"), "MemTotal")
}

/// The processor with the machine's memory.
pub(super) fn reading() -> Reading {
    let (memory, processor) = (text("/proc/meminfo"), text("/proc/cpuinfo"));
    let (temperature_c, critical_c) = temperature(Path::new("/sys/class/hwmon"));
    let memory_mib = mib(&memory, "MemTotal");
    Reading {
        name: "cpu".into(),
        id: "cpu".into(),
        kind: DeviceKind::Cpu,
        model: field(&processor, "model name").unwrap_or("processor").into(),
        memory_mib,
        free_mib: mib(&memory, "MemAvailable").min(memory_mib),
        temperature_c,
        critical_c,
        ecc_errors: memory_errors(Path::new("/sys/devices/system/edac/mc")),
        ..Reading::default()
    }
}

/// This process and everything that it started, and that started by it.
pub(super) fn own_processes() -> BTreeSet<u32> {
    let pids = entries(Path::new("/proc")).filter_map(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
    let parents: BTreeMap<_, _> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut own = BTreeSet::from([std::process::id()]);
    loop {
        let more = parents.iter().filter(|(_, parent)| own.contains(parent)).map(|(pid, _)| *pid);
        let more: Vec<_> = more.filter(|pid| !own.contains(pid)).collect();
        if more.is_empty() {
            return own;
        }
        own.extend(more);
    }
}

fn parent(pid: u32) -> Option<u32> {
    field(&text(format!("/proc/{pid}/status")), "PPid")?.parse().ok()
}

/// The hottest of the processor's sensors, and the lowest limit that one of them tells, degrees Celsius.
fn temperature(folder: &Path) -> (Option<u32>, Option<u32>) {
    let chips = entries(folder).filter(|chip| SENSORS.contains(&text(chip.join("name")).trim()));
    let files: Vec<_> = chips.flat_map(|chip| entries(&chip).collect::<Vec<_>>()).collect();
    let read = |what: &str| {
        let named = |path: &&PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("temp") && name.ends_with(what))
        };
        let values = files.iter().filter(named).filter_map(|path| text(path).trim().parse::<u32>().ok());
        values.map(|thousandths| thousandths / 1000).collect::<Vec<_>>()
    };
    (read("_input").into_iter().max(), read("_crit").into_iter().filter(|&limit| limit > 0).min())
}

/// Errors of the machine's memory that were not corrected; none where nothing counts them.
fn memory_errors(folder: &Path) -> Option<u64> {
    let counts = entries(folder).filter_map(|controller| text(controller.join("ue_count")).trim().parse::<u64>().ok());
    counts.reduce(|a, b| a + b)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A line of `/proc/meminfo`, which counts in KiB.
fn mib(text: &str, name: &str) -> u64 {
    let value = field(text, name).and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok());
    value.map_or(0, |kib| kib >> 10)
}

/// The first `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_a_name_and_this_process() {
        let cpu = reading();
        assert!(cpu.memory_mib > 256 && cpu.free_mib <= cpu.memory_mib, "{cpu:?}");
        assert!(!node().is_empty());
        let child = std::process::Command::new("sleep").arg("60").spawn();
        let mut child = child.unwrap();
        let own = own_processes();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(own.contains(&child.id()) && own.contains(&std::process::id()) && !own.contains(&1), "{own:?}");
    }

    #[test]
    fn sensors_and_error_counts_are_read_as_the_kernel_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!((temperature(folder.path()), memory_errors(folder.path())), ((None, None), None));
        write("hwmon0/name", "nvme\n");
        write("hwmon0/temp1_input", "99000\n");
        write("hwmon1/name", "coretemp\n");
        write("hwmon1/temp1_input", "61000\n");
        write("hwmon1/temp2_input", "64000\n");
        write("hwmon1/temp1_crit", "100000\n");
        write("mc0/ue_count", "2\n");
        write("mc1/ue_count", "0\n");
        assert_eq!(temperature(folder.path()), (Some(64), Some(100)));
        assert_eq!(memory_errors(folder.path()), Some(2));
        assert_eq!(mib("MemTotal:       16384 kB\n", "MemTotal"), 16);
    }
}
