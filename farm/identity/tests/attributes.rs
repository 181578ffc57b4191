//! What faces show is what OpenCV and the same model say in Python (`tests/golden/attributes.py` recorded it), and a
//! classifier that does not fit the pack's labels is refused.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use common::{golden, start};
use greenroom_domain::{AttributeDefaults, Box2};
use greenroom_identity::{AttributeClassifier, Attributes, Face, ModelError, Point};
use image::RgbImage;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    how: AttributeDefaults,
    faces: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    picture: String,
    #[serde(rename = "box")]
    bbox: [f32; 4],
    probabilities: BTreeMap<String, Vec<f32>>,
}

fn recorded() -> Golden {
    serde_json::from_slice(&std::fs::read(golden("attributes.json")).unwrap()).unwrap()
}

fn picture(name: &str) -> RgbImage {
    image::open(golden(&format!("pictures/{name}.png"))).unwrap().to_rgb8()
}

fn open(name: &str, how: &AttributeDefaults) -> Result<AttributeClassifier, ModelError> {
    start();
    AttributeClassifier::open(&golden(&format!("models/{name}.onnx")), how, 1)
}

fn face([x0, y0, x1, y1]: [f32; 4]) -> Face {
    Face { bbox: Box2 { x0, y0, x1, y1 }, score: 0.9, landmarks: [Point::default(); 5] }
}

fn furthest(ours: &Attributes, theirs: &BTreeMap<String, Vec<f32>>) -> f32 {
    assert!(ours.0.keys().eq(theirs.keys()));
    let pairs = ours.0.values().zip(theirs.values());
    let differences = pairs.flat_map(|(a, b)| a.all.iter().zip(b).map(|((_, p), q)| (p - q).abs()));
    differences.fold(0.0, f32::max)
}

#[test]
fn every_probability_is_the_one_that_python_computes() {
    let golden = recorded();
    let mut classifier = open("attributes", &golden.how).unwrap();
    assert!(golden.faces.len() >= 6);
    for recorded in &golden.faces {
        let shown = classifier.classify(&picture(&recorded.picture), &[face(recorded.bbox)]).unwrap();
        let off = furthest(&shown[0], &recorded.probabilities);
        assert!(off < 0.005, "{} {:?}: off by {off}", recorded.picture, recorded.bbox);
    }
}

#[test]
fn labels_come_in_the_packs_order_whatever_the_models() {
    let golden = recorded();
    let mut classifier = open("attributes", &golden.how).unwrap();
    let shown = classifier.classify(&picture("close"), &[face(golden.faces[0].bbox)]).unwrap().remove(0);
    for (name, attribute) in &shown.0 {
        assert!(attribute.all.iter().map(|(label, _)| label).eq(&golden.how.labels[name]));
        let most = attribute.all.iter().map(|(_, p)| *p).fold(0.0, f32::max);
        assert!(attribute.all.contains(&(attribute.label.clone(), most)) && attribute.probability >= most);
    }
    assert_eq!(shown.label("shoe_size"), None);
}

#[test]
fn a_face_shows_the_same_alone_among_others_and_one_at_a_time() {
    let golden = recorded();
    let picture = picture("close");
    let faces: Vec<Face> = golden.faces.iter().map(|f| face(f.bbox)).cycle().take(35).collect();
    let mut classifier = open("attributes", &golden.how).unwrap();
    let together = classifier.classify(&picture, &faces).unwrap();
    let one_by_one = open("attributes-one-at-a-time", &golden.how).unwrap().classify(&picture, &faces).unwrap();
    assert_eq!((together.len(), one_by_one.len()), (35, 35));
    let all =
        |shown: &Attributes| shown.0.iter().map(|(n, a)| (n.clone(), a.all.iter().map(|p| p.1).collect())).collect();
    for (a, b) in together.iter().zip(&one_by_one) {
        assert!(furthest(a, &all(b)) < 1e-5);
    }
    assert_eq!(classifier.classify(&picture, &faces).unwrap(), together, "the same bits each time");
    assert_eq!(classifier.classify(&picture, &[]).unwrap(), []);
}

#[test]
fn a_classifier_that_does_not_fit_the_labels_says_what_was_expected_and_found() {
    let how = recorded().how;
    let text = |name: &str| open(name, &how).unwrap_err().to_string();
    let less = text("attributes-one-less");
    let expected =
        "expected the outputs beard (1, 2), glasses (1, 3), hair_colour (1, 5), found beard (1, 2), glasses (1, 3)";
    assert!(less.ends_with(expected), "{less}");
    assert!(text("attributes-other-labels").contains("found beard (1, 2), glasses (1, 4), hair_colour (1, 5)"));
    assert!(text("attributes-small").contains("expected a square input of 16 pixels"));
    let mut fewer = how.clone();
    fewer.labels.remove("beard");
    assert!(open("attributes", &fewer).unwrap_err().to_string().contains("expected the outputs glasses (1, 3), hair"));
}

#[test]
fn a_box_that_is_none_is_an_error_and_not_an_answer() {
    let golden = recorded();
    let mut classifier = open("attributes", &golden.how).unwrap();
    let flat = classifier.classify(&picture("close"), &[face([5.0, 5.0, 5.0, 5.0])]);
    assert!(matches!(flat, Err(ModelError::Input { .. })), "{flat:?}");
}
