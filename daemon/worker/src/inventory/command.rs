//! `greenroom-worker devices`: what this machine has to compute on.

use clap::Parser;
use greenroom_domain::{Inventory, Problem, Reading};
use serde_json::json;
use std::{io::Write as _, path::PathBuf, process::ExitCode};

use super::Source;

/// Tell what this machine has to compute on: processor, graphics cards, their slices, memory, temperature, errors, programs.
///
/// With --json the answer is one document: `inventory`, or `problem`. A machine without a driver has its processor.
#[derive(Debug, Parser)]
#[command(name = "greenroom-worker devices", max_term_width = 100)]
pub(crate) struct Devices {
    /// Answer for programs
    #[arg(long)]
    json: bool,
    /// Take what this file says for the machine's devices (TOML), to try a farm out without its cards
    #[arg(long, env = "GREENROOM_SIMULATED_DEVICES", value_name = "FILE")]
    simulated: Option<PathBuf>,
}

impl Devices {
    /// Looks and answers.
    pub(crate) fn run(self) -> ExitCode {
        let found = Source::of(self.simulated).look();
        let code = if found.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        let answer = match (self.json, found) {
            (true, Ok(inventory)) => json!({ "inventory": inventory }).to_string(),
            (true, Err(problem)) => json!({ "problem": problem }).to_string(),
            (false, Ok(inventory)) => told(&inventory),
            (false, Err(problem)) => complaint(&problem),
        };
        if writeln!(std::io::stdout(), "{}", answer.trim_end()).is_ok() { code } else { ExitCode::FAILURE }
    }
}

fn told(inventory: &Inventory) -> String {
    let lines = inventory.devices.iter().map(line).chain(inventory.remarks.iter().map(|remark| format!("({remark})")));
    lines.collect::<Vec<_>>().join("\n")
}

fn complaint(problem: &Problem) -> String {
    format!("{problem}\n{}", problem.remedy)
}

fn line(device: &Reading) -> String {
    let (name, model, all, free) = (&device.name, &device.model, device.memory_mib, device.free_mib);
    let mut parts = vec![format!("{name:<9} {model}")];
    parts.extend(device.profile.clone());
    parts.push(format!("{free} of {all} MiB free"));
    parts.extend(device.temperature_c.map(|degrees| format!("{degrees} °C")));
    parts.extend(device.ecc_errors.map(|errors| format!("{errors} uncorrected memory errors")));
    if !device.processes.is_empty() {
        let pids: Vec<_> = device.processes.iter().map(|process| process.pid.to_string()).collect();
        parts.push(format!("used by {}", pids.join(" ")));
    }
    parts.extend(Some(device.id.clone()).filter(|id| id != name));
    if device.sliced {
        parts.push("cut into slices".into());
    }
    parts.extend(device.unfit().map(|unfit| format!("not fit for work: {unfit}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_in_a_line() {
        let card = Reading {
            name: "cuda:0".into(),
            id: "GPU-1".into(),
            model: "NVIDIA H200".into(),
            memory_mib: 143_771,
            free_mib: 143_000,
            temperature_c: Some(95),
            critical_c: Some(90),
            ecc_errors: Some(0),
            ..Reading::default()
        };
        assert_eq!(
            line(&card),
            "cuda:0    NVIDIA H200, 143000 of 143771 MiB free, 95 °C, 0 uncorrected memory errors, GPU-1, not fit for work: \
             it has 95 °C, and slows down from 90 °C on"
        );
    }
}
