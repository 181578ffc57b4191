//! What a model file turns out to be when it is looked at. Workers look, since they alone link a model library.

use serde::{Deserialize, Serialize};

use crate::Problem;

/// What an ONNX file is for, told by its inputs and outputs and never by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OnnxKind {
    /// Finds faces: SCRFD's outputs.
    Detector {
        /// Width and height of its input, none where it takes any.
        input: Option<(u32, u32)>,
        /// Whether it says where eyes, nose and mouth are; without them nobody can be recognised.
        landmarks: bool,
    },
    /// Turns aligned faces into embeddings: ArcFace's input and output.
    Embedder {
        /// Side of the aligned face, pixels.
        size: u32,
        /// How many numbers an embedding has.
        length: usize,
        /// Whether it subtracts and divides by itself, so that it is to be given values from 0 to 255.
        raw: bool,
    },
    /// A model that works, for something else.
    Other {
        /// What it is, or what keeps it from being one of the others.
        what: String,
    },
    /// No model, or one that does not run.
    Broken {
        /// Why.
        problem: Problem,
    },
}
