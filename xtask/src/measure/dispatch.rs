//! How fast the farm hands tasks out, by examples of the tests: nothing of the farm is linked here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;
use tempfile::TempDir;

use super::{Figure, example};

/// The stores alone, and the whole farm with its programs.
const EXAMPLES: [&str; 2] = ["measure-dispatch", "measure-start"];
const PACKAGES: [&str; 4] = ["greenroom-tests", "greenroomd", "greenroom", "greenroom-worker"];
const GOALS: &[(&str, &str)] =
    &[("postgres_dispatches_per_second", ">= 2000"), ("rows_per_task", "<= 20"), ("submit_to_start_p99_ms", "<= 20")];

/// What is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// A folder on the disk whose flushing is measured. PostgreSQL, which runs as a user of its own, must reach it too.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    disk: PathBuf,
    /// Also measure RQ and Celery on a Redis that writes every change to that disk, in this run.
    #[arg(long)]
    peers: bool,
}

/// What a queue of others took, seconds and jobs a second.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Peer {
    p50: f64,
    p99: f64,
    per_second: f64,
}

pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let peers = if options.peers { peers(root, &options.disk)? } else { BTreeMap::new() };
    for name in EXAMPLES {
        let mut command = Command::new(example::built(root, name, &PACKAGES)?);
        // The farm's folder is a temporary one.
        command.arg(&options.disk).env("TMPDIR", &options.disk);
        let mut each = |figure: Figure| {
            let figure = figure.with_goal(GOALS);
            say(&figure);
            peers.iter().filter_map(|(name, peer)| beside(&figure, name, *peer)).for_each(|figure| say(&figure));
        };
        example::printed(name, &mut command, &mut each).context("measure dispatch")?;
    }
    Ok(())
}

/// The same figure with what another queue took, where it has one.
fn beside(figure: &Figure, name: &str, peer: Peer) -> Option<Figure> {
    let value = match figure.figure.as_str() {
        "submit_to_start_p50_ms" => peer.p50 * 1e3,
        "submit_to_start_p99_ms" => peer.p99 * 1e3,
        "farm_tasks_per_second" => peer.per_second,
        _ => return None,
    };
    Some(figure.clone().beside(name, value))
}

fn peers(root: &Path, disk: &Path) -> anyhow::Result<BTreeMap<String, Peer>> {
    let python = super::cache()?.join("measure-dispatch-venv/bin/python");
    ensure!(python.is_file(), "{} is not there: run `packaging/setup/setup.sh measure-dispatch`", python.display());
    let folder = TempDir::with_prefix_in("greenroom-measure-", disk)?;
    let mut command = Command::new(python);
    command.arg(root.join("xtask/src/measure/dispatch/peer.py")).arg(folder.path());
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().context("start the peers")?;
    ensure!(output.status.success(), "the peers ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find(|line| line.starts_with('{')).context("the peers said nothing")?;
    Ok(serde_json::from_str(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_others_stands_beside_what_it_can_be_compared_with() {
        let peer = Peer { p50: 0.01, p99: 0.03, per_second: 70.0 };
        let of = |name| beside(&Figure::new(name, 1.0, "ms"), "celery", peer).and_then(|figure| figure.peer_value);
        assert_eq!(of("submit_to_start_p99_ms"), Some(30.0));
        assert_eq!(of("farm_tasks_per_second"), Some(70.0));
        assert_eq!(of("rows_per_task"), None);
    }
}
