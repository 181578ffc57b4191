//! The same boxes, points and embeddings as insightface finds with models of the shapes that people have: buffalo_l's and
//! antelopev2's, fewer and more outputs, 128 numbers, normalisation inside (`tests/golden/shapes.py` made and recorded them).

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use common::{golden, start};
use greenroom_domain::{Box2, Channels, DetectorInput, EmbedderInput, OnnxKind};
use greenroom_identity::{BoxDetector, Detector, Embedder, Embedding, Face, align, inspect};
use image::RgbImage;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Deserialize)]
struct Shapes {
    size: u32,
    detectors: BTreeMap<String, BTreeMap<String, Vec<Recorded>>>,
    embedders: BTreeMap<String, BTreeMap<String, Vec<Vec<f32>>>>,
}

#[derive(Deserialize)]
struct Recorded {
    #[serde(rename = "box")]
    bbox: [f32; 4],
    score: f32,
    landmarks: Vec<f32>,
}

const SCORE: f32 = 0.5;
const RAW: ([f32; 3], [f32; 3]) = ([0.0; 3], [1.0; 3]);

/// A file of the small models, or of the full-size ones where `GREENROOM_SHAPES` says they are.
#[expect(clippy::disallowed_methods, reason = "where large files lie is the machine's to say")]
fn file(name: &str) -> PathBuf {
    std::env::var_os("GREENROOM_SHAPES").map_or_else(|| golden("models"), PathBuf::from).join(name)
}

fn model(name: &str) -> PathBuf {
    start();
    file(&format!("shape-{name}.onnx"))
}

fn shapes() -> Shapes {
    serde_json::from_slice(&std::fs::read(file("shapes.json")).unwrap()).unwrap()
}

fn picture(name: &str) -> RgbImage {
    image::open(golden(&format!("pictures/{name}.png"))).unwrap().to_rgb8()
}

fn corners(b: &Box2) -> [f32; 4] {
    [b.x0, b.y0, b.x1, b.y1]
}

fn furthest(ours: impl IntoIterator<Item = f32>, theirs: &[f32]) -> f32 {
    let ours: Vec<f32> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// With `name`, on every picture: what was found beside what was recorded.
fn found_with(name: &str) -> Vec<(String, Vec<Face>, Vec<Recorded>)> {
    let shapes = shapes();
    let mut detector = Detector::open(&model(name), shapes.size, &DetectorInput::default(), 1).unwrap();
    let recorded = shapes.detectors.into_iter().find(|(detector, _)| detector == name).unwrap().1;
    let found = |(name, recorded): (String, Vec<Recorded>)| {
        let found = detector.detect(&picture(&name), SCORE).unwrap();
        (name, found, recorded)
    };
    recorded.into_iter().map(found).collect()
}

#[test]
fn detectors_of_every_shape_find_what_insightface_finds() {
    for name in ["buffalo-detector", "antelope-detector", "detector-15"] {
        let mut compared = 0;
        for (picture, found, recorded) in found_with(name) {
            assert_eq!(found.len(), recorded.len(), "{name}, {picture}: {found:?}");
            for (ours, theirs) in found.iter().zip(&recorded) {
                let points = furthest(ours.landmarks.iter().flat_map(|p| [p.x, p.y]), &theirs.landmarks);
                let off = furthest(corners(&ours.bbox), &theirs.bbox).max(points);
                assert!(off <= 1.0, "{name}, {picture}: {ours:?} is off by {off}");
                assert!((ours.score - theirs.score).abs() < 0.01, "{name}, {picture}: {ours:?}, not {}", theirs.score);
                compared += 1;
            }
        }
        assert!(compared >= 4, "{name}: {compared} faces were compared");
    }
}

#[test]
fn a_detector_without_landmarks_finds_the_same_boxes() {
    let shapes = shapes();
    let mut detector = BoxDetector::open(&model("detector-6"), 640, &DetectorInput::default(), 1).unwrap();
    assert_eq!(
        detector.input_size(),
        (shapes.size, shapes.size),
        "a fixed input goes before the size that is asked for"
    );
    for (name, recorded) in &shapes.detectors["detector-6"] {
        let found = detector.boxes(&picture(name), SCORE).unwrap();
        assert_eq!(found.len(), recorded.len(), "{name}: {found:?}");
        for ((bbox, score), theirs) in found.iter().zip(recorded) {
            assert!(furthest(corners(bbox), &theirs.bbox) <= 1.0, "{name}: {bbox:?}");
            assert!((score - theirs.score).abs() < 0.01, "{name}: {bbox:?}");
        }
    }
}

#[test]
fn embedders_of_every_shape_give_insightfaces_embeddings() {
    let (mean, std) = RAW;
    let arcface = EmbedderInput::default();
    let rgb = EmbedderInput { mean, std, ..EmbedderInput::default() };
    let bgr = EmbedderInput { mean, std, channels: Channels::Bgr, size: Some(112) };
    let ways = [
        ("antelope-embedder", &arcface),
        ("buffalo-embedder", &arcface),
        ("embedder-128", &bgr),
        ("embedder-normalised-inside", &rgb),
    ];
    let (faces, recorded) = (found_with("buffalo-detector"), shapes().embedders);
    assert!(ways.iter().map(|(name, _)| *name).eq(recorded.keys().map(String::as_str)));
    for (name, how) in ways {
        let mut embedder = Embedder::open(&model(name), how, 1).unwrap();
        let mut all: Vec<Embedding> = Vec::new();
        for (picture_name, faces, _) in &faces {
            let (picture, theirs) = (picture(picture_name), &recorded[name][picture_name]);
            let aligned = faces.iter().take(theirs.len()).map(|face| align(&picture, &face.landmarks, embedder.size()));
            let ours = embedder.embed(&aligned.collect::<Vec<_>>()).unwrap();
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert_eq!(embedder.length(), theirs.len());
                let cosine = ours.cosine(&Embedding::try_new(theirs.clone()).unwrap()).0;
                assert!(cosine >= 0.9999, "{name}, {picture_name}: cosine {cosine}");
            }
            all.extend(ours);
        }
        // Were all alike, equal ones would prove nothing.
        assert!(all.len() >= 4 && all[0].cosine(&all[all.len() - 1]).0 < 0.9, "{name}: {} embeddings", all.len());
    }
}

#[test]
fn the_shapes_are_told_apart_and_a_normalisation_inside_is_seen() {
    let told = |name: &str| inspect(&model(name), 1).unwrap();
    for name in ["buffalo-detector", "antelope-detector"] {
        assert_eq!(told(name), OnnxKind::Detector { input: None, landmarks: true }, "{name}");
    }
    assert_eq!(told("detector-15"), OnnxKind::Detector { input: Some((256, 256)), landmarks: true });
    assert_eq!(told("detector-6"), OnnxKind::Detector { input: Some((256, 256)), landmarks: false });
    for name in ["buffalo-embedder", "antelope-embedder"] {
        assert_eq!(told(name), OnnxKind::Embedder { size: 112, length: 512, raw: false }, "{name}");
    }
    assert_eq!(told("embedder-128"), OnnxKind::Embedder { size: 112, length: 128, raw: false });
    assert_eq!(told("embedder-normalised-inside"), OnnxKind::Embedder { size: 112, length: 128, raw: true });
}
