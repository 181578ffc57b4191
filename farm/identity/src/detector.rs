//! Finds faces and their landmarks.

use greenroom_domain::{Box2, DetectorInput};
use image::RgbImage;
use std::path::Path;

use crate::{
    Compute, Face, ModelError, Precision,
    decode::{self, Candidate, Layout, expected},
    letterbox::letterbox,
    model::{Model, Output, shapes},
    norm::Norm,
};

/// A face detector with SCRFD's outputs, landmarks among them, open and ready.
#[derive(Debug)]
pub struct Detector(BoxDetector);

/// The same, for models that may have no landmarks: it says where faces are, and cannot be followed by an embedder.
///
/// Input (1, 3, H, W). Outputs for each stride: scores (K, 1), boxes (K, 4) as distances from the cell, and landmarks (K, 10),
/// in strides; a leading batch axis of one is allowed. The number of outputs tells the layout, as in insightface: 6 and 9 are
/// strides 8 to 32 with two anchors, 10 and 15 strides 8 to 128 with one; 9 and 15 have landmarks.
#[derive(Debug)]
pub struct BoxDetector {
    model: Model,
    width: u32,
    height: u32,
    layout: Layout,
    norm: Norm,
}

impl Detector {
    /// Opens a model and runs it once on black, so that a wrong one is refused here and not in the middle of a take.
    ///
    /// `size` is the square input's side in pixels, a multiple of 32; a model with a fixed input keeps its own. `compute` is
    /// how many threads one picture may use.
    ///
    /// # Errors
    /// If the file is missing, broken, has other inputs or outputs or no landmarks, if `size` is not a multiple of 32, or if
    /// the model leaves its input open and yet runs at another size only.
    pub fn open(
        file: &Path,
        size: u32,
        input: &DetectorInput,
        compute: impl Into<Compute>,
    ) -> Result<Self, ModelError> {
        let boxes = BoxDetector::open(file, size, input, compute)?;
        if boxes.has_landmarks() {
            return Ok(Self(boxes));
        }
        let expected = "9 or 15 outputs, landmarks among them: without these a face cannot be aligned, nor recognised";
        Err(boxes.model.shape_error(expected, format!("{} outputs, scores and boxes only", boxes.layout.outputs())))
    }

    /// Width and height of the input in pixels: how large a picture is looked at.
    #[must_use]
    pub const fn input_size(&self) -> (u32, u32) {
        self.0.input_size()
    }

    /// Every face with at least this score (0 to 1), best first. An empty picture has none.
    ///
    /// # Errors
    /// If the model fails, or gives other shapes than it promised.
    pub fn detect(&mut self, picture: &RgbImage, threshold: f32) -> Result<Vec<Face>, ModelError> {
        let face = |Candidate { bbox, score, landmarks }| landmarks.map(|landmarks| Face { bbox, score, landmarks });
        Ok(self.0.candidates(picture, threshold)?.into_iter().filter_map(face).collect())
    }
}

impl BoxDetector {
    /// As [`Detector::open`].
    ///
    /// # Errors
    /// The same, but for the landmarks.
    pub fn open(
        file: &Path,
        size: u32,
        input: &DetectorInput,
        compute: impl Into<Compute>,
    ) -> Result<Self, ModelError> {
        let model = Model::open(file, Compute { precision: Precision::Exact, ..compute.into() })?;
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
        let layout = Layout::of(count).ok_or_else(|| model.shape_error(expected(width, height), found))?;
        let mut detector = Self { model, width, height, layout, norm: input.into() };
        detector.try_out(open_size)?;
        Ok(detector)
    }

    /// Whether the model says where eyes, nose and mouth are.
    #[must_use]
    pub const fn has_landmarks(&self) -> bool {
        self.layout.landmarks
    }

    /// Width and height of the input in pixels.
    #[must_use]
    pub const fn input_size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Box and score (0 to 1) of every face with at least this score, best first. An empty picture has none.
    ///
    /// # Errors
    /// If the model fails, or gives other shapes than it promised.
    pub fn boxes(&mut self, picture: &RgbImage, threshold: f32) -> Result<Vec<(Box2, f32)>, ModelError> {
        Ok(self.candidates(picture, threshold)?.into_iter().map(|found| (found.bbox, found.score)).collect())
    }

    fn candidates(&mut self, picture: &RgbImage, threshold: f32) -> Result<Vec<Candidate>, ModelError> {
        if picture.width() == 0 || picture.height() == 0 {
            return Ok(Vec::new());
        }
        let fitted = letterbox(picture, self.width, self.height, &self.norm);
        let outputs = self.run(&fitted.planes)?;
        let heads = self
            .layout
            .heads(&outputs, self.width, self.height)
            .ok_or_else(|| self.model.shape_error(expected(self.width, self.height), shapes(&outputs)))?;
        Ok(decode::candidates(&heads, threshold, fitted.scale))
    }

    /// Runs once on black. A model whose input is open may still be made for one size, deep inside.
    fn try_out(&mut self, open_size: bool) -> Result<(), ModelError> {
        let black = letterbox(&RgbImage::new(1, 1), self.width, self.height, &self.norm);
        let asked = format!("the {}×{} pixels of identity.detect_size", self.width, self.height);
        let outputs = match self.run(&black.planes) {
            Err(ModelError::Run { cause, .. }) if open_size => {
                return Err(self.model.input_error(format!("it does not run on {asked}: {cause}")));
            }
            outputs => outputs?,
        };
        if self.layout.heads(&outputs, self.width, self.height).is_some() {
            return Ok(());
        }
        match (32..=LARGEST_INPUT).step_by(32).find(|&side| self.layout.heads(&outputs, side, side).is_some()) {
            Some(side) if open_size => {
                let cause = format!("on {asked} it answers as for {side}×{side}: it is made for that size alone");
                Err(self.model.input_error(cause))
            }
            _ => Err(self.model.shape_error(expected(self.width, self.height), shapes(&outputs))),
        }
    }

    fn run(&mut self, planes: &[f32]) -> Result<Vec<Output>, ModelError> {
        self.model.run([1, 3, self.height as usize, self.width as usize], planes)
    }
}

/// More would take gigabytes for a picture; faces that need it are too small for any embedder.
const LARGEST_INPUT: u32 = 4096;
