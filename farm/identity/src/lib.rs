//! Who is in a picture: detect faces, align, embed, calibrate, assign to the cast, and judge; and what a face shows.
//!
//! Two halves. [`Detector`], [`align()`], [`quality()`], [`Embedder`] and [`AttributeClassifier`] look at pixels and need the
//! ONNX Runtime library ([`init_runtime`]). [`Profile`], [`calibrate()`] and [`judge()`] are pure: no IO, no clock, no randomness;
//! how a verdict follows from faces is written in [`mod@judge`].
//!
//! [`FacePipeline`] does the first half for all pictures of a video, on all cores.
//!
//! Models are pack data. A detector has SCRFD's outputs (Guo et al. 2021, arXiv:2105.04714), an embedder ArcFace's input
//! and output (Deng et al. 2019, arXiv:1801.07698).

mod alarm;
mod align;
mod assign;
mod attributes;
mod batch;
pub mod calibrate;
mod cast;
mod compute;
mod court;
mod decode;
mod detector;
mod embedder;
mod embedding;
mod face;
mod follow;
mod glimpse;
mod impostors;
mod inspect;
pub mod judge;
mod letterbox;
mod model;
mod names;
mod norm;
mod patch;
mod pipeline;
mod profile;
mod quality;
mod runtime;
mod score;
mod square;
mod style;
mod tail;

pub use alarm::{faces_of, raise_alarms};
pub use align::align;
pub use attributes::{Attribute, AttributeClassifier, Attributes, face_square};
pub use calibrate::{CalibrateInput, CalibrationError, CalibrationFault, calibrate, uncalibrated};
pub use compute::{Compute, Precision};
pub use detector::{BoxDetector, Detector};
pub use embedder::Embedder;
pub use embedding::{Embedding, EmbeddingError};
pub use face::{Face, Point, distinct};
pub use glimpse::{Glimpse, distinct_frames, repeats};
pub use impostors::{ImpostorFace, Impostors, ImpostorsError};
pub use inspect::inspect;
pub use judge::{BESIDE, JudgeInput, STRANGER_BELOW, SeenFace, TOLERATED_SHARE, judge};
pub use model::ModelError;
pub use patch::Patch;
pub use pipeline::{FaceModels, FacePipeline, FoundFace, Wanted};
pub use profile::{Profile, ProfileError, ProfileReference, Side, View};
pub use quality::quality;
pub use runtime::{RuntimeError, init_runtime};
pub use style::{Usual, expected, style, usual};
