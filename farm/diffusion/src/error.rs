//! What can go wrong: loading a folder, and making a picture.

use std::path::PathBuf;

use crate::Region;

/// Why a model folder could not be loaded. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is absent or unreadable.
    #[error("cannot read {}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// None of the accepted weight files is there.
    #[error("{} holds no weights: none of {} exists", folder.display(), tried.join(", "))]
    NoWeights {
        /// Where they were looked for.
        folder: PathBuf,
        /// The names that are accepted.
        tried: Vec<String>,
    },
    /// A configuration file is not a JSON object.
    #[error("{} is not a JSON object", file.display())]
    Json {
        /// Which file.
        file: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A field of a configuration is missing or asks for something that is not built.
    #[error("{}: field `{field}` {problem}", file.display())]
    Config {
        /// Which file.
        file: PathBuf,
        /// Which field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer's files do not make a tokenizer.
    #[error("{}: {problem}", file.display())]
    Tokenizer {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A weight file is cut short or damaged.
    #[error("{}: not a whole safetensors file: {problem}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor that the configuration calls for is absent.
    #[error("{}: tensor `{tensor}` is missing (expected shape {expected:?})", file.display())]
    MissingTensor {
        /// Which file.
        file: PathBuf,
        /// Which tensor.
        tensor: String,
        /// Its shape by the configuration.
        expected: Vec<usize>,
    },
    /// A tensor's shape contradicts the configuration.
    #[error("{}: tensor `{tensor}` has shape {found:?}, expected {expected:?}", file.display())]
    TensorShape {
        /// Which file.
        file: PathBuf,
        /// Which tensor.
        tensor: String,
        /// Its shape by the configuration.
        expected: Vec<usize>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is not of a floating-point type that can be read.
    #[error("{}: tensor `{tensor}` is of type {found}, expected F32, F16 or BF16", file.display())]
    TensorType {
        /// Which file.
        file: PathBuf,
        /// Which tensor.
        tensor: String,
        /// Its type in the file.
        found: String,
    },
    /// The file holds tensors that this architecture has no place for, so it is of another model.
    #[error("{}: {count} tensors have no place in this model, the first is `{first}`", file.display())]
    UnusedTensors {
        /// Which file.
        file: PathBuf,
        /// How many.
        count: usize,
        /// The first by name.
        first: String,
    },
    /// The device refused a tensor.
    #[error("{}: cannot place the weights on the device", file.display())]
    Device {
        /// Which file.
        file: PathBuf,
        /// What candle said.
        source: candle_core::Error,
    },
}

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The caller broke off.
    #[error("generation was cancelled")]
    Cancelled,
    /// Width or height cannot be made by this model.
    #[error(
        "a picture of {width}×{height} cannot be made: both sides must be multiples of {multiple}, from {multiple} to {limit}"
    )]
    Size {
        /// Asked width, pixels.
        width: u32,
        /// Asked height, pixels.
        height: u32,
        /// What both must be multiples of, pixels.
        multiple: u32,
        /// The largest side, pixels.
        limit: u32,
    },
    /// The number of steps does not fit the noise schedule.
    #[error("{steps} steps cannot be run: this model's schedule has 1 to {limit}")]
    Steps {
        /// Asked steps.
        steps: u32,
        /// The most that the schedule gives.
        limit: u32,
    },
    /// A number of the request is outside its range.
    #[error("{name} is {value}, expected {expected}")]
    Number {
        /// Which number.
        name: &'static str,
        /// What was asked.
        value: f32,
        /// The range.
        expected: &'static str,
    },
    /// Identity tokens were asked of a model that was opened without an IP-Adapter.
    #[error("identity tokens were asked for, but the model was opened without an IP-Adapter file")]
    NoAdapter,
    /// The face embedding has another length than the IP-Adapter takes.
    #[error("the face embedding has {found} numbers, the IP-Adapter takes {expected}")]
    Embedding {
        /// Length of the embedding.
        found: usize,
        /// Length the adapter takes.
        expected: usize,
    },
    /// The ControlNet was loaded for another model.
    #[error("the ControlNet does not fit this model: `{field}` {problem}")]
    ControlNet {
        /// Which field of its configuration.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The control picture is not of the size of the picture asked for.
    #[error(
        "the control picture is {}×{}, the picture asked for {}×{}", found.0, found.1, expected.0, expected.1
    )]
    ControlSize {
        /// Its width and height, pixels.
        found: (u32, u32),
        /// The width and height asked for, pixels.
        expected: (u32, u32),
    },
    /// The picture to paint in, or its mask, is not of the size of the picture asked for.
    #[error("the {what} is {}×{}, the picture asked for {}×{}", found.0, found.1, expected.0, expected.1)]
    InpaintSize {
        /// Which of the two.
        what: &'static str,
        /// Its width and height, pixels.
        found: (u32, u32),
        /// The width and height asked for, pixels.
        expected: (u32, u32),
    },
    /// A person's region is no rectangle inside the frame.
    #[error("the region of person {person} is {region:?}, expected 0 ≤ x0 < x1 ≤ 1 and 0 ≤ y0 < y1 ≤ 1")]
    Region {
        /// Whose, 1 for the first.
        person: usize,
        /// What was asked.
        region: Region,
    },
    /// Two latents, or a latent and a request, are of different sizes.
    #[error("latents differ in shape: {left:?} and {right:?}")]
    LatentShape {
        /// (channels, height, width).
        left: Vec<usize>,
        /// (channels, height, width).
        right: Vec<usize>,
    },
    /// The prompt cannot be split into tokens.
    #[error("cannot tokenize the prompt: {problem}")]
    Prompt {
        /// What the tokenizer said.
        problem: String,
    },
    /// The model gave numbers that are no picture.
    #[error("the model gave a value that is not a number in {stage}")]
    NotFinite {
        /// Where.
        stage: &'static str,
    },
    /// The device failed while computing.
    #[error("computing failed in {stage}")]
    Compute {
        /// Where.
        stage: &'static str,
        /// What candle said.
        source: candle_core::Error,
    },
}

/// Names the stage in which a computation failed.
pub(crate) trait Stage<T> {
    fn stage(self, stage: &'static str) -> Result<T, GenerateError>;
}

impl<T> Stage<T> for candle_core::Result<T> {
    fn stage(self, stage: &'static str) -> Result<T, GenerateError> {
        self.map_err(|source| GenerateError::Compute { stage, source })
    }
}
