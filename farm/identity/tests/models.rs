//! Models of other shapes: what is allowed works, the rest is refused when it is opened, by a sentence that says why.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use common::{golden, pack, start};
use greenroom_domain::{Box2, Channels, DetectorInput, EmbedderInput, OnnxKind, ProblemKind};
use greenroom_identity::{BoxDetector, Detector, Embedder, ModelError, RuntimeError, init_runtime, inspect};
use image::{Rgb, RgbImage};
use std::path::Path;

fn detector(name: &str) -> Result<Detector, ModelError> {
    start();
    Detector::open(&golden(&format!("models/detector-{name}.onnx")), 256, &DetectorInput::default(), 1)
}

fn embedder(name: &str) -> Result<Embedder, ModelError> {
    open_embedder(&golden(&format!("models/embedder-{name}.onnx")), &EmbedderInput::default())
}

fn open_embedder(file: &Path, input: &EmbedderInput) -> Result<Embedder, ModelError> {
    start();
    Embedder::open(file, input, 1)
}

fn open_detector(file: &Path, size: u32) -> Result<Detector, ModelError> {
    start();
    Detector::open(file, size, &DetectorInput::default(), 1)
}

#[test]
fn every_layout_of_outputs_gives_the_same_face() {
    for name in ["batch-axis", "other-order", "15"] {
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
fn a_detector_without_landmarks_finds_boxes_and_is_refused_where_faces_are_to_be_recognised() {
    for (name, outputs) in [("6", 6), ("10", 10)] {
        let error = detector(name).unwrap_err().to_string();
        let said = format!(
            "detector-{name}.onnx: expected 9 or 15 outputs, landmarks among them: without these a face cannot be \
             aligned, nor recognised, found {outputs} outputs, scores and boxes only"
        );
        assert!(error.ends_with(&said), "{error}");
        let file = golden(&format!("models/detector-{name}.onnx"));
        let mut boxes = BoxDetector::open(&file, 256, &DetectorInput::default(), 1).unwrap();
        let found = boxes.boxes(&RgbImage::new(64, 64), 0.5).unwrap();
        assert_eq!(found, [(Box2 { x0: 8.0, y0: -8.0, x1: 56.0, y1: 40.0 }, 0.9)], "{name}");
    }
}

#[test]
fn a_model_that_says_it_takes_any_size_and_is_made_for_one_names_that_size() {
    assert_eq!(open_detector(&golden("models/detector-made-for-32.onnx"), 32).unwrap().input_size(), (32, 32));
    let error = open_detector(&golden("models/detector-made-for-32.onnx"), 64).unwrap_err();
    let said = "on the 64×64 pixels of identity.detect_size it answers as for 32×32: it is made for that size alone";
    assert!(error.to_string().ends_with(said), "{error}");
    assert!(error.problem().remedy.contains("identity.detect_size"), "{error:?}");
}

#[test]
fn the_embedder_is_fed_as_the_pack_says() {
    // It answers with the mean of each plane that it is given.
    let file = golden("models/embedder-one-at-a-time.onnx");
    let raw = EmbedderInput { mean: [0.0; 3], std: [1.0, 1.0, 2.0], channels: Channels::Bgr, size: None };
    let embedding = open_embedder(&file, &raw).unwrap().embed(&[RgbImage::from_pixel(64, 64, Rgb([80, 0, 30]))]);
    let embedding = embedding.unwrap().remove(0);
    for (found, expected) in embedding.as_slice().iter().zip([0.6, 0.0, 0.8]) {
        assert!((found - expected).abs() < 1e-6, "{embedding:?}");
    }
    let wrong = EmbedderInput { size: Some(112), ..EmbedderInput::default() };
    let error = open_embedder(&file, &wrong).unwrap_err().to_string();
    assert!(
        error.ends_with("expected an input of 112×112 pixels, as identity.embedder.size says, found 64×64"),
        "{error}"
    );
}

#[test]
fn files_are_told_apart_by_their_shapes() {
    start();
    let told = |file: &str| inspect(&golden(&format!("models/{file}.onnx")), 1).unwrap();
    let detector = |input, landmarks| OnnxKind::Detector { input, landmarks };
    assert_eq!(told("detector-15"), detector(Some((32, 32)), true));
    assert_eq!(told("detector-6"), detector(Some((32, 32)), false));
    assert_eq!(inspect(&pack("detector.onnx"), 1).unwrap(), detector(None, true));
    let embedder = inspect(&pack("embedder.onnx"), 1).unwrap();
    assert!(matches!(embedder, OnnxKind::Embedder { size: 112, raw: false, .. }), "{embedder:?}");
    let other = |file: &str, part: &str| match told(file) {
        OnnxKind::Other { what } => assert!(what.contains(part), "{file}: {what}"),
        told => panic!("{file}: {told:?}"),
    };
    other("detector-5-outputs", "5 outputs");
    other("detector-one-anchor", "(16, 1), (4, 1), (1, 1)");
    other("embedder-grey", "one float input of shape (N, 3, H, W)");
    other("embedder-one-at-a-time", "takes 64×64 pixels");
    other("landmarks", "face landmarks");
    other("genderage", "age and sex");
    other("mask", "2 numbers, too few");
    assert!(matches!(told("embedder-zero"), OnnxKind::Broken { .. }));
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
    let swapped = text(open_embedder(&pack("detector.onnx"), &EmbedderInput::default()).unwrap_err());
    assert!(swapped.contains("found 9 outputs"), "{swapped}");
    let swapped = text(open_detector(&pack("embedder.onnx"), 256).unwrap_err());
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
    let missing = open_embedder(Path::new("nowhere/embedder.onnx"), &EmbedderInput::default()).unwrap_err();
    assert!(missing.to_string().starts_with("open model: nowhere/embedder.onnx: "), "{missing}");
    let whole = std::fs::read(pack("embedder.onnx")).unwrap();
    let cut = tempfile::Builder::new().suffix(".onnx").tempfile().unwrap();
    std::fs::write(cut.path(), &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(inspect(cut.path(), 1).unwrap(), OnnxKind::Broken { .. }));
    let error = open_embedder(cut.path(), &EmbedderInput::default()).unwrap_err();
    assert!(matches!(error, ModelError::Open { .. }), "{error}");
    assert_eq!(error.problem().kind, ProblemKind::Invalid);
    assert_eq!(error.problem().subject, cut.path().display().to_string());
}

#[test]
fn sizes_that_no_stride_divides_are_refused() {
    for size in [0, 100, 100_000] {
        let error = open_detector(&pack("detector.onnx"), size).unwrap_err();
        assert!(error.to_string().contains(&format!("a size of {size} was asked for")), "{error}");
    }
}

#[test]
fn pictures_of_no_size_and_strips_have_no_faces() {
    let mut detector = open_detector(&pack("detector.onnx"), 256).unwrap();
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
