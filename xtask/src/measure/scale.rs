//! The scheduler at the size of a large farm: an example of the daemon decides for 1,600 nodes and prints figures.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::{Figure, example, farm};

const EXAMPLE: &str = "measure-scale";

pub(super) fn figures(root: &Path, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let mut build = Command::new("cargo");
    build.current_dir(root).args(["build", "--release", "--locked", "--package", "greenroomd", "--example", EXAMPLE]);
    let status = build.stdin(Stdio::null()).status().context("start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    let mut command = Command::new(farm::program(root, &format!("examples/{EXAMPLE}"))?);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut run = command.spawn().with_context(|| format!("start {EXAMPLE}"))?;
    let output = run.stdout.take().with_context(|| format!("{EXAMPLE} has no output"))?;
    for line in BufReader::new(output).lines() {
        say(&example::parse(EXAMPLE, &line?)?);
    }
    let status = run.wait()?;
    ensure!(status.success(), "{EXAMPLE} ended with {status}");
    Ok(())
}
