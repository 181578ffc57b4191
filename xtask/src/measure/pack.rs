//! A pack's models on characters that none of them was trained on.
//!
//! No model is linked here. The pack's recipe draws the characters and writes down what is true of each drawing; the
//! worker's example `measure-pack` looks at the drawings, and makes pictures of its own, with the code that ships. It is
//! built together with the programs that ship, as `make demo` builds them: the same libraries with the same features.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use super::{Figure, farm};

/// Threads of a worker on the machine that the figures are meant for.
const THREADS: &str = "2";

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
struct Manifest {
    /// Where the recipe lies in the repository.
    recipe: String,
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
    let cache = cache()?;
    draw(&root.join(&manifest.recipe), &cache, options, drawings.path())?;
    let mut command = Command::new(built(root)?);
    command.arg("--pack").arg(&folder).arg("--drawings").arg(drawings.path()).args(["--threads", THREADS]);
    command.env("RAYON_NUM_THREADS", THREADS).env("GREENROOM_ONNXRUNTIME", onnxruntime(&cache));
    let mut run = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start measure-pack")?;
    let output = run.stdout.take().context("measure-pack has no output")?;
    for line in BufReader::new(output).lines() {
        say(&parse(&line?)?);
    }
    let status = run.wait()?;
    ensure!(status.success(), "measure-pack ended with {status}");
    Ok(())
}

fn read(folder: &Path) -> anyhow::Result<Manifest> {
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
        vec![with_goal(Figure::new("pack_megabytes", megabytes, "MB")), with_goal(largest)]
    }
}

/// Lets the recipe draw; what it says goes to the terminal.
#[expect(clippy::print_stderr, reason = "a chore says what it waits for")]
fn draw(recipe: &Path, cache: &Path, options: &Options, drawings: &Path) -> anyhow::Result<()> {
    let python = cache.join("recipe-venv/bin/python");
    ensure!(python.is_file(), "{} is not there: run `packaging/setup/setup.sh test`, which makes it", python.display());
    eprintln!("drawing {} characters", options.identities);
    let mut command = Command::new(&python);
    command.current_dir(recipe).args(["-m", "puppet.heldout"]).arg(drawings);
    command.args(["--ids", &options.identities.to_string(), "--characters", &options.characters.to_string()]);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("start {}", python.display()))?;
    ensure!(status.success(), "puppet.heldout, which draws the characters, ended with {status}");
    Ok(())
}

/// Builds the measuring program.
fn built(root: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["build", "--release", "--locked", "--example", "measure-pack"]);
    command.args(["--package", "greenroom", "--package", "greenroomd", "--package", "greenroom-worker"]);
    let status = command.stdin(Stdio::null()).status().context("start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    farm::program(root, "examples/measure-pack")
}

/// A figure that `measure-pack` printed.
fn parse(line: &str) -> anyhow::Result<Figure> {
    let figure =
        serde_json::from_str(line).with_context(|| format!("measure-pack said {line:?}, which is no figure"))?;
    Ok(with_goal(figure))
}

fn with_goal(figure: Figure) -> Figure {
    let goal = GOALS.iter().find(|(name, _)| *name == figure.figure);
    Figure { goal: goal.map(|(_, goal)| (*goal).to_owned()), ..figure }
}

/// Where set-up puts what it fetches.
#[expect(clippy::disallowed_methods, reason = "where the cache lies is the machine's to say")]
fn cache() -> anyhow::Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/greenroom"));
    let cache = std::env::var_os("GREENROOM_CACHE").map(PathBuf::from).or_else(home);
    cache.context("neither GREENROOM_CACHE nor HOME is set")
}

#[expect(clippy::disallowed_methods, reason = "where the library lies is the machine's to say")]
fn onnxruntime(cache: &Path) -> PathBuf {
    let library = std::env::var_os("GREENROOM_ONNXRUNTIME").map(PathBuf::from);
    library.unwrap_or_else(|| cache.join("onnxruntime/libonnxruntime.so"))
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

    #[test]
    fn a_printed_figure_gets_its_goal_and_anything_else_is_refused() {
        let figure = parse(r#"{"figure":"lookalike_far","value":0.25,"unit":"1"}"#).unwrap();
        assert_eq!(figure.goal.as_deref(), Some("<= 0.10"));
        assert_eq!(parse(r#"{"figure":"cosine_text","value":0.3,"unit":"1"}"#).unwrap().goal, None);
        assert!(parse("drawing 3 of 9").unwrap_err().to_string().contains("drawing 3 of 9"));
    }

    #[test]
    fn a_recipe_that_was_not_set_up_comes_with_a_remedy() {
        let nowhere = tempfile::tempdir().unwrap();
        let options = Options { pack: None, identities: 1, characters: 1 };
        let refused = draw(nowhere.path(), nowhere.path(), &options, nowhere.path()).unwrap_err().to_string();
        assert!(refused.contains("packaging/setup/setup.sh test"), "{refused}");
    }
}
