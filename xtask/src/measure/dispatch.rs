//! How fast the ledger hands tasks out, by an example of the tests: nothing of the farm is linked here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use cargo_metadata::MetadataCommand;
use clap::Args;

use super::{Figure, example};

const EXAMPLE: &str = "measure-dispatch";
const GOALS: &[(&str, &str)] = &[("postgres_dispatches_per_second", ">= 2000"), ("rows_per_task", "<= 20")];

/// What is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// A folder on the disk whose flushing is measured; the default is where the build lies.
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
}

pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let program = example::built(root, EXAMPLE, &["greenroom-tests"])?;
    let mut command = Command::new(program);
    command.arg(options.disk.as_deref().unwrap_or_else(|| metadata.target_directory.as_std_path()));
    example::printed(EXAMPLE, &mut command, &mut |figure| say(&figure.with_goal(GOALS))).context("measure dispatch")
}
