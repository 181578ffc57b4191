//! All pictures of a video, on several lanes: the same faces as one by one, in order, on every run.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

mod common;

use common::{golden, pack, start};
use greenroom_domain::{DetectorInput, EmbedderInput};
use greenroom_identity::{
    Compute, Detector, Embedder, FaceModels, FacePipeline, FoundFace, ModelError, Precision, Wanted, align, distinct,
};
use image::RgbImage;

const WANTED: Wanted = Wanted { score: 0.5, embedded_from: 0.0 };
const SIZE: u32 = 256;

fn models() -> FaceModels {
    start();
    FaceModels {
        detector: pack("detector.onnx"),
        detect_size: SIZE,
        detector_input: DetectorInput::default(),
        embedder: pack("embedder.onnx"),
        embedder_input: EmbedderInput::default(),
        squares: None,
    }
}

/// With nobody on it, one or two.
fn pictures() -> Vec<RgbImage> {
    let names = ["close", "background", "two", "large", "medium", "two", "turned"];
    names.map(|name| image::open(golden(&format!("pictures/{name}.png"))).unwrap().to_rgb8()).into()
}

fn found(compute: impl Into<Compute>) -> Vec<Vec<FoundFace>> {
    let mut pictures = pictures().into_iter();
    FacePipeline::open(models(), compute).unwrap().look::<ModelError>(WANTED, || Ok(pictures.next())).unwrap()
}

#[test]
fn lanes_find_what_one_detector_and_one_embedder_find() {
    let of = models();
    let mut detector = Detector::open(&of.detector, SIZE, &of.detector_input, 1).unwrap();
    let mut embedder = Embedder::open(&of.embedder, &of.embedder_input, 1).unwrap();
    let (found, pictures) = (found(3), pictures());
    assert_eq!(found.len(), pictures.len());
    assert!(found.iter().map(Vec::len).sum::<usize>() >= 7);
    for (picture, found) in pictures.iter().zip(&found) {
        let faces = distinct(&detector.detect(picture, WANTED.score).unwrap());
        assert_eq!(faces, found.iter().map(|f| f.face.clone()).collect::<Vec<_>>());
        for (face, found) in faces.iter().zip(found) {
            let alone = embedder.embed(&[align(picture, &face.landmarks, embedder.size())]).unwrap().remove(0);
            assert!(alone.cosine(found.embedding.as_ref().unwrap()).0 > 0.999_99);
        }
    }
}

#[test]
fn every_run_gives_the_same_bytes_and_fast_changes_nothing_where_the_library_has_no_short_precision() {
    let bytes = |compute: Compute| format!("{:?}", found(compute));
    assert_eq!(bytes(2.into()), bytes(2.into()));
    assert_eq!(bytes(1.into()), bytes(4.into()), "a lane of a small machine has one thread");
    assert_eq!(bytes(2.into()), bytes(Compute { threads: 2, precision: Precision::Fast }));
}

#[test]
fn small_faces_are_found_and_not_embedded() {
    let mut pictures = pictures().into_iter();
    let wanted = Wanted { embedded_from: 1e6, ..WANTED };
    let mut pipeline = FacePipeline::open(models(), 2).unwrap();
    let found = pipeline.look::<ModelError>(wanted, || Ok(pictures.next())).unwrap();
    assert!(found.iter().flatten().count() > 0 && found.iter().flatten().all(|f| f.embedding.is_none()));
}

#[test]
fn it_stops_when_the_caller_says_so_and_is_ready_for_the_next_video() {
    #[derive(Debug, PartialEq)]
    struct Cancelled;
    impl From<ModelError> for Cancelled {
        fn from(error: ModelError) -> Self {
            panic!("{error}")
        }
    }
    let mut pipeline = FacePipeline::open(models(), 2).unwrap();
    let (all, mut asked) = (pictures(), 0);
    let stopped = pipeline.look(WANTED, || {
        asked += 1;
        if asked > 4 { Err(Cancelled) } else { Ok(Some(all[asked].clone())) }
    });
    assert_eq!((stopped.unwrap_err(), asked), (Cancelled, 5));
    let mut again = all.into_iter();
    assert_eq!(pipeline.look::<ModelError>(WANTED, || Ok(again.next())).unwrap().len(), 7);
}
