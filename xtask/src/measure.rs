//! Measurements of the real programs: one JSON line per figure, so that runs can be compared by line.

mod daemon;
mod demo;
mod example;
mod farm;
mod figure;
mod gate;
mod pack;
mod process;
mod size;

use std::path::Path;

use clap::Subcommand;

pub(crate) use figure::Figure;

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Subject {
    /// The daemon at rest and under small jobs: memory, time to ready, time from a push to its start.
    Daemon,
    /// The demo from a cold start: wall time, time per stage, peak memory, shots accepted.
    Demo,
    /// The gate on clips of characters that nothing was tuned on: false and true accepts, who is who. Takes many minutes.
    Gate(gate::Options),
    /// The bundled models on characters that they were not trained on: faces, likeness, attributes, pictures. Takes many minutes.
    Pack(pack::Options),
    /// Bytes of what is shipped: the release programs and the bundled pack.
    Size,
}

/// Measures `subject` in the workspace at `root`; each figure goes to `say`.
///
/// # Errors
///
/// Where something that is to be measured is missing: a figure is measured or not given at all.
pub(crate) fn figures(root: &Path, subject: &Subject, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let figures = match subject {
        Subject::Daemon => daemon::figures(root)?,
        Subject::Demo => demo::figures(root)?,
        Subject::Gate(options) => return gate::figures(root, options, say),
        Subject::Pack(options) => return pack::figures(root, options, say),
        Subject::Size => size::figures(root)?,
    };
    figures.iter().for_each(say);
    Ok(())
}
