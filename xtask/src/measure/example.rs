//! Measurements on drawings: the pack's recipe draws with its truth, an example of the worker looks and prints figures.
//!
//! No model is linked here. The example is built together with the programs that ship, as `make demo` builds them: the same
//! libraries with the same features.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::{Figure, farm};

/// Threads of a worker on the machine that the figures are meant for.
const THREADS: &str = "2";

/// What ships.
const PROGRAMS: [&str; 3] = ["greenroom", "greenroomd", "greenroom-worker"];

/// Lets a module of the recipe draw; what it says goes to the terminal.
#[expect(clippy::print_stderr, reason = "a chore says what it waits for")]
pub(super) fn draw(recipe: &Path, module: &str, drawings: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let python = super::cache()?.join("recipe-venv/bin/python");
    ensure!(python.is_file(), "{} is not there: run `packaging/setup/setup.sh test`, which makes it", python.display());
    eprintln!("drawing: {module} {}", arguments.join(" "));
    let mut command = Command::new(&python);
    command.current_dir(recipe).args(["-m", module]).arg(drawings).args(arguments);
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("start {}", python.display()))?;
    ensure!(status.success(), "{module}, which draws the characters, ended with {status}");
    Ok(())
}

/// Builds the example and runs it; each figure goes to `say` as soon as it is known, for some take many minutes.
pub(super) fn run(
    root: &Path,
    example: &str,
    pack: &Path,
    drawings: &Path,
    arguments: &[&str],
    say: &mut dyn FnMut(Figure),
) -> anyhow::Result<()> {
    let mut command = Command::new(built(root, example, &PROGRAMS)?);
    command.arg("--pack").arg(pack).arg("--drawings").arg(drawings).args(["--threads", THREADS]).args(arguments);
    command.env("RAYON_NUM_THREADS", THREADS).env("GREENROOM_ONNXRUNTIME", onnxruntime(&super::cache()?));
    printed(example, &mut command, say)
}

/// Runs what prints figures; each goes to `say` as soon as it is known.
pub(super) fn printed(example: &str, command: &mut Command, say: &mut dyn FnMut(Figure)) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut run = command.spawn().with_context(|| format!("start {example}"))?;
    let output = run.stdout.take().with_context(|| format!("{example} has no output"))?;
    for line in BufReader::new(output).lines() {
        say(parse(example, &line?)?);
    }
    let status = run.wait()?;
    ensure!(status.success(), "{example} ended with {status}");
    Ok(())
}

/// Builds an example together with packages, one of which it is of, and their programs.
pub(super) fn built(root: &Path, example: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["build", "--release", "--locked", "--bins", "--example", example]);
    command.args(packages.iter().flat_map(|package| ["--package", package]));
    let status = command.stdin(Stdio::null()).status().context("start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    farm::program(root, &format!("examples/{example}"))
}

/// A figure that the example printed.
pub(super) fn parse(example: &str, line: &str) -> anyhow::Result<Figure> {
    serde_json::from_str(line).with_context(|| format!("{example} said {line:?}, which is no figure"))
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
    fn a_printed_figure_is_read_and_anything_else_is_refused() {
        let goals = &[("lookalike_far", "<= 0.10")];
        let figure = |line: &str| parse("measure-pack", line);
        let known = figure(r#"{"figure":"lookalike_far","value":0.25,"unit":"1"}"#).unwrap().with_goal(goals);
        assert_eq!(known.goal.as_deref(), Some("<= 0.10"));
        let other = figure(r#"{"figure":"cosine_text","value":0.3,"unit":"1"}"#).unwrap();
        assert_eq!(other.with_goal(goals).goal, None);
        assert!(figure("drawing 3 of 9").unwrap_err().to_string().contains("drawing 3 of 9"));
    }

    #[test]
    fn a_recipe_that_draws_nothing_is_named() {
        let nowhere = tempfile::tempdir().unwrap();
        let refused = draw(nowhere.path(), "puppet.nothing", nowhere.path(), &[]).unwrap_err().to_string();
        assert!(refused.contains("puppet.nothing") || refused.contains("packaging/setup/setup.sh test"), "{refused}");
    }
}
