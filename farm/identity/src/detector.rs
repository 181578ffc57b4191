//! Finds faces and their landmarks.

use image::RgbImage;
use std::path::Path;

use crate::{
    Face, ModelError,
    decode::{self, LAYOUTS, expected, heads},
    letterbox::letterbox,
    model::{Model, Output, shapes},
};

/// A face detector with SCRFD's outputs, open and ready.
///
/// Input (1, 3, H, W) RGB, (value − 127.5) / 128. Outputs per stride: scores (K, 1), boxes (K, 4) as distances from the cell,
/// landmarks (K, 10), in strides; a leading batch axis of one is allowed. A model without landmarks gets those of a frontal
/// face that fills the box, which serves the detector's counting and little else: embeddings will be poor.
#[derive(Debug)]
pub struct Detector {
    model: Model,
    width: u32,
    height: u32,
}

impl Detector {
    /// Opens a model and runs it once on black, so that a wrong one is refused here and not in the middle of a take.
    ///
    /// `size` is the square input's side in pixels, a multiple of 32; a model with a fixed input keeps its own. `threads` is
    /// how many threads one picture may use.
    ///
    /// # Errors
    /// If the file is missing, broken, or has other inputs or outputs, or if `size` is not a multiple of 32.
    pub fn open(file: &Path, size: u32, threads: usize) -> Result<Self, ModelError> {
        let model = Model::open(file, threads)?;
        let [batch, _, height, width] = model.input_dims()?;
        if batch.is_some_and(|n| n != 1) {
            return Err(model.shape_error("a batch of one picture", format!("a batch of {}", batch.unwrap_or(0))));
        }
        let fits = |side: u32| side > 0 && side.is_multiple_of(32) && side <= LARGEST_INPUT;
        if let Some(side) = [width, height].into_iter().flatten().find(|side| !fits(*side)) {
            let expected = format!("an input with sides that are multiples of 32, at most {LARGEST_INPUT}");
            return Err(model.shape_error(expected, format!("a side of {side}")));
        }
        let open_size = width.is_none() || height.is_none();
        if open_size && !fits(size) {
            let cause =
                format!("a size of {size} was asked for, which is not a multiple of 32 from 32 to {LARGEST_INPUT}");
            return Err(model.input_error(cause));
        }
        let (width, height) = (width.unwrap_or(size), height.unwrap_or(size));
        let (count, found) = model.outputs();
        if !LAYOUTS.contains(&count) {
            return Err(model.shape_error(expected(width, height), found));
        }
        let mut detector = Self { model, width, height };
        detector.detect(&RgbImage::new(width, height), 1.0)?;
        Ok(detector)
    }

    /// Width and height of the input in pixels: how large a picture is looked at.
    #[must_use]
    pub const fn input_size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Every face with at least this score (0 to 1), best first. An empty picture has none.
    ///
    /// # Errors
    /// If the model fails, or gives other shapes than it promised.
    pub fn detect(&mut self, picture: &RgbImage, threshold: f32) -> Result<Vec<Face>, ModelError> {
        if picture.width() == 0 || picture.height() == 0 {
            return Ok(Vec::new());
        }
        let fitted = letterbox(picture, self.width, self.height);
        let shape = [1, 3, self.height as usize, self.width as usize];
        let outputs: Vec<Output> = self.model.run(shape, &fitted.planes)?;
        let heads = heads(&outputs, self.width, self.height)
            .ok_or_else(|| self.model.shape_error(expected(self.width, self.height), shapes(&outputs)))?;
        Ok(decode::faces(&heads, threshold, fitted.scale))
    }
}

/// More would take gigabytes for a picture; faces that need it are too small for any embedder.
const LARGEST_INPUT: u32 = 4096;
