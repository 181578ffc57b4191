//! One ONNX model: opened on what the library offers, and run on one float tensor.

use greenroom_domain::Problem;
use ort::{session::Session, value::TensorRef};
use std::path::{Path, PathBuf};
use thiserror::Error;

use crate::{
    RuntimeError,
    compute::{Compute, Provider, Refused},
    runtime,
};

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The library is not there.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Missing, truncated, or not ONNX.
    #[error("open model: {}: {cause}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What ONNX Runtime says.
        cause: String,
    },
    /// ONNX, but not the kind of model that the role asks for.
    #[error("open model: {}: expected {expected}, found {found}", file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// What the role asks for.
        expected: String,
        /// What the model has.
        found: String,
    },
    /// It failed on an input.
    #[error("run model: {}: {cause}", file.display())]
    Run {
        /// The file.
        file: PathBuf,
        /// What ONNX Runtime says.
        cause: String,
    },
    /// The caller gave a picture or a size that the model does not take.
    #[error("run model: {}: {cause}", file.display())]
    Input {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl ModelError {
    /// The same for a person: step, subject, cause and remedy apart.
    #[must_use]
    pub fn problem(&self) -> Problem {
        const TAKE_AGAIN: &str = "take the file from the pack's release again, and check the digest in pack.toml";
        let of =
            |step, file: &Path, cause: &str, remedy| Problem::invalid(step, file.display().to_string(), cause, remedy);
        match self {
            Self::Runtime(error) => error.problem(),
            Self::Open { file, cause } => of("open model", file, cause, TAKE_AGAIN),
            Self::Shape { file, expected, found } => of(
                "open model",
                file,
                &format!("expected {expected}, found {found}"),
                "name a model of the right kind for this role in pack.toml",
            ),
            Self::Run { file, cause } => of("run model", file, cause, TAKE_AGAIN),
            Self::Input { file, cause } => {
                of("run model", file, cause, "ask for a size that the model takes (identity.detect_size in pack.toml)")
            }
        }
    }
}

/// An open model with one float input.
#[derive(Debug)]
pub(crate) struct Model {
    file: PathBuf,
    session: Session,
    provider: Provider,
}

/// One float output, copied out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    pub(crate) dims: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl Model {
    /// Opens on the best execution provider that takes it; the CPU is the last, and what it says is the error.
    pub(crate) fn open(file: &Path, compute: Compute) -> Result<Self, ModelError> {
        let mut refused = ModelError::Runtime(RuntimeError::NotStarted);
        // Asked before anything of the library is used.
        runtime::environment()?;
        for provider in Provider::available() {
            let session = provider
                .session(compute)
                .and_then(|mut builder| builder.commit_from_file(file).map_err(Refused::from))
                .map(|session| Self { file: file.to_owned(), session, provider });
            refused = match session {
                Ok(model) => return Ok(model),
                Err(Refused::Runtime(error)) => error.into(),
                Err(Refused::Ort(cause)) => ModelError::Open { file: file.to_owned(), cause },
            };
        }
        Err(refused)
    }

    /// Where it runs.
    pub(crate) const fn provider(&self) -> Provider {
        self.provider
    }

    /// The input's dimensions, none where the model leaves one open.
    ///
    /// Refuses a model that has not exactly one float input of shape (N, 3, H, W).
    pub(crate) fn input_dims(&self) -> Result<[Option<u32>; 4], ModelError> {
        let found = self.session.inputs().iter().map(|i| i.dtype().to_string()).collect::<Vec<_>>().join(", ");
        let wrong = || self.shape_error("one float input of shape (N, 3, H, W)", &found);
        let [input] = self.session.inputs() else { return Err(wrong()) };
        let float = input.dtype().tensor_type() == Some(ort::value::TensorElementType::Float32);
        let dims = input.dtype().tensor_shape().map_or(&[][..], |shape| shape);
        let dims: [i64; 4] = dims.try_into().map_err(|_| wrong())?;
        let dims = dims.map(|d| u32::try_from(d).ok().filter(|&d| d > 0));
        if float && dims[1].is_none_or(|channels| channels == 3) { Ok(dims) } else { Err(wrong()) }
    }

    /// How many outputs there are, and their types as the model declares them.
    pub(crate) fn outputs(&self) -> (usize, String) {
        let types: Vec<String> = self.session.outputs().iter().map(|o| o.dtype().to_string()).collect();
        (types.len(), format!("{} outputs: {}", types.len(), types.join(", ")))
    }

    /// The outputs' names, in the order in which [`run`](Self::run) gives them.
    pub(crate) fn output_names(&self) -> Vec<String> {
        self.session.outputs().iter().map(|o| o.name().to_owned()).collect()
    }

    /// Runs on a tensor of shape (N, 3, H, W) and copies every output.
    pub(crate) fn run(&mut self, shape: [usize; 4], data: &[f32]) -> Result<Vec<Output>, ModelError> {
        let fail = |e: ort::Error| ModelError::Run { file: self.file.clone(), cause: e.to_string() };
        let input = TensorRef::from_array_view((shape, data)).map_err(fail)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(fail)?;
        let copy = |value: &ort::value::DynValue| {
            let (shape, values) = value.try_extract_tensor::<f32>()?;
            Ok(Output { dims: shape.iter().map(|&d| d as usize).collect(), values: values.to_vec() })
        };
        outputs.values().map(|value| copy(&value)).collect::<ort::Result<_>>().map_err(fail)
    }

    pub(crate) fn shape_error(&self, expected: impl Into<String>, found: impl Into<String>) -> ModelError {
        ModelError::Shape { file: self.file.clone(), expected: expected.into(), found: found.into() }
    }

    pub(crate) fn run_error(&self, cause: impl Into<String>) -> ModelError {
        ModelError::Run { file: self.file.clone(), cause: cause.into() }
    }

    pub(crate) fn input_error(&self, cause: impl Into<String>) -> ModelError {
        ModelError::Input { file: self.file.clone(), cause: cause.into() }
    }
}

/// `(12, 1), (12, 4)`.
pub(crate) fn shapes(outputs: &[Output]) -> String {
    let one = |o: &Output| format!("({})", o.dims.iter().map(usize::to_string).collect::<Vec<_>>().join(", "));
    outputs.iter().map(one).collect::<Vec<_>>().join(", ")
}
