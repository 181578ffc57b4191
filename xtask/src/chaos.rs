//! The farm under faults: seeds of the simulator in one process, or of real processes. Nothing of the farm is linked here.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;
use clap::Args;

/// Ledgers lie in memory where there is some: whether a disk keeps what it was given is not what is tried here.
const MEMORY: &str = "/dev/shm";

/// Play seeds of the farm under faults: one JSON line for each that fails, and one with the faults that happened.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many seeds; 1000 in one process, 20 with real ones, unless said otherwise.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    from: u64,
    /// Real processes on the loopback instead of one process with a simulated clock.
    #[arg(long)]
    real: bool,
    /// Print everything that happened, not only what failed.
    #[arg(long, conflicts_with = "real")]
    log: bool,
}

pub(crate) fn play(root: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let mut command = if options.real {
        build(root, &["--package", "greenroomd", "--package", "greenroom", "--package", "greenroom-worker"])?;
        build(root, &["--package", "greenroom-tests", "--example", "chaos-real"])?;
        let mut command = Command::new(program(root, "examples/chaos-real")?);
        command.args([options.seeds.unwrap_or(20), options.from].map(|n| n.to_string()));
        command
    } else {
        build(root, &["--package", "greenroomd", "--features", "chaos", "--example", "chaos"])?;
        let mut command = Command::new(program(root, "examples/chaos")?);
        command.args(["--seeds", &options.seeds.unwrap_or(1000).to_string(), "--from", &options.from.to_string()]);
        command.args(options.log.then_some("--log")).arg("--pack").arg(root.join("packaging/packs/puppet"));
        command
    };
    let memory = Path::new(MEMORY);
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }?;
    if !options.real {
        command.arg("--folder").arg(folder.path());
    }
    let status = command.stdin(Stdio::null()).status().context("start the simulator")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build(root: &Path, what: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["build", "--locked"]).args(what);
    let status = command.stdin(Stdio::null()).status().context("start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    Ok(())
}

fn program(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    Ok(metadata.target_directory.as_std_path().join("debug").join(name))
}
