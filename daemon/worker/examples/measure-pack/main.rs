//! Figures of a pack on drawings of characters that none of its models was trained on; `cargo xtask measure pack` draws them
//! and runs this.
//!
//! An example of the worker, and so built from the very libraries and features that the worker ships with: pictures are
//! made, framed, searched, aligned, embedded and judged by the functions that tasks call. One JSON line per figure on
//! standard output, progress on standard error.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement prints and reads the clock"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod cast;
mod controlled;
mod drawn;
mod made;
mod models;
mod shown;
mod statistics;
mod truth;

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};

use models::Models;
use truth::Truth;

/// Why a measurement ended.
type Fault = Box<dyn std::error::Error>;

/// Measures a pack on drawings with their truth.
#[derive(Parser)]
struct Args {
    /// The folder of the models, with its pack.toml.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// The folder of the drawings, with its truth.json.
    #[arg(long, value_name = "DIR")]
    drawings: PathBuf,
    /// ONNX Runtime's shared library.
    #[arg(long, env = "GREENROOM_ONNXRUNTIME", value_name = "FILE")]
    onnxruntime: PathBuf,
    /// Threads, as a worker has them; the environment's RAYON_NUM_THREADS should be the same.
    #[arg(long, default_value_t = 2, value_name = "N")]
    threads: usize,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("measure pack: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), Fault> {
    let mut models = Models::open(&args.pack, &args.onnxruntime, args.threads)?;
    let truth = Truth::read(&args.drawings)?;
    if let Some(attributes) = &models.pack.attributes {
        truth.check_labels(&attributes.labels)?;
    } else {
        eprintln!("the pack has no attribute classifier: attribute_accuracy and caption_followed are left out");
    }
    let cast = drawn::measure(&mut models, &truth, &args.drawings)?;
    made::measure(&mut models, &truth, &cast)?;
    controlled::measure(&mut models, &truth, &cast, &args.drawings)
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
