//! How fast the ledger hands tasks out, by an example of the tests: nothing of the farm is linked here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args;

use super::{Figure, example};

const EXAMPLE: &str = "measure-dispatch";
const GOALS: &[(&str, &str)] = &[("postgres_dispatches_per_second", ">= 2000"), ("rows_per_task", "<= 20")];

/// What is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// A folder on the disk whose flushing is measured. PostgreSQL, which runs as a user of its own, must reach it too.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    disk: PathBuf,
}

pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let program = example::built(root, EXAMPLE, &["greenroom-tests"])?;
    let mut command = Command::new(program);
    command.arg(&options.disk);
    example::printed(EXAMPLE, &mut command, &mut |figure| say(&figure.with_goal(GOALS))).context("measure dispatch")
}
