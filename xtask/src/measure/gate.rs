//! The gate at its decision on clips: who passes, who does not, who is who, on characters that nothing was tuned on.
//!
//! The pack's recipe draws the clips, the worker's example `measure-gate` judges them with the code that ships.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use super::{Figure, example, pack};

/// What the figures are to reach.
const GOALS: &[(&str, &str)] = &[("far", "<= 0.001"), ("tar", ">= 0.95"), ("assignment_accuracy", ">= 0.99")];

/// Which pack, and on how many characters.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder of the models, with its pack.toml; the bundled one if not given.
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Characters that are drawn, three clips of each.
    #[arg(long, default_value_t = 200, value_name = "N")]
    identities: u32,
    /// Clips of two to four of them together.
    #[arg(long, default_value_t = 120, value_name = "N")]
    scenes: u32,
    /// Clips that are also judged after the VAE.
    #[arg(long, default_value_t = 40, value_name = "N")]
    softened: u32,
    /// The first character's seed; another than the recipe's held-out ones only to choose settings on (1000000).
    #[arg(long, value_name = "SEED")]
    first: Option<u32>,
}

/// Each figure goes to `say` as soon as it is known.
pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let folder = options.pack.clone().unwrap_or_else(|| root.join("packaging/packs/puppet"));
    let folder = folder.canonicalize().with_context(|| format!("open pack {}", folder.display()))?;
    let recipe = root.join(pack::read(&folder)?.recipe);
    let drawings = TempDir::with_prefix("greenroom-measure-")?;
    let [identities, scenes, softened] = [options.identities, options.scenes, options.softened].map(|n| n.to_string());
    let mut arguments = vec!["--ids", &identities, "--scenes", &scenes];
    let first = options.first.map(|first| first.to_string());
    if let Some(first) = &first {
        arguments.extend(["--first", first]);
    }
    example::draw(&recipe, "puppet.gate", drawings.path(), &arguments)?;
    let mut say = |figure: Figure| say(&figure.with_goal(GOALS));
    example::run(root, "measure-gate", &folder, drawings.path(), &["--softened", &softened], &mut say)
}
