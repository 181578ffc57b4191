//! Turns aligned faces into embeddings.

use image::RgbImage;
use std::path::Path;

use crate::{
    Embedding, ModelError,
    batch::{Batch, LARGEST_BATCH},
    model::{Model, shapes},
};

/// A face embedder with ArcFace's input and output, open and ready.
///
/// Input (N, 3, S, S) RGB, (value − 127.5) / 127.5; output (N, D). Models that subtract and divide by themselves are not told
/// apart: such a file is not for this pack format.
#[derive(Debug)]
pub struct Embedder {
    model: Model,
    size: u32,
    batch: Batch,
}

/// Where the model leaves it open: ArcFace's.
const DEFAULT_SIZE: u32 = 112;
/// Embedders in use take 112 to 160 pixels.
const LARGEST_SIZE: u32 = 512;

impl Embedder {
    /// Opens a model and runs it once on black, so that a wrong one is refused here. `threads` is how many threads one run may use.
    ///
    /// # Errors
    /// If the file is missing, broken, or has other inputs or outputs.
    pub fn open(file: &Path, threads: usize) -> Result<Self, ModelError> {
        let model = Model::open(file, threads)?;
        let [batch, _, height, width] = model.input_dims()?;
        let size = width.unwrap_or(DEFAULT_SIZE);
        let height = height.unwrap_or(size);
        let batch = Batch::of(batch);
        if height != size || size > LARGEST_SIZE || batch.most() > LARGEST_BATCH {
            let expected = format!("a square input of at most {LARGEST_SIZE} pixels and at most {LARGEST_BATCH} faces");
            return Err(model.shape_error(expected, format!("{} faces of {size}×{height} pixels", batch.most())));
        }
        let (count, found) = model.outputs();
        if count != 1 {
            return Err(model.shape_error("one output of shape (faces, numbers)", found));
        }
        let mut embedder = Self { model, size, batch };
        embedder.run(&[RgbImage::new(size, size)])?;
        Ok(embedder)
    }

    /// Side of the aligned picture that this model takes, pixels: what to give to [`align`](crate::align()).
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// One embedding for each aligned face, in order. Many faces go through in batches of at most 16.
    ///
    /// # Errors
    /// If a picture is not [`size`](Self::size) × `size`, if the model fails, or gives something without a direction.
    pub fn embed(&mut self, aligned: &[RgbImage]) -> Result<Vec<Embedding>, ModelError> {
        if let Some(other) = aligned.iter().find(|p| p.dimensions() != (self.size, self.size)) {
            let (w, h) = other.dimensions();
            let cause = format!("an aligned face of {w}×{h} pixels, where the model takes {0}×{0}", self.size);
            return Err(self.model.input_error(cause));
        }
        let mut embeddings = Vec::with_capacity(aligned.len());
        for batch in aligned.chunks(self.batch.most()) {
            for values in self.run(batch)? {
                embeddings.push(Embedding::try_new(values).map_err(|e| self.model.run_error(e.to_string()))?);
            }
        }
        Ok(embeddings)
    }

    /// One vector a picture.
    fn run(&mut self, aligned: &[RgbImage]) -> Result<Vec<Vec<f32>>, ModelError> {
        let (shape, planes) = self.batch.input(aligned, self.size, 127.5, 127.5);
        let outputs = self.model.run(shape, &planes)?;
        match outputs.as_slice() {
            [one] if one.dims.len() == 2 && one.dims[0] == shape[0] && one.dims[1] > 1 => {
                Ok(one.values.chunks(one.dims[1]).take(aligned.len()).map(<[f32]>::to_vec).collect())
            }
            other => Err(self.model.shape_error("one output of shape (faces, numbers)", shapes(other))),
        }
    }
}
