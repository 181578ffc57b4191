//! The gate at its decision on clips: who passes, who does not, who is who, what cheats it, on characters that nothing was tuned on.
//!
//! The pack's recipe draws the clips, the worker's example `measure-gate` judges them with the code that ships. Then its example
//! `measure-repair` makes frames of other characters and repairs those that the gate rejects.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use super::{Figure, example, pack};

/// What the figures are to reach.
const GOALS: &[(&str, &str)] = &[
    ("far", "<= 0.001"),
    ("tar", ">= 0.95"),
    ("assignment_accuracy", ">= 0.99"),
    ("copy_alarm_recall", ">= 0.95"),
    ("copy_alarm_false_alarms", "<= 0.01"),
    ("frozen_recall", ">= 0.95"),
    ("frozen_false_alarms", "<= 0.01"),
    ("faceless_recall", ">= 0.95"),
    ("faceless_false_alarms", "<= 0.01"),
    ("misplaced_recall", ">= 0.95"),
    ("misplaced_false_alarms", "<= 0.01"),
    ("repair_rate", ">= 0.6"),
    ("repair_frames", ">= 100"),
    ("repair_characters", ">= 20"),
];

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
    /// Characters whose honest takes are turned into cheats, three of each.
    #[arg(long, default_value_t = 40, value_name = "N")]
    cheated: u32,
    /// The first character's seed; another than the recipe's held-out ones only to choose settings on (1000000).
    #[arg(long, value_name = "SEED")]
    first: Option<u32>,
    /// Characters that frames are made of, to be repaired where they are rejected.
    #[arg(long, default_value_t = 24, value_name = "N")]
    characters: u32,
    /// Rejected frames that are repaired.
    #[arg(long, default_value_t = 100, value_name = "N")]
    frames: u32,
    /// Only one part.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// A picture of the frames before and after their repair, to look at.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
}

/// One part of the measurement, with drawings of its own.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Part {
    /// Clips at the decision.
    Clips,
    /// What cheats.
    Alarms,
    /// Repair of rejected frames.
    Repair,
}

/// Each figure goes to `say` as soon as it is known.
pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let folder = options.pack.clone().unwrap_or_else(|| root.join("packaging/packs/puppet"));
    let folder = folder.canonicalize().with_context(|| format!("open pack {}", folder.display()))?;
    let recipe = root.join(pack::read(&folder)?.recipe);
    let mut say = |figure: Figure| say(&figure.with_goal(GOALS));
    let parts: &[Part] = options.only.as_ref().map_or(&[Part::Clips, Part::Alarms, Part::Repair], std::slice::from_ref);
    for part in parts {
        let measure = match part {
            Part::Clips => clips,
            Part::Alarms => alarms,
            Part::Repair => repairs,
        };
        measure(root, &folder, &recipe, options, &mut say)?;
    }
    Ok(())
}

/// Who passes, who does not, who is who.
fn clips(
    root: &Path,
    pack: &Path,
    recipe: &Path,
    options: &Options,
    say: &mut dyn FnMut(Figure),
) -> anyhow::Result<()> {
    let drawings = TempDir::with_prefix("greenroom-measure-")?;
    let [identities, scenes, softened] = [options.identities, options.scenes, options.softened].map(|n| n.to_string());
    let mut arguments = vec!["--ids", &identities, "--scenes", &scenes];
    let first = options.first.map(|first| first.to_string());
    if let Some(first) = &first {
        arguments.extend(["--first", first]);
    }
    example::draw(recipe, "puppet.gate", drawings.path(), &arguments)?;
    example::run(root, "measure-gate", pack, drawings.path(), &["--softened", &softened], say)
}

/// What cheats it.
fn alarms(
    root: &Path,
    pack: &Path,
    recipe: &Path,
    options: &Options,
    say: &mut dyn FnMut(Figure),
) -> anyhow::Result<()> {
    let drawings = TempDir::with_prefix("greenroom-measure-")?;
    let cheated = options.cheated.to_string();
    let mut arguments = vec!["--ids", &cheated];
    let first = options.first.map(|first| first.to_string());
    if let Some(first) = &first {
        arguments.extend(["--first", first]);
    }
    example::draw(recipe, "puppet.alarms", drawings.path(), &arguments)?;
    example::run(root, "measure-gate", pack, drawings.path(), &["--alarms"], say)
}

/// How many frames that were rejected pass after one repair.
fn repairs(
    root: &Path,
    pack: &Path,
    recipe: &Path,
    options: &Options,
    say: &mut dyn FnMut(Figure),
) -> anyhow::Result<()> {
    let drawings = TempDir::with_prefix("greenroom-measure-")?;
    let [characters, frames] = [options.characters, options.frames].map(|n| n.to_string());
    example::draw(recipe, "puppet.heldout", drawings.path(), &["--ids", &characters, "--characters", &characters])?;
    let sheet = options.sheet.as_ref().map(|sheet| sheet.display().to_string());
    let mut arguments = vec!["--frames", &frames[..]];
    if let Some(sheet) = &sheet {
        arguments.extend(["--sheet", sheet]);
    }
    example::run(root, "measure-repair", pack, drawings.path(), &arguments, say)
}
