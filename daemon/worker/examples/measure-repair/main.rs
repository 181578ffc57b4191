//! Figures of repair on characters that no model of the pack was trained on; `cargo xtask measure gate` draws them and runs this.
//!
//! An example of the worker that runs the worker's own tasks: its modules are compiled into this program as they are. One JSON
//! line per figure on standard output, progress on standard error.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a measurement prints and reads the clock"
)]

#[path = "../../src/clock.rs"]
mod clock;
#[path = "../../src/fault.rs"]
mod fault;
#[expect(dead_code, reason = "a task asks for what it needs; inspect and measurements for more")]
#[path = "../../src/models.rs"]
mod models;
#[expect(dead_code, reason = "nobody watches a measurement")]
#[path = "../../src/run/mod.rs"]
mod run;
#[expect(dead_code, reason = "a measurement runs no commands")]
#[path = "../../src/session.rs"]
mod session;
#[expect(dead_code, reason = "nobody reads a measurement's log")]
#[path = "../../src/task_log.rs"]
mod task_log;

mod drawings;
mod repair;
mod sheet;
mod stage;

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};

/// Why a measurement ended.
type Fault = Box<dyn std::error::Error>;

/// Measures repair on characters that were drawn.
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
    #[command(flatten)]
    repair: repair::Options,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("measure repair: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), Fault> {
    let mut stage = stage::Stage::open(args)?;
    let drawings = drawings::Drawings::read(&args.drawings)?;
    repair::measure(&mut stage, &drawings, &args.repair)
}

/// Prints a figure, or says that there was nothing to measure it on.
fn say(figure: &str, value: Option<f64>, unit: &str) {
    match value {
        Some(value) => println!("{}", serde_json::json!({"figure": figure, "value": value, "unit": unit})),
        None => eprintln!("{figure} is left out: there is nothing to measure it on"),
    }
}
