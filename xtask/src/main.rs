//! Repository chores: `cargo xtask tidy` checks what the compiler cannot.
//!
//! Not built into anything that ships, and nothing of the farm is linked here.

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
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().chore {
        Chore::Tidy => run_tidy(workspace_root()?),
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

fn workspace_root() -> anyhow::Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's root")
}
