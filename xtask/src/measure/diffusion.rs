//! UNets of several shapes by ours and by python diffusers, and LoRA steps by ours and by peft, in one run: the same random
//! weights, the same inputs, the same number of threads, single precision on the CPU.
//!
//! Ours is the example `measure-diffusion` of `greenroom-training`; the peer, which also makes the models, is
//! `diffusion/peer.py`. Both sides tell the processors' time too, which says the same where others use the machine meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{Figure, farm};

/// On what.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Shapes of models: puppet, sd15, sdxl (which needs some 16 GB of memory and 5 GB of disk).
    #[arg(long, value_delimiter = ',', default_value = "puppet", value_name = "SHAPES")]
    shapes: Vec<String>,
    /// Threads that both may use; as many as there are processors if not given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Predictions or steps that are timed, after one that is not.
    #[arg(long, default_value_t = 10, value_name = "N")]
    repeats: usize,
    /// A python that has torch, diffusers and peft already; else set-up fetches them (gigabytes).
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Predictions of the UNet.
    Unet,
    /// Steps of a LoRA's training.
    Lora,
}

/// What a side says.
#[derive(Debug, Deserialize)]
struct Told {
    per_second: f64,
    cpu_seconds: f64,
    peak_rss_mib: f64,
    #[serde(default)]
    max_abs_diff: f64,
}

pub(super) fn figures(root: &Path, what: What, options: &Options, say: &mut dyn FnMut(&Figure)) -> anyhow::Result<()> {
    let cache = super::cache()?;
    let python = match &options.python {
        Some(python) => python.clone(),
        None => {
            set_up(root)?;
            cache.join("measure-diffusion-venv/bin/python")
        }
    };
    let threads = match options.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    ensure!(threads > 0 && options.repeats > 0, "--threads and --repeats must be at least 1");
    let (threads, repeats) = (threads.to_string(), options.repeats.to_string());
    let ours = built(root)?;
    let script = root.join("xtask/src/measure/diffusion/peer.py");
    for shape in &options.shapes {
        let folder = model(&python, &script, &cache, shape)?;
        let name = if what == What::Unet { "unet" } else { "lora" };
        let mut peer = Command::new(&python);
        peer.arg(&script).arg(name).arg(&folder).args([&repeats, &threads]).env("OMP_NUM_THREADS", &threads);
        let mut own = Command::new(&ours);
        own.arg(name).arg(&folder).arg(folder.join("inputs.safetensors")).arg(&repeats);
        own.env("RAYON_NUM_THREADS", &threads);
        let (peer, own) = (told(&mut peer)?, told(&mut own)?);
        compared(what, shape, &own, &peer).iter().for_each(&mut *say);
    }
    Ok(())
}

/// Speed, memory and agreement on one shape.
fn compared(what: What, shape: &str, own: &Told, peer: &Told) -> Vec<Figure> {
    let (rate, name) = match what {
        What::Unet => ("steps_per_second", "diffusers 0.42.1, torch 2.15.0"),
        What::Lora => ("it_per_second", "peft 0.21.2, torch 2.15.0"),
    };
    let new = |figure: &str, value, unit| Figure::new(format!("{shape}_{figure}"), value, unit);
    let beside = |figure: Figure, value| figure.beside(name, value);
    let aim = |figure: Figure, goal: &str| Figure { goal: Some(goal.to_owned()), ..figure };
    let mut figures = vec![
        beside(new(rate, own.per_second, "1/s"), peer.per_second),
        aim(new(&format!("{rate}_ratio"), own.per_second / peer.per_second, "1"), ">= 0.8"),
        beside(new("cpu_seconds", own.cpu_seconds, "s"), peer.cpu_seconds),
        beside(new("peak_rss_mib", own.peak_rss_mib, "MiB"), peer.peak_rss_mib),
    ];
    if what == What::Unet {
        figures.push(aim(new("unet_max_abs_diff", own.max_abs_diff, "1"), "<= 1e-3"));
    }
    figures
}

fn set_up(root: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(root.join("packaging/setup/setup.sh"));
    let status = command.arg("measure-diffusion").stdin(Stdio::null()).status()?;
    ensure!(status.success(), "packaging/setup/setup.sh measure-diffusion ended with {status}");
    Ok(())
}

/// The model of a shape, made once for each wording of the script that makes it.
fn model(python: &Path, script: &Path, cache: &Path, shape: &str) -> anyhow::Result<PathBuf> {
    let text = fs::read(script).with_context(|| format!("read {}", script.display()))?;
    let folder = cache.join("measure-diffusion").join(shape);
    let made_by = folder.join("peer.py");
    if fs::read(&made_by).ok().as_ref() != Some(&text) {
        fs::create_dir_all(&folder)?;
        let mut make = Command::new(python);
        let status = make.arg(script).arg("make").arg(shape).arg(&folder).stdin(Stdio::null()).status();
        let status = status.with_context(|| format!("start {}", python.display()))?;
        ensure!(status.success(), "making the model `{shape}` ended with {status}");
        fs::write(made_by, text)?;
    }
    Ok(folder)
}

fn built(root: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["build", "--release", "--locked", "--example", "measure-diffusion"]);
    command.args(["--package", "greenroom-training"]);
    let status = command.stdin(Stdio::null()).status().context("start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    farm::program(root, "examples/measure-diffusion")
}

fn told(command: &mut Command) -> anyhow::Result<Told> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.with_context(|| format!("start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let document = text.lines().last().context("nothing was said")?;
    serde_json::from_str(document).with_context(|| format!("{command:?} said what is no report"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_is_told_and_predictions_are_compared() {
        let told = |per_second| Told { per_second, cpu_seconds: 1.0, peak_rss_mib: 2.0, max_abs_diff: 1e-6 };
        let figures = compared(What::Unet, "puppet", &told(9.0), &told(10.0));
        let of = |name: &str| figures.iter().find(|f| f.figure == name).unwrap();
        assert_eq!(of("puppet_steps_per_second").peer_value, Some(10.0));
        assert!((of("puppet_steps_per_second_ratio").value - 0.9).abs() < 1e-9);
        assert_eq!(of("puppet_unet_max_abs_diff").goal.as_deref(), Some("<= 1e-3"));
        let steps = compared(What::Lora, "puppet", &told(9.0), &told(10.0));
        assert!(steps.iter().all(|f| !f.figure.contains("diff")) && steps[0].figure == "puppet_it_per_second");
    }
}
