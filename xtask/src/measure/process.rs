//! What the kernel tells of a process, and the clocks that a measurement needs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;

/// A line of `/proc/PID/status`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Memory {
    /// Resident now.
    Resident,
    /// The most that was ever resident.
    Peak,
}

/// Memory of a process, bytes.
pub(super) fn memory(pid: u32, what: Memory) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    parse_memory(&status, what).with_context(|| format!("{path} does not tell {what:?}"))
}

/// The processes that a process started itself, and what each is called.
pub(super) fn children(pid: u32) -> Vec<(u32, String)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let listed = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids = listed.flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>());
    pids.filter_map(|pid| Some((pid, name(pid)?))).collect()
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Time since 1970, as the daemon's event log has it.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(super) fn wall_clock() -> anyhow::Result<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")
}

/// Waits between two looks.
#[expect(clippy::disallowed_methods, reason = "the kernel does not tell when a process changes")]
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// The program's file name; the kernel cuts `comm` short.
fn name(pid: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let file = Path::new(&program).file_name()?.to_str()?;
    Some(file.trim_end_matches(" (deleted)").to_owned())
}

fn parse_memory(status: &str, what: Memory) -> Option<u64> {
    let field = match what {
        Memory::Resident => "VmRSS:",
        Memory::Peak => "VmHWM:",
    };
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tgreenroomd\nVmHWM:\t   16436 kB\nVmRSS:\t   12888 kB\n";
        assert_eq!(parse_memory(status, Memory::Resident), Some(12_888 << 10));
        assert_eq!(parse_memory(status, Memory::Peak), Some(16_436 << 10));
        assert_eq!(parse_memory("Name:\tkthreadd\n", Memory::Peak), None);
    }

    #[test]
    fn this_test_has_memory_and_its_child_a_name() {
        let own = std::process::id();
        let resident = memory(own, Memory::Resident).unwrap();
        assert!(memory(own, Memory::Peak).unwrap() >= resident);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = children(own).into_iter().any(|(pid, _)| pid == child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
