//! Measurements of the real programs: one JSON line per figure, so that runs can be compared by line.

mod figure;
mod size;

use std::path::Path;

use clap::Subcommand;

pub(crate) use figure::Figure;

/// What can be measured.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Subject {
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
        Subject::Size => size::figures(root),
    }
}
