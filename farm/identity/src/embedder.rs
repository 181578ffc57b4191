//! Turns aligned faces into embeddings.

use greenroom_domain::EmbedderInput;
use image::{Rgb, RgbImage};
use std::path::Path;

use crate::{
    Compute, Embedding, ModelError, Precision,
    batch::{Batch, LARGEST_BATCH},
    compute::Provider,
    model::{Model, shapes},
    norm::Norm,
};

/// A face embedder with ArcFace's input and output, open and ready.
///
/// Input (N, 3, S, S) in the values and the order of channels that the pack says; output (N, D), any D from 2.
#[derive(Debug)]
pub struct Embedder {
    model: Model,
    size: u32,
    length: usize,
    batch: Batch,
    norm: Norm,
}

/// Where the model leaves it open: ArcFace's.
const DEFAULT_SIZE: u32 = 112;
/// Embeddings in short precision are as near to the exact ones, or not used.
const FAST_COSINE: f32 = 0.9999;
/// Embedders in use take 112 to 160 pixels.
const LARGEST_SIZE: u32 = 512;

impl Embedder {
    /// Opens a model and tries it out, so that a wrong one is refused here. `compute` is how many threads one run may
    /// use, and whether it may trade the last bits for speed.
    ///
    /// Models are about that leave open how many faces they take and yet take one alone: those get one at a time.
    ///
    /// # Errors
    /// If the file is missing, broken, has other inputs or outputs, or a fixed input of another size than the pack says.
    pub fn open(file: &Path, input: &EmbedderInput, compute: impl Into<Compute>) -> Result<Self, ModelError> {
        let compute = compute.into();
        let mut exact = Self::open_as(file, input, Compute { precision: Precision::Exact, ..compute })?;
        if compute.precision == Precision::Exact || !exact.model.provider().has_fast() {
            return Ok(exact);
        }
        let tried = trials(exact.size);
        let wanted = exact.embed(&tried)?;
        // The exact one is closed first: models are large.
        drop(exact);
        let mut fast = Self::open_as(file, input, compute)?;
        let alike = fast.embed(&tried)?.iter().zip(&wanted).all(|(a, b)| a.cosine(b).0 >= FAST_COSINE);
        if alike { Ok(fast) } else { Self::open_as(file, input, Compute { precision: Precision::Exact, ..compute }) }
    }

    fn open_as(file: &Path, input: &EmbedderInput, compute: Compute) -> Result<Self, ModelError> {
        let model = Model::open(file, compute)?;
        let [batch, _, height, width] = model.input_dims()?;
        let size = width.or(input.size).unwrap_or(DEFAULT_SIZE);
        let height = height.unwrap_or(size);
        let batch = Batch::of(batch);
        if height != size || size > LARGEST_SIZE || batch.most() > LARGEST_BATCH {
            let expected = format!("a square input of at most {LARGEST_SIZE} pixels and at most {LARGEST_BATCH} faces");
            return Err(model.shape_error(expected, format!("{} faces of {size}×{height} pixels", batch.most())));
        }
        if let Some(said) = input.size.filter(|&said| said != size) {
            let expected = format!("an input of {said}×{said} pixels, as identity.embedder.size says");
            return Err(model.shape_error(expected, format!("{size}×{size}")));
        }
        let (count, found) = model.outputs();
        if count != 1 {
            return Err(model.shape_error("one output of shape (faces, numbers)", found));
        }
        let mut embedder = Self { model, size, length: 0, batch, norm: input.into() };
        let [slope, ..] = trials(size);
        let one = embedder.run(std::slice::from_ref(&slope))?;
        embedder.length = one.first().map_or(0, Vec::len);
        if batch.most() > 1 && embedder.run(&[slope.clone(), slope]).is_err() {
            embedder.batch = Batch::Fixed(1);
        }
        Ok(embedder)
    }

    /// Side of the aligned picture that this model takes, pixels: what to give to [`align`](crate::align()).
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Where it runs.
    pub(crate) const fn provider(&self) -> Provider {
        self.model.provider()
    }

    /// How many numbers an embedding has.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
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
        let (shape, planes) = self.batch.input(aligned, self.size, &self.norm);
        let outputs = self.model.run(shape, &planes)?;
        match outputs.as_slice() {
            [one] if one.dims.len() == 2 && one.dims[0] == shape[0] && one.dims[1] > 1 => {
                Ok(one.values.chunks(one.dims[1]).take(aligned.len()).map(<[f32]>::to_vec).collect())
            }
            other => Err(self.model.shape_error("one output of shape (faces, numbers)", shapes(other))),
        }
    }
}

/// Pictures without two rows or columns alike: soft, hard, dark and coloured.
fn trials(size: u32) -> [RgbImage; 4] {
    let drawn = |pixel: fn(u32, u32) -> [u32; 3]| {
        RgbImage::from_fn(size, size, move |x, y| Rgb(pixel(x, y).map(|value| value as u8)))
    };
    [
        drawn(|x, y| [x, y, x ^ y]),
        drawn(|x, y| [(x * x + y) / 9, (x * 7) ^ (y * 5), (x & y) * 3]),
        drawn(|x, y| [(x + y) / 4, (x * 3) % 64, y / 2]),
        drawn(|x, y| [200 - x / 2, 90 + (y * 13) % 90, 60 + (x * y) % 120]),
    ]
}
