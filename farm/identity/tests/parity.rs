//! The same faces and embeddings as insightface finds with the same models (`tests/golden/make.py` recorded them).

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use common::{golden, pack, start};
use greenroom_domain::{DetectorInput, Digest, EmbedderInput};
use greenroom_identity::{Detector, Embedder, Embedding, Face, align, distinct};
use image::RgbImage;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Golden {
    size: u32,
    score: f32,
    models: BTreeMap<String, Digest>,
    pictures: BTreeMap<String, Vec<Recorded>>,
}

#[derive(Deserialize)]
struct Recorded {
    #[serde(rename = "box")]
    bbox: [f32; 4],
    score: f32,
    landmarks: [[f32; 2]; 5],
    embedding: Vec<f32>,
}

fn recorded() -> Golden {
    let golden: Golden = serde_json::from_slice(&std::fs::read(golden("golden.json")).unwrap()).unwrap();
    for (file, digest) in &golden.models {
        let found = Digest::of(&std::fs::read(pack(file)).unwrap());
        assert_eq!(found, *digest, "{file} has changed since golden.json was made: run tests/golden/make.py again");
    }
    golden
}

fn picture(name: &str) -> RgbImage {
    image::open(golden(&format!("pictures/{name}.png"))).unwrap().to_rgb8()
}

fn open(golden: &Golden) -> (Detector, Embedder) {
    start();
    let detector = Detector::open(&pack("detector.onnx"), golden.size, &DetectorInput::default(), 1).unwrap();
    (detector, Embedder::open(&pack("embedder.onnx"), &EmbedderInput::default(), 1).unwrap())
}

fn furthest(face: &Face, recorded: &Recorded) -> f32 {
    let b = &face.bbox;
    let ours = [b.x0, b.y0, b.x1, b.y1].into_iter().chain(face.landmarks.iter().flat_map(|p| [p.x, p.y]));
    let theirs = recorded.bbox.iter().chain(recorded.landmarks.iter().flatten());
    ours.zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn faces_lie_where_insightface_finds_them_to_a_pixel() {
    let golden = recorded();
    let (mut detector, _) = open(&golden);
    assert!(golden.pictures.len() >= 8 && golden.pictures.values().map(Vec::len).sum::<usize>() >= 8);
    for (name, expected) in &golden.pictures {
        let found = detector.detect(&picture(name), golden.score).unwrap();
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (face, recorded) in found.iter().zip(expected) {
            assert!(furthest(face, recorded) <= 1.0, "{name}: {face:?}, off by {}", furthest(face, recorded));
            assert!((face.score - recorded.score).abs() < 0.01, "{name}: score {} for {}", face.score, recorded.score);
        }
    }
}

#[test]
fn embeddings_equal_those_of_insightface() {
    let golden = recorded();
    let (mut detector, mut embedder) = open(&golden);
    let mut compared = 0;
    for (name, expected) in &golden.pictures {
        let picture = picture(name);
        let faces = detector.detect(&picture, golden.score).unwrap();
        let aligned: Vec<RgbImage> = faces.iter().map(|f| align(&picture, &f.landmarks, embedder.size())).collect();
        for (i, (ours, theirs)) in embedder.embed(&aligned).unwrap().iter().zip(expected).enumerate() {
            let cosine = ours.cosine(&Embedding::try_new(theirs.embedding.clone()).unwrap()).0;
            assert!(cosine >= 0.9999, "{name}, face {i}: cosine {cosine}");
            compared += 1;
        }
    }
    assert!(compared >= 8, "{compared} faces were compared");
}

#[test]
fn a_face_is_the_same_alone_and_among_others() {
    let golden = recorded();
    let (mut detector, mut embedder) = open(&golden);
    let picture = picture("two");
    let faces = detector.detect(&picture, golden.score).unwrap();
    let aligned: Vec<RgbImage> = faces.iter().map(|f| align(&picture, &f.landmarks, embedder.size())).collect();
    let many: Vec<RgbImage> = aligned.iter().cycle().take(35).cloned().collect();
    let together = embedder.embed(&many).unwrap();
    let alone = embedder.embed(&aligned[..1]).unwrap();
    assert_eq!(together.len(), 35);
    assert!(together[0].cosine(&alone[0]).0 > 0.99999);
    assert!(together[34 / faces.len() * faces.len()].cosine(&alone[0]).0 > 0.99999);
    assert_eq!(embedder.embed(&aligned).unwrap(), embedder.embed(&aligned).unwrap(), "the same bits each time");
}

#[test]
fn one_puppet_is_like_itself_and_unlike_another() {
    let golden = recorded();
    let (mut detector, mut embedder) = open(&golden);
    let mut best = |name: &str| {
        let picture = picture(name);
        let faces = distinct(&detector.detect(&picture, golden.score).unwrap());
        let aligned: Vec<_> = faces.iter().map(|f| align(&picture, &f.landmarks, embedder.size())).collect();
        embedder.embed(&aligned).unwrap()
    };
    let (close, medium, two) = (best("close"), best("medium"), best("two"));
    assert_eq!((close.len(), medium.len(), two.len()), (1, 1, 2));
    assert!(close[0].cosine(&medium[0]).0 > 0.6);
    assert!(two[0].cosine(&two[1]).0 < 0.4);
}
