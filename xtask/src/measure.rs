//! Measurements of the real programs: one JSON line per figure, so that runs can be compared by line.

mod daemon;
mod demo;
mod diffusion;
mod dispatch;
mod example;
mod farm;
mod figure;
mod gate;
mod identity;
mod lora;
mod pack;
mod process;
mod scale;
mod size;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

pub(crate) use figure::Figure;

/// What can be measured.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Subject {
    /// The daemon at rest and under small jobs: memory, time to ready, time from a push to its start.
    Daemon,
    /// The demo from a cold start: wall time, time per stage, peak memory, shots accepted.
    Demo,
    /// UNets of several shapes beside python diffusers: agreement, speed, memory.
    Diffusion(diffusion::Options),
    /// What the ledger hands out a second on SQLite and PostgreSQL, every commit flushed, and rows touched for each task.
    Dispatch(dispatch::Options),
    /// The gate on clips of characters that nothing was tuned on: false and true accepts, who is who, cheats caught. Takes many
    /// minutes.
    Gate(gate::Options),
    /// Faces of a clip found and embedded, beside python insightface on the same models: speed, memory, agreement.
    Identity(identity::Options),
    /// LoRA steps beside python diffusers and peft, and what three characters gain. Takes many minutes.
    Lora(lora::Options),
    /// The bundled models on characters that they were not trained on: faces, likeness, attributes, pictures. Takes many minutes.
    Pack(pack::Options),
    /// The scheduler at the size of a large farm: 12,800 devices, a million queued tasks, and 100,000 tasks in SQLite.
    Scale,
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
        Subject::Diffusion(options) => return diffusion::figures(root, diffusion::What::Unet, options, say),
        Subject::Dispatch(options) => return dispatch::figures(root, options, say),
        Subject::Lora(options) => return lora::figures(root, options, say),
        Subject::Gate(options) => return gate::figures(root, options, say),
        Subject::Identity(options) => return identity::figures(root, options, say),
        Subject::Pack(options) => return pack::figures(root, options, say),
        Subject::Scale => return scale::figures(root, say),
        Subject::Size => size::figures(root)?,
    };
    figures.iter().for_each(say);
    Ok(())
}

/// Where set-up puts what it fetches.
#[expect(clippy::disallowed_methods, reason = "where the cache lies is the machine's to say")]
fn cache() -> anyhow::Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/greenroom"));
    let cache = std::env::var_os("GREENROOM_CACHE").map(PathBuf::from).or_else(home);
    cache.context("neither GREENROOM_CACHE nor HOME is set")
}
