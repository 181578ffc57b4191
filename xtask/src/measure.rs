//! Measurements of the real programs: one JSON line per figure, so that runs can be compared by line.

mod daemon;
mod demo;
mod farm;
mod figure;
mod process;
mod size;

use std::path::Path;

use clap::Subcommand;

pub(crate) use figure::Figure;

/// What can be measured.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Subject {
    /// The daemon at rest and under small jobs: memory, time to ready, time from a push to its start.
    Daemon,
    /// The demo from a cold start: wall time, time per stage, peak memory, shots accepted.
    Demo,
    /// Bytes of what is shipped: the release programs and the bundled pack.
    Size,
}

/// Measures `subject` in the workspace at `root`.
///
/// # Errors
///
/// Where something that is to be measured is missing: a figure is measured or not given at all.
pub(crate) fn figures(root: &Path, subject: Subject) -> anyhow::Result<Vec<Figure>> {
    match subject {
        Subject::Daemon => daemon::figures(root),
        Subject::Demo => demo::figures(root),
        Subject::Size => size::figures(root),
    }
}
