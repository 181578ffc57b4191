//! LoRA files: kohya's names and PEFT's, LoCon and DoRA, headers, and rank reduction.

mod header;
mod names;
mod read;
mod shrink;
mod write;

use greenroom_diffusion::{Adapter, AdapterError, Place, Site};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use crate::file::{FileError, Precision};
pub use header::About;
pub use shrink::Shrunk;

/// An adapter with its header, checked against a model.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// What it adds.
    pub adapter: Adapter,
    /// The header's texts, by key.
    pub header: BTreeMap<String, String>,
}

/// How layers are named in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Naming {
    /// `lora_unet_…lora_down.weight`, of SDXL with the names of its first publication; read everywhere.
    #[default]
    Kohya,
    /// `unet.….lora_A.weight`, as diffusers and peft write.
    Peft,
}

/// Why a LoRA file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoraError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// Keys that belong to no layer of the model, or are of no kind that is known.
    #[error("{}: {} of {all} keys match nothing in this model: {}", file.display(), keys.len(), listed(keys))]
    Unmatched {
        /// Which file.
        file: PathBuf,
        /// Every one of them.
        keys: Vec<String>,
        /// How many keys the file has.
        all: usize,
    },
    /// A layer with one factor alone, or a factor of no shape.
    #[error("{}: {place}: {problem}", file.display())]
    Incomplete {
        /// Which file.
        file: PathBuf,
        /// Which layer.
        place: Place,
        /// What is missing.
        problem: String,
    },
    /// The header says that it is for another kind of model.
    #[error("{}: it was trained for {found}, this model is {expected}; use it with the model that it was made for", file.display())]
    Base {
        /// Which file.
        file: PathBuf,
        /// What its header says.
        found: String,
        /// What the model is.
        expected: String,
    },
    /// Its factors have other sizes than the model's layers.
    #[error("{}: {misfit}", file.display())]
    Misfit {
        /// Which file.
        file: PathBuf,
        /// The first layer that differs.
        misfit: Box<AdapterError>,
    },
    /// A factor holds a value that is no number.
    #[error("{}: `{key}` holds a value that is not a number: the training that made it failed", file.display())]
    NotFinite {
        /// Which file.
        file: PathBuf,
        /// Which tensor.
        key: String,
    },
    /// Nothing is in it.
    #[error("{}: it holds no layer", file.display())]
    Empty {
        /// Which file.
        file: PathBuf,
    },
    /// Computing failed.
    #[error("computing on an adapter failed")]
    Compute(#[from] candle_core::Error),
}

/// Whether these layers are of SDXL, which has a second text encoder.
#[must_use]
pub fn is_xl(sites: &[Site]) -> bool {
    sites.iter().any(|site| site.place.part == greenroom_diffusion::Part::Text2)
}

fn listed(keys: &[String]) -> String {
    keys.join(", ")
}
