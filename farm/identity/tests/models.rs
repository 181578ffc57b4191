//! Models of other shapes: what is allowed works, the rest is refused when it is opened, by a sentence that says why.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use common::{golden, pack, start};
use greenroom_domain::{Box2, ProblemKind};
use greenroom_identity::{Detector, Embedder, ModelError, RuntimeError, init_runtime};
use image::{Rgb, RgbImage};
use std::path::Path;

fn detector(name: &str) -> Result<Detector, ModelError> {
    start();
    Detector::open(&golden(&format!("models/detector-{name}.onnx")), 256, 1)
}

fn embedder(name: &str) -> Result<Embedder, ModelError> {
    start();
    Embedder::open(&golden(&format!("models/embedder-{name}.onnx")), 1)
}

#[test]
fn every_layout_of_outputs_gives_the_same_face() {
    for name in ["batch-axis", "other-order", "15", "10", "6"] {
        let mut detector = detector(name).unwrap();
        assert_eq!(detector.input_size(), (32, 32), "{name}: a fixed input goes before the size that is asked for");
        let faces = detector.detect(&RgbImage::new(64, 64), 0.5).unwrap();
        assert_eq!(faces.len(), 1, "{name}");
        // Cell (2, 1) of stride 8, one and a half strides each way, at half size.
        assert_eq!(faces[0].bbox, Box2 { x0: 8.0, y0: -8.0, x1: 56.0, y1: 40.0 }, "{name}");
        let eye = faces[0].landmarks[0];
        let (inside_x, inside_y) = (eye.x > 8.0 && eye.x < 56.0, eye.y > -8.0 && eye.y < 40.0);
        assert!(inside_x && inside_y, "{name}: {eye:?}");
    }
}

#[test]
fn wrong_detectors_say_what_was_expected_and_found() {
    let wrong = |name: &str, found_part: &str| match detector(name).unwrap_err() {
        ModelError::Shape { file, found, .. } => {
            assert!(file.ends_with(format!("detector-{name}.onnx")));
            assert!(found.contains(found_part), "{name}: {found}");
        }
        other => panic!("{name}: {other}"),
    };
    wrong("5-outputs", "5 outputs");
    wrong("one-anchor", "(16, 1), (4, 1), (1, 1)");
    wrong("fixed-100", "a side of 100");
    wrong("whole-numbers", "i64");
    let text = detector("5-outputs").unwrap_err().to_string();
    assert!(text.contains("expected 6 or 9 outputs for strides 8, 16, 32"), "{text}");
}

#[test]
fn wrong_embedders_say_what_was_expected_and_found() {
    let text = |error: ModelError| error.to_string();
    let grey = text(embedder("grey").unwrap_err());
    assert!(grey.contains("expected one float input of shape (N, 3, H, W)"), "{grey}");
    let rank = text(embedder("rank-3").unwrap_err());
    assert!(rank.contains("expected one output of shape (faces, numbers), found (1, 1, 4)"), "{rank}");
    start();
    let swapped = text(Embedder::open(&pack("detector.onnx"), 1).unwrap_err());
    assert!(swapped.contains("found 9 outputs"), "{swapped}");
    let swapped = text(Detector::open(&pack("embedder.onnx"), 256, 1).unwrap_err());
    assert!(swapped.contains("found a side of 112"), "{swapped}");
}

#[test]
fn a_model_that_takes_one_face_at_a_time_gets_one_at_a_time() {
    let mut embedder = embedder("one-at-a-time").unwrap();
    assert_eq!(embedder.size(), 64);
    let colours = [[255, 127, 0], [0, 255, 127]].map(|c| RgbImage::from_pixel(64, 64, Rgb(c)));
    let embeddings = embedder.embed(&colours).unwrap();
    assert!(embeddings[0].as_slice()[0] > 0.7 && embeddings[1].as_slice()[1] > 0.7, "{embeddings:?}");
    let wrong_size = embedder.embed(&[RgbImage::new(112, 112)]).unwrap_err().to_string();
    assert!(wrong_size.contains("112×112 pixels, where the model takes 64×64"), "{wrong_size}");
}

#[test]
fn an_embedding_without_direction_is_an_error_and_not_a_score() {
    let mut zero = embedder("zero").unwrap();
    assert!(matches!(zero.embed(&[RgbImage::new(112, 112)]), Err(ModelError::Run { .. })));
}

#[test]
fn a_missing_or_truncated_file_is_named() {
    start();
    let missing = Embedder::open(Path::new("nowhere/embedder.onnx"), 1).unwrap_err();
    assert!(missing.to_string().starts_with("open model: nowhere/embedder.onnx: "), "{missing}");
    let whole = std::fs::read(pack("embedder.onnx")).unwrap();
    let cut = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
    std::fs::write(cut.path(), &whole[..whole.len() / 2]).unwrap();
    let error = Embedder::open(cut.path(), 1).unwrap_err();
    assert!(matches!(error, ModelError::Open { .. }), "{error}");
    assert_eq!(error.problem().kind, ProblemKind::Invalid);
    assert_eq!(error.problem().subject, cut.path().display().to_string());
}

#[test]
fn sizes_that_no_stride_divides_are_refused() {
    start();
    for size in [0, 100, 100_000] {
        let error = Detector::open(&pack("detector.onnx"), size, 1).unwrap_err();
        assert!(error.to_string().contains(&format!("a size of {size} was asked for")), "{error}");
    }
}

#[test]
fn pictures_of_no_size_and_strips_have_no_faces() {
    start();
    let mut detector = Detector::open(&pack("detector.onnx"), 256, 1).unwrap();
    for (width, height) in [(0, 0), (0, 9), (1, 1), (5000, 1), (1, 5000)] {
        assert_eq!(detector.detect(&RgbImage::new(width, height), 0.5).unwrap(), [], "{width}×{height}");
    }
}

#[test]
fn the_library_is_loaded_once_and_a_missing_one_comes_with_a_remedy() {
    let missing = init_runtime(Path::new("/nowhere/libonnxruntime.so"));
    // Another test of this process may have loaded the real one already.
    match missing.unwrap_err() {
        error @ RuntimeError::Missing(_) => assert!(error.to_string().contains("make demo"), "{error}"),
        RuntimeError::Other { asked, .. } => assert!(asked.ends_with("libonnxruntime.so")),
        other => panic!("{other}"),
    }
    start();
    start();
    let other = init_runtime(Path::new("/nowhere/libonnxruntime.so")).unwrap_err();
    assert!(other.to_string().contains("this process has already loaded"), "{other}");
}
