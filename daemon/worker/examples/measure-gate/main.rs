//! Figures of the gate on clips of characters that none of its models was trained or tuned on; `cargo xtask measure gate` draws
//! them and runs this.
//!
//! An example of the worker, and so built from the very libraries and features that the worker ships with: faces are found,
//! embedded, calibrated and judged by the functions that tasks call. One JSON line per figure on standard output, progress
//! on standard error.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints")]

mod alarms;
#[path = "../measure-pack/cast.rs"]
mod cast;
mod cheats;
mod clips;
mod gate;
#[path = "../measure-pack/models.rs"]
#[expect(dead_code, reason = "shared with measure-pack, which measures more of a pack")]
mod models;

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};

use clips::Drawings;
use models::Models;

/// Why a measurement ended.
type Fault = Box<dyn std::error::Error>;

/// Measures the gate on clips with their truth.
#[derive(Parser)]
struct Args {
    /// The folder of the models, with its pack.toml.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// The folder of the drawings, with their truth.json.
    #[arg(long, value_name = "DIR")]
    drawings: PathBuf,
    /// They are what `puppet.alarms` drew, to measure the alarms on, and not what `puppet.gate` did.
    #[arg(long)]
    alarms: bool,
    /// ONNX Runtime's shared library.
    #[arg(long, env = "GREENROOM_ONNXRUNTIME", value_name = "FILE")]
    onnxruntime: PathBuf,
    /// Threads, as a worker has them; the environment's RAYON_NUM_THREADS should be the same.
    #[arg(long, default_value_t = 2, value_name = "N")]
    threads: usize,
    /// Clips that are also judged after the VAE, which softens them as it softens what is generated.
    #[arg(long, default_value_t = 40, value_name = "N")]
    softened: usize,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("measure gate: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), Fault> {
    let mut models = Models::open(&args.pack, &args.onnxruntime, args.threads)?;
    if args.alarms {
        return alarms::measure(&mut models, &args.drawings);
    }
    gate::measure(&mut models, &args.pack, &Drawings::read(&args.drawings)?, args.softened)
}

/// Prints a figure, or says that there was nothing to measure it on.
fn say(figure: &str, value: Option<f64>, unit: &str) {
    match value {
        Some(value) => println!("{}", serde_json::json!({"figure": figure, "value": value, "unit": unit})),
        None => eprintln!("{figure} is left out: there is nothing to measure it on"),
    }
}

/// Tells how far a long part is, every so many of its steps.
fn progress(what: &str, done: usize, of: usize, every: usize) {
    if done.is_multiple_of(every) || done == of {
        eprintln!("{what} {done} of {of}");
    }
}
