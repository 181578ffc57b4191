//! Tells what an ONNX file is for, as insightface does: by inputs and outputs.

use greenroom_domain::{DetectorInput, EmbedderInput, OnnxKind};
use image::{Rgb, RgbImage};
use std::{fs::File, io::BufReader, path::Path};

use crate::{BoxDetector, Embedder, ModelError, decode::Layout, model::Model, names::first_nodes};

/// Where a detector takes any size: the one that SCRFD was published with.
const SIZE: u32 = 640;
/// What has fewer numbers tells kinds of faces apart, not people.
const SHORTEST_EMBEDDING: usize = 64;
/// As many nodes of the graph insightface looks at for a normalisation inside the model.
const FIRST_NODES: usize = 8;

/// Opens a file, tells what it is by its shapes, and runs it on a picture.
///
/// # Errors
/// If ONNX Runtime is not there. A file that is no model, or fails, is [`OnnxKind::Broken`].
pub fn inspect(file: &Path, threads: usize) -> Result<OnnxKind, ModelError> {
    let model = match Model::open(file, threads.into()) {
        Ok(model) => model,
        Err(error @ ModelError::Runtime(_)) => return Err(error),
        Err(error) => return Ok(OnnxKind::Broken { problem: error.problem() }),
    };
    let (outputs, input) = (model.outputs(), model.input_dims());
    // It is opened again below, and may be large.
    drop(model);
    let looked = match (outputs, input) {
        (_, Err(error)) => Err(error),
        ((count, _), Ok([.., height, width])) if Layout::of(count).is_some() => {
            detector(file, width.zip(height), threads)
        }
        ((1, _), Ok([.., height, width])) => embedder(file, height, width, threads),
        ((count, _), Ok(_)) => {
            Ok(OnnxKind::Other { what: format!("a model with {count} outputs, which neither SCRFD nor ArcFace has") })
        }
    };
    Ok(looked.unwrap_or_else(|error| match error {
        ModelError::Shape { expected, found, .. } => OnnxKind::Other { what: format!("not {expected}, but {found}") },
        error => OnnxKind::Broken { problem: error.problem() },
    }))
}

fn detector(file: &Path, input: Option<(u32, u32)>, threads: usize) -> Result<OnnxKind, ModelError> {
    let mut detector = BoxDetector::open(file, SIZE, &DetectorInput::default(), threads)?;
    detector.boxes(&slope(SIZE), 0.5)?;
    Ok(OnnxKind::Detector { input, landmarks: detector.has_landmarks() })
}

fn embedder(file: &Path, height: Option<u32>, width: Option<u32>, threads: usize) -> Result<OnnxKind, ModelError> {
    let other = |what: String| Ok(OnnxKind::Other { what });
    match (height, width) {
        (Some(192), Some(192)) => return other("a model of face landmarks (192×192 pixels)".into()),
        (Some(96), Some(96)) => return other("a model of age and sex (96×96 pixels)".into()),
        (Some(height), Some(width)) if height != width || height < 112 || !height.is_multiple_of(16) => {
            return other(format!("a model that takes {width}×{height} pixels"));
        }
        _ => {}
    }
    let raw = normalises(file);
    let input = EmbedderInput::default();
    let input = if raw { EmbedderInput { mean: [0.0; 3], std: [1.0; 3], ..input } } else { input };
    let mut embedder = Embedder::open(file, &input, threads)?;
    let (size, length) = (embedder.size(), embedder.length());
    if length < SHORTEST_EMBEDDING {
        return other(format!("a model that answers with {length} numbers, too few to tell people apart"));
    }
    embedder.embed(&[slope(size)])?;
    Ok(OnnxKind::Embedder { size, length, raw })
}

/// Whether a model has its normalisation inside, by the names that exporters from MXNet give to its nodes.
fn normalises(file: &Path) -> bool {
    let names = File::open(file).and_then(|file| first_nodes(&mut BufReader::new(file), FIRST_NODES));
    // What cannot be read so was read by the model library, and is an exporter's that names nodes otherwise.
    let names = names.unwrap_or_default();
    let any = |starts: [&str; 2]| names.iter().any(|name| starts.iter().any(|start| name.starts_with(start)));
    any(["Sub", "_minus"]) && any(["Mul", "_mul"])
}

/// A picture in which no two rows or columns are alike.
fn slope(size: u32) -> RgbImage {
    RgbImage::from_fn(size, size, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]))
}
