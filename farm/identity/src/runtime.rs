//! The ONNX Runtime library is loaded once a process, from a path that the caller knows.

use greenroom_domain::{Problem, ProblemKind};
use ort::environment::Environment;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use thiserror::Error;

/// Why the ONNX Runtime library is not there.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// No file at the path.
    #[error("load ONNX Runtime: {}: there is no such file; {REMEDY}", .0.display())]
    Missing(PathBuf),
    /// It is not a library, or too old.
    #[error("load ONNX Runtime: {}: {cause}; {REMEDY}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the loader says.
        cause: String,
    },
    /// A process holds one library for its life.
    #[error("load ONNX Runtime: {}: this process has already loaded {}", asked.display(), loaded.display())]
    Other {
        /// The one that is in use.
        loaded: PathBuf,
        /// The one that was asked for.
        asked: PathBuf,
    },
    /// A model was opened before [`init_runtime`].
    #[error("load ONNX Runtime: it was not initialised before a model was opened")]
    NotStarted,
}

const REMEDY: &str = "take libonnxruntime.so, 1.24 or newer, from the Python wheel `onnxruntime`, or run `make demo`, \
                      which fetches it";

static STARTED: OnceLock<(PathBuf, Environment)> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// Loads the library at `library`. Called again with the same path it does nothing.
///
/// # Errors
/// If there is no such file, if it is not ONNX Runtime 1.24 or newer, or if another one is loaded.
pub fn init_runtime(library: &Path) -> Result<(), RuntimeError> {
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, _)) = STARTED.get() {
        let (loaded, asked) = (loaded.clone(), library.to_owned());
        return if loaded == asked { Ok(()) } else { Err(RuntimeError::Other { loaded, asked }) };
    }
    if !library.is_file() {
        return Err(RuntimeError::Missing(library.to_owned()));
    }
    let unusable = |cause: String| RuntimeError::Unusable { path: library.to_owned(), cause };
    // What the runtime would print is dropped: failures come back as errors, and a library does not write to the terminal.
    let environment = ort::init_from(library)
        .map_err(|e| unusable(e.to_string()))?
        .with_name("greenroom")
        .with_telemetry(false)
        .with_logger(Arc::new(|_, _, _, _, _| {}))
        .build()
        .map_err(|e| unusable(e.to_string()))?;
    STARTED.get_or_init(|| (library.to_owned(), environment));
    Ok(())
}

/// The environment that sessions are made in.
pub(crate) fn environment() -> Result<&'static Environment, RuntimeError> {
    STARTED.get().map(|(_, environment)| environment).ok_or(RuntimeError::NotStarted)
}

impl RuntimeError {
    /// The same for a person: step, subject, cause and remedy apart.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (subject, cause) = match self {
            Self::Missing(path) => (path.display().to_string(), "there is no such file".to_owned()),
            Self::Unusable { path, cause } => (path.display().to_string(), cause.clone()),
            Self::Other { loaded, asked } => {
                (asked.display().to_string(), format!("this process has already loaded {}", loaded.display()))
            }
            Self::NotStarted => ("ONNX Runtime".to_owned(), "it was not initialised".to_owned()),
        };
        let kind = if matches!(self, Self::NotStarted) { ProblemKind::Internal } else { ProblemKind::Unavailable };
        Problem::new(kind, "load ONNX Runtime", subject, cause, REMEDY)
    }
}
