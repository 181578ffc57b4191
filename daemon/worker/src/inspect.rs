//! `greenroom-worker inspect`: tells what model files are for, to programs that link no model library.

use clap::Parser;
use greenroom_domain::{OnnxKind, Problem, ProblemKind};
use greenroom_identity::{init_runtime, inspect};
use serde_json::{Value, json};
use std::{io::Write as _, path::PathBuf, process::ExitCode};

/// Tell what ONNX files are for, by their inputs and outputs, and run each.
///
/// Answers on standard output with one document: `models`, in the order of the files, or `problem`.
#[derive(Debug, Parser)]
#[command(name = "greenroom-worker inspect", max_term_width = 100)]
pub(crate) struct Inspect {
    /// ONNX files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// ONNX Runtime's shared library
    #[arg(long, env = "GREENROOM_ONNXRUNTIME", value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
}

impl Inspect {
    /// Looks and answers.
    pub(crate) fn run(&self) -> ExitCode {
        let (answer, code) = match self.look() {
            Ok(models) => (json!({ "models": models }), ExitCode::SUCCESS),
            Err(problem) => (json!({ "problem": problem }), ExitCode::FAILURE),
        };
        match print(&answer) {
            Ok(()) => code,
            Err(_) => ExitCode::FAILURE,
        }
    }

    fn look(&self) -> Result<Vec<OnnxKind>, Problem> {
        let library = self.onnxruntime.as_deref().ok_or_else(|| {
            let remedy = "set GREENROOM_ONNXRUNTIME to libonnxruntime.so; `make demo` fetches it";
            Problem::new(ProblemKind::Unavailable, "load ONNX Runtime", "library", "no path is configured", remedy)
        })?;
        init_runtime(library).map_err(|error| error.problem())?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.files.iter().map(|file| inspect(file, threads).map_err(|error| error.problem())).collect()
    }
}

fn print(answer: &Value) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{answer}")
}
