//! Repository chores: `cargo xtask tidy` checks what the compiler cannot, `cargo xtask measure` prints figures, `cargo xtask chaos`
//! plays the farm under faults.
//!
//! Not built into anything that ships, and nothing of the farm is linked here.

mod chaos;
mod measure;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Repository chores.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check dependency arrows, licences and files against the rules of the house.
    Tidy,
    /// Play seeds of the farm under faults.
    Chaos(chaos::Options),
    /// Measure the real programs: one JSON line per figure.
    #[command(subcommand)]
    Measure(measure::Subject),
}

#[expect(clippy::print_stderr, reason = "a chore reports to the terminal")]
fn main() -> ExitCode {
    run(&Arguments::parse().chore).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(chore: &Chore) -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's root")?;
    match chore {
        Chore::Tidy => run_tidy(root),
        Chore::Chaos(options) => chaos::play(root, options),
        Chore::Measure(subject) => run_measure(root, subject),
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore reports to the terminal")]
fn run_tidy(root: &Path) -> anyhow::Result<ExitCode> {
    let faults = tidy::faults(root)?;
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if faults.is_empty() {
        println!("tidy: dependency arrows, licences and files follow the rules");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} fault(s)", faults.len());
    Ok(ExitCode::FAILURE)
}

#[expect(clippy::print_stdout, reason = "figures are what is asked for")]
fn run_measure(root: &Path, subject: &measure::Subject) -> anyhow::Result<ExitCode> {
    measure::figures(root, subject, &mut |figure| println!("{figure}"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory as _;

    #[test]
    fn every_chore_can_be_asked_for() {
        Arguments::command().debug_assert();
    }
}
