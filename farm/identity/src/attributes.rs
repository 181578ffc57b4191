//! Tells what a face and its surroundings show: hair, glasses, clothes, place, whatever the pack's classifier knows.

use greenroom_domain::{AttributeDefaults, Box2};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

use crate::{
    Face, ModelError,
    batch::{Batch, LARGEST_BATCH},
    model::{Model, Output},
    norm::Norm,
    square::Square,
};

/// What one face shows, by attribute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes(pub BTreeMap<String, Attribute>);

/// One attribute of a face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    /// The likeliest label.
    pub label: String,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// Every label's probability, in the order of the pack; together 1.
    pub all: Vec<(String, f32)>,
}

impl Attributes {
    /// The likeliest label of an attribute; none where the classifier does not know the attribute.
    #[must_use]
    pub fn label(&self, attribute: &str) -> Option<&str> {
        self.0.get(attribute).map(|a| a.label.as_str())
    }
}

/// The square around a face that a classifier sees, `how.size` pixels wide, so that faces can be kept until they are asked about
/// without the pictures they came from. None for a box of no size, or of one that is not finite.
#[must_use]
pub fn face_square(picture: &RgbImage, bbox: &Box2, how: &AttributeDefaults) -> Option<RgbImage> {
    Some(Square::around(bbox, how)?.cut(picture, how.size))
}

/// An attribute classifier, open and ready.
///
/// Input (N, 3, S, S) RGB, (value − mean) / std, cut around a face as [`AttributeDefaults`] says. Outputs: for each attribute
/// one of its name, (N, labels), logits. The softmax (Bridle 1990) of each is what counts as probability.
#[derive(Debug)]
pub struct AttributeClassifier {
    model: Model,
    batch: Batch,
    how: AttributeDefaults,
    /// For each attribute, in the order of `how.labels`, which output is its.
    outputs: Vec<usize>,
}

/// Larger ones are no classifier of faces, and would take gigabytes.
const LARGEST_SIZE: u32 = 512;

impl AttributeClassifier {
    /// Opens a model and runs it once on black, so that one that does not fit the labels is refused here. `threads` is how
    /// many threads one run may use.
    ///
    /// # Errors
    /// If the file is missing, broken, or has other inputs or outputs than the pack's table says.
    pub fn open(file: &Path, how: &AttributeDefaults, threads: usize) -> Result<Self, ModelError> {
        let model = Model::open(file, threads.into())?;
        let [batch, _, height, width] = model.input_dims()?;
        let batch = Batch::of(batch);
        let (width, height) = (width.unwrap_or(how.size), height.unwrap_or(how.size));
        if (width, height) != (how.size, how.size) || how.size > LARGEST_SIZE || batch.most() > LARGEST_BATCH {
            let expected = format!(
                "a square input of {} pixels, as attributes.size says, at most {LARGEST_SIZE}, and at most \
                 {LARGEST_BATCH} faces",
                how.size
            );
            return Err(model.shape_error(expected, format!("{} faces of {width}×{height} pixels", batch.most())));
        }
        let names = model.output_names();
        let outputs = how.labels.keys().filter_map(|name| names.iter().position(|n| n == name)).collect();
        let mut classifier = Self { model, batch, how: how.clone(), outputs };
        classifier.run(&[RgbImage::new(how.size, how.size)])?;
        Ok(classifier)
    }

    /// What each face of a picture shows, in order. Many faces go through in batches of at most 16.
    ///
    /// # Errors
    /// If a face's box is none (no size, not finite), if the model fails, or gives something that is not a number.
    pub fn classify(&mut self, picture: &RgbImage, faces: &[Face]) -> Result<Vec<Attributes>, ModelError> {
        let mut shown = Vec::with_capacity(faces.len());
        for batch in faces.chunks(self.batch.most()) {
            let cut = |face: &Face| {
                let square = face_square(picture, &face.bbox, &self.how);
                square.ok_or_else(|| self.model.input_error(format!("a face's box is {:?}", face.bbox)))
            };
            let squares = batch.iter().map(cut).collect::<Result<Vec<_>, _>>()?;
            shown.extend(self.run(&squares)?);
        }
        Ok(shown)
    }

    /// The same of squares that were cut before, by [`face_square`] with the same table.
    ///
    /// # Errors
    /// If a square has another size, if the model fails, or gives something that is not a number.
    pub fn classify_squares(&mut self, squares: &[RgbImage]) -> Result<Vec<Attributes>, ModelError> {
        let size = (self.how.size, self.how.size);
        if let Some(other) = squares.iter().find(|square| square.dimensions() != size) {
            return Err(self.model.input_error(format!("a square is {}×{}", other.width(), other.height())));
        }
        let mut shown = Vec::with_capacity(squares.len());
        for batch in squares.chunks(self.batch.most()) {
            shown.extend(self.run(batch)?);
        }
        Ok(shown)
    }

    fn run(&mut self, squares: &[RgbImage]) -> Result<Vec<Attributes>, ModelError> {
        let (shape, planes) = self.batch.input(squares, self.how.size, &Norm::even(self.how.mean, self.how.std));
        let outputs = self.model.run(shape, &planes)?;
        let fits = |&at: &usize, labels: &Vec<String>| outputs[at].dims == [shape[0], labels.len()];
        let all_fit = self.outputs.iter().zip(self.how.labels.values()).all(|(at, labels)| fits(at, labels));
        if outputs.len() != self.how.labels.len() || self.outputs.len() != outputs.len() || !all_fit {
            return Err(self.misfit(shape[0], &outputs));
        }
        let attribute = |face: usize, at: usize, labels: &[String]| {
            let logits = &outputs[at].values[face * labels.len()..][..labels.len()];
            Attribute::of(labels, logits).ok_or_else(|| self.model.run_error("an output is not a number"))
        };
        let attributes = |face: usize| {
            let of = |(&at, (name, labels)): (&usize, (&String, &Vec<String>))| {
                Ok((name.clone(), attribute(face, at, labels)?))
            };
            self.outputs.iter().zip(&self.how.labels).map(of).collect::<Result<_, _>>().map(Attributes)
        };
        (0..squares.len()).map(attributes).collect()
    }

    fn misfit(&self, faces: usize, outputs: &[Output]) -> ModelError {
        let shape = |dims: &[usize]| dims.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let expected =
            self.how.labels.iter().map(|(name, labels)| format!("{name} ({})", shape(&[faces, labels.len()])));
        let names = self.model.output_names();
        let found = names.iter().zip(outputs).map(|(name, output)| format!("{name} ({})", shape(&output.dims)));
        let expected = expected.collect::<Vec<_>>().join(", ");
        self.model.shape_error(format!("the outputs {expected}"), found.collect::<Vec<_>>().join(", "))
    }
}

impl Attribute {
    /// From logits; none where one is not a number.
    fn of(labels: &[String], logits: &[f32]) -> Option<Self> {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = logits.iter().map(|v| (v - most).exp()).collect();
        let sum: f32 = powers.iter().sum();
        let all: Vec<_> = labels.iter().zip(&powers).map(|(label, power)| (label.clone(), power / sum)).collect();
        // Of equal ones the first.
        let best = all.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let (label, probability) = best.clone();
        (sum.is_finite() && logits.iter().all(|v| v.is_finite())).then_some(Self { label, probability, all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glasses(logits: &[f32]) -> Option<Attribute> {
        Attribute::of(&["none", "round", "square"].map(str::to_owned), logits)
    }

    #[test]
    fn logits_become_probabilities_that_add_up() {
        let seen = glasses(&[0.0, 2.0_f32.ln(), 5.0_f32.ln()]).unwrap();
        assert_eq!(seen.label, "square");
        assert!((seen.probability - 0.625).abs() < 1e-6 && (seen.all[0].1 - 0.125).abs() < 1e-6, "{seen:?}");
        let large = glasses(&[-900.0, 900.0, 0.0]).unwrap();
        assert!(large.label == "round" && (large.probability - 1.0).abs() < 1e-6);
    }

    #[test]
    fn equal_logits_are_the_first_label_and_no_number_is_none() {
        assert_eq!(glasses(&[1.0, 1.0, 1.0]).unwrap().label, "none");
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(glasses(&[0.0, wrong, 1.0]), None, "{wrong}");
        }
    }
}
