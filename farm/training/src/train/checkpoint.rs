//! A training in one file, written aside, synced and renamed: adapter, moments, average, losses, and in the header everything
//! else that the next step depends on.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Relief, TrainError, Trainer};
use crate::file::{self, FileError, Precision};
use crate::recipe::Recipe;

/// The header's key.
const KEY: &str = "greenroom.checkpoint";
const VERSION: u32 = 1;

/// Why a training cannot go on from a file.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is a whole file, but no checkpoint of ours, or was changed.
    #[error("{}: not a checkpoint of a training: {problem}", file.display())]
    NoCheckpoint {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is of another training.
    #[error("{}: a checkpoint of another training: its {what} differs; start anew, or resume with what it was begun with", file.display())]
    Another {
        /// Which file.
        file: PathBuf,
        /// `recipe`, `dataset` or `model`.
        what: &'static str,
    },
}

/// Everything beside the tensors. Chance and the place in the data follow from seed and step.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    version: u32,
    step: usize,
    /// For people; what counts is its digest, because numbers may lose their last bit on the way through text.
    recipe: Recipe,
    /// SHA-256 of the recipe as JSON, hex.
    recipe_digest: String,
    dataset: String,
    members: usize,
    relief: Relief,
    /// SHA-256 over all tensors, hex.
    digest: String,
}

impl Trainer<'_> {
    /// Stores the training after the last step. Whoever is cut off meanwhile finds the file that was there before.
    ///
    /// # Errors
    /// Where the disk is full or the folder refuses; what was there before is kept.
    pub fn checkpoint(&self, path: &Path) -> Result<(), TrainError> {
        let tensors = self.tensors().map_err(|source| self.failed(source))?;
        let digest = digest(&tensors).map_err(|source| self.failed(source))?;
        let state = State {
            version: VERSION,
            step: self.step,
            recipe: self.recipe.clone(),
            recipe_digest: self.recipe.digest(),
            dataset: self.dataset.digest.clone(),
            members: self.reducer.members(),
            relief: self.relief,
            digest,
        };
        let text = serde_json::to_string(&state).map_err(|e| self.failed(candle_core::Error::wrap(e)))?;
        let header = BTreeMap::from([(KEY.to_owned(), text)]);
        let bytes = file::bytes(&tensors, &header, Precision::F32).map_err(|source| self.failed(source))?;
        file::write(path, &bytes).map_err(|source| TrainError::Store { step: self.step, source })
    }

    /// Goes on where a stored training of the same recipe, dataset and model was. Nothing changes where it cannot.
    ///
    /// # Errors
    /// Where the file is damaged, no checkpoint, or of another training.
    pub fn resume(&mut self, path: &Path) -> Result<(), ResumeError> {
        let file::Tensors { mut tensors, header } = file::read(path)?;
        let wrong = |problem: String| ResumeError::NoCheckpoint { file: path.into(), problem };
        let text = header.get(KEY).ok_or_else(|| wrong("its header does not say so".into()))?;
        let state: State = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        if state.version != VERSION {
            return Err(wrong(format!("it is of version {}, this program reads {VERSION}", state.version)));
        }
        if digest(&tensors).map_err(|e| wrong(e.to_string()))? != state.digest {
            return Err(wrong("its contents are not what was written".into()));
        }
        let another = |what| ResumeError::Another { file: path.into(), what };
        if state.recipe_digest != self.recipe.digest() || state.members != self.reducer.members() {
            return Err(another("recipe"));
        }
        if state.dataset != self.dataset.digest {
            return Err(another("dataset"));
        }
        let mut take = |name: &str, count: usize| {
            let values = tensors.remove(name).and_then(|t| t.flatten_all().and_then(|t| t.to_vec1::<f32>()).ok());
            values.filter(|values| values.len() == count).ok_or_else(|| another("model"))
        };
        let losses = take("losses", state.step)?;
        let mut found = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let count = value.var.elem_count();
            let mut get = |kind: &str| take(&format!("{kind}.{}", value.name), count);
            let average = if value.average.is_some() { Some(get("average")?) } else { None };
            let now = Tensor::from_vec(get("value")?, value.var.shape(), value.var.device());
            found.push((now.map_err(|e| wrong(e.to_string()))?, get("first")?, get("second")?, average));
        }
        if !tensors.is_empty() {
            return Err(another("model"));
        }
        for (value, (now, first, second, average)) in self.values.iter_mut().zip(found) {
            value.var.set(&now).map_err(|e| wrong(e.to_string()))?;
            (value.moments.first, value.moments.second, value.average) = (first, second, average);
        }
        (self.step, self.losses, self.relief) = (state.step, losses, state.relief);
        Ok(())
    }

    fn tensors(&self) -> candle_core::Result<BTreeMap<String, Tensor>> {
        let mut out = BTreeMap::new();
        let flat = |values: &[f32]| Tensor::from_slice(values, values.len(), &Device::Cpu);
        out.insert("losses".to_owned(), flat(&self.losses)?);
        for value in &self.values {
            let mut put = |kind: &str, tensor| drop(out.insert(format!("{kind}.{}", value.name), tensor));
            put("value", value.var.as_tensor().detach());
            put("first", flat(&value.moments.first)?);
            put("second", flat(&value.moments.second)?);
            if let Some(average) = &value.average {
                put("average", flat(average)?);
            }
        }
        Ok(out)
    }
}

fn digest(tensors: &BTreeMap<String, Tensor>) -> candle_core::Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        hash.update(name);
        for value in tensor.flatten_all()?.to_vec1::<f32>()? {
            hash.update(value.to_le_bytes());
        }
    }
    Ok(hex::encode(hash.finalize()))
}
