//! A pack's models on characters that none of them was trained on.
//!
//! No model is linked here. The pack's recipe draws the characters and writes down what is true of each drawing; the
//! worker's example `measure-pack` looks at the drawings, and makes pictures of its own, with the code that ships. It is
//! built together with the programs that ship, as `make demo` builds them: the same libraries with the same features.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use tempfile::TempDir;

use super::{Figure, example};

/// What the figures are to reach.
const GOALS: &[(&str, &str)] = &[
    ("embedder_auc", ">= 0.999"),
    ("embedder_tar_at_far_0.001", ">= 0.99"),
    ("lookalike_far", "<= 0.10"),
    ("detector_recall", ">= 0.99"),
    ("landmark_error_iod", "<= 0.06"),
    ("caption_followed", ">= 0.80"),
    ("ip_adapter_gain", ">= 0.25"),
    ("ip_adapter_pass_rate", ">= 0.5"),
    ("pack_megabytes", "< 40"),
    ("largest_file_mib", "<= 16"),
];

/// Which pack, and on how many characters.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder of the models, with its pack.toml; the bundled one if not given.
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// Characters that are drawn.
    #[arg(long, default_value_t = 200, value_name = "N")]
    identities: u32,
    /// Characters of these that pictures are made of, eight of each.
    #[arg(long, default_value_t = 24, value_name = "N")]
    characters: u32,
}

/// The part of `pack.toml` that is needed.
#[derive(Deserialize)]
pub(super) struct Manifest {
    /// Where the recipe lies in the repository.
    pub(super) recipe: String,
    model: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    size: u64,
}

/// Each figure goes to `say` as soon as it is known: generating takes many minutes.
pub(super) fn figures(root: &Path, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let folder = options.pack.clone().unwrap_or_else(|| root.join("packaging/packs/puppet"));
    let folder = folder.canonicalize().with_context(|| format!("open pack {}", folder.display()))?;
    let manifest = read(&folder)?;
    manifest.sizes().into_iter().for_each(|figure| say(&figure));
    let drawings = TempDir::with_prefix("greenroom-measure-")?;
    let (ids, characters) = (options.identities.to_string(), options.characters.to_string());
    example::draw(
        &root.join(&manifest.recipe),
        "puppet.heldout",
        drawings.path(),
        &["--ids", &ids, "--characters", &characters],
    )?;
    example::run(root, "measure-pack", &folder, drawings.path(), &[], &mut |figure| say(&figure.with_goal(GOALS)))
}

/// Reads the manifest of a pack.
pub(super) fn read(folder: &Path) -> anyhow::Result<Manifest> {
    let file = folder.join("pack.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("parse {}", file.display()))
}

impl Manifest {
    fn sizes(&self) -> Vec<Figure> {
        let sizes = || self.model.iter().map(|model| model.size);
        #[expect(clippy::cast_precision_loss, reason = "a pack is far below 2^53 bytes")]
        let megabytes = sizes().sum::<u64>() as f64 / 1e6;
        let largest = Figure::mebibytes("largest_file_mib", sizes().max().unwrap_or_default());
        vec![Figure::new("pack_megabytes", megabytes, "MB").with_goal(GOALS), largest.with_goal(GOALS)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_from_the_manifest_with_their_goals() {
        let text = "recipe = 'r'\n[[model]]\nfile = 'a'\nsize = 1_500_000\n[[model]]\nfile = 'b'\nsize = 8_388_608\n";
        let sizes = toml::from_str::<Manifest>(text).unwrap().sizes();
        let lines = sizes.iter().map(Figure::to_string).collect::<Vec<_>>();
        let expected = [
            r#"{"figure":"pack_megabytes","value":9.888608,"unit":"MB","goal":"< 40"}"#,
            r#"{"figure":"largest_file_mib","value":8.0,"unit":"MiB","goal":"<= 16"}"#,
        ];
        assert_eq!(lines, expected);
    }
}
