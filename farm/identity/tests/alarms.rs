//! What no score can tell, in the words of those who would be cheated.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

use greenroom_domain::{
    AttributeDefaults, Box2, Calibration, Decision, Digest, Fps, ModelsUsed, Reason, ReferenceQuality, Scoring, Verdict,
};
use greenroom_identity::{
    Attribute, Attributes, Embedding, Face, Glimpse, JudgeInput, Patch, Point, Profile, SeenFace, distinct_frames,
    judge, raise_alarms, repeats,
};
use image::{Rgb, RgbImage};
use std::collections::BTreeMap;

/// An aligned face: bars that bend with `mood`, lit by `light`.
fn aligned(mood: f32, light: f32) -> RgbImage {
    RgbImage::from_fn(112, 112, |x, y| {
        let wave = (x as f32 / 8.0 + mood * (y as f32 / 20.0).sin()).sin() + (y as f32 / (9.0 + mood)).cos();
        Rgb([((128.0 + 50.0 * wave) * light).clamp(0.0, 255.0) as u8; 3])
    })
}

fn embedding() -> Embedding {
    Embedding::try_new(vec![1.0, 0.1]).unwrap()
}

/// MARA with one reference, of mood 0.
fn mara() -> (String, Profile) {
    let quality =
        ReferenceQuality { detection: 1.0, face_size: 100.0, yaw: 0.0, sharpness: 100.0, weight: 0.5, agreement: None };
    let embedder = Digest::of(b"embedder");
    let mut profile = Profile::build("MARA", "test 1", embedder, vec![(embedding(), quality)]).unwrap().0;
    profile.references[0].patch = Some(Patch::of(&aligned(0.0, 1.0)));
    ("MARA".into(), profile)
}

/// One sampled frame of a take.
struct Frame {
    picture: Option<RgbImage>,
    /// How far the head is turned.
    yaw: f32,
    /// How sure the classifier is that no head belongs there.
    elsewhere: Option<f32>,
}

fn shows(picture: RgbImage) -> Frame {
    Frame { picture: Some(picture), yaw: 0.0, elsewhere: None }
}

fn nobody() -> Frame {
    Frame { picture: None, yaw: 0.0, elsewhere: None }
}

fn told(elsewhere: f32) -> Attributes {
    let all = vec![("in place".to_owned(), 1.0 - elsewhere), ("elsewhere".to_owned(), elsewhere)];
    let head = Attribute { label: "in place".into(), probability: 1.0 - elsewhere, all };
    Attributes([("head".to_owned(), head)].into())
}

/// Judges frames that lie a quarter of a second apart.
fn verdict(frames: &[Frame]) -> Verdict {
    let bbox = Box2 { x0: 0.0, y0: 0.0, x1: 90.0, y1: 90.0 };
    let (mut seen, mut glimpses) = (Vec::new(), Vec::new());
    for (number, frame) in (0..).step_by(6).zip(frames) {
        let faces = frame.picture.iter().map(|picture| {
            let at = |x, y| Point { x, y };
            let nose = at(50.0 + 20.0 * frame.yaw, 55.0);
            let landmarks = [at(30.0, 40.0), at(70.0, 40.0), nose, at(38.0, 75.0), at(62.0, 75.0)];
            let face = Face { bbox, score: 0.9, landmarks };
            let shows = frame.elsewhere.map(told);
            glimpses.push(Glimpse { shows, ..Glimpse::of(number, &face, picture) });
            SeenFace { frame: number, bbox, detection: 0.9, yaw: face.yaw(), embedding: Some(embedding()) }
        });
        seen.push((number, faces.collect()));
    }
    let (cast, scoring) = ([mara()], Scoring::default());
    let repeated = repeats(&seen, &glimpses, &scoring.copies);
    let (distinct, cuts) = distinct_frames(seen, &[0], &repeated);
    let digest = Digest::of(b"embedder");
    let mut verdict = judge(&JudgeInput {
        frames: &distinct,
        cuts: &cuts,
        fps: Fps::FILM,
        cast: &cast,
        expected: &["MARA".to_owned()],
        gate: 0.75,
        curves: &BTreeMap::new(),
        calibration: &Calibration { name: "test".into(), anchors: vec![(0.0, 0.0), (1.0, 1.0)] },
        scoring: &scoring,
        models: ModelsUsed { pack: "t 1".into(), detector: digest, embedder: digest, calibration: "test".into() },
    });
    verdict.looks.repeats = repeated;
    raise_alarms(&mut verdict, &glimpses, &cast, &scoring.copies, Some(&how()), Fps::FILM);
    verdict
}

fn how() -> AttributeDefaults {
    let how = serde_json::json!({
        "size": 8, "crop": 2.6, "down": 0.25, "mean": 0, "std": 1, "labels": {"head": ["in place", "elsewhere"]},
        "misplaced": {"attribute": "head", "label": "elsewhere"},
    });
    serde_json::from_value(how).unwrap()
}

/// A face that lives: every frame another mood, none of them a reference's.
fn alive(count: u32) -> Vec<Frame> {
    (0..count).map(|n| shows(aligned(1.0 + 0.7 * n as f32, 1.0))).collect()
}

fn reasons(frames: &[Frame]) -> Vec<Reason> {
    verdict(frames).decision.reasons().to_vec()
}

#[test]
fn a_face_that_lives_is_accepted() {
    let verdict = verdict(&alive(8));
    assert_eq!(verdict.decision, Decision::Accept);
    assert!(verdict.looks.repeats.is_empty());
}

#[test]
fn a_reference_in_other_light_is_a_copy_and_the_reference_and_the_frame_are_named() {
    let mut frames = alive(8);
    for (n, frame) in frames.iter_mut().enumerate().skip(1) {
        *frame = shows(aligned(0.01 * n as f32, 0.7 + 0.05 * n as f32));
    }
    let found = reasons(&frames);
    let [Reason::CopyOfReference { character, reference: 1, frame }] = found.as_slice() else { panic!("{found:?}") };
    assert!(character == "MARA" && (6..=42).contains(frame), "{found:?}");
}

#[test]
fn a_turned_head_is_no_copy_however_alike_and_a_few_frames_are_none_either() {
    let mut frames = alive(8);
    for (n, frame) in frames.iter_mut().enumerate().skip(1) {
        *frame = Frame { yaw: 0.4, ..shows(aligned(0.01 * n as f32, 1.0)) };
    }
    assert_eq!(reasons(&frames), []);
    let mut frames = alive(8);
    frames[3] = shows(aligned(0.0, 0.9));
    assert_eq!(reasons(&frames), [], "somebody may pass through the pose of a reference");
}

#[test]
fn a_still_in_flickering_light_is_frozen_and_so_is_one_frame_repeated() {
    let flickers: Vec<Frame> = (0..8).map(|n| shows(aligned(2.0 + 0.01 * n as f32, 0.8 + 0.03 * n as f32))).collect();
    let frozen = Reason::Frozen { character: "MARA".into(), first: 0, last: 42 };
    assert_eq!(reasons(&flickers), std::slice::from_ref(&frozen));
    let repeated: Vec<Frame> = (0..8).map(|_| shows(aligned(2.0, 1.0))).collect();
    let verdict = verdict(&repeated);
    assert_eq!(verdict.decision.reasons(), [frozen]);
    assert_eq!((verdict.frames.len(), verdict.looks.repeats.len()), (1, 7));
}

#[test]
fn half_a_second_may_hold_still() {
    let short: Vec<Frame> = (0..3).map(|_| shows(aligned(2.0, 1.0))).collect();
    assert_eq!(reasons(&short), []);
}

#[test]
fn a_good_frame_shown_again_and_again_does_not_make_up_for_missing_ones() {
    let padded = [alive(2), vec![nobody(), nobody(), nobody()], (0..4).map(|_| shows(aligned(1.0, 1.0))).collect()];
    let verdict = verdict(&padded.into_iter().flatten().collect::<Vec<_>>());
    let [Reason::FaceMissing { coverage, .. }] = verdict.decision.reasons() else { panic!("{verdict}") };
    assert!((coverage - 0.4).abs() < 1e-6, "two frames with the face, of five that differ: {coverage}");
}

#[test]
fn a_face_where_no_head_belongs_is_rejected_if_most_frames_say_so() {
    let pasted = |frames: Vec<Frame>, sure: &[f32]| -> Vec<Frame> {
        frames.into_iter().zip(sure).map(|(frame, p)| Frame { elsewhere: Some(*p), ..frame }).collect()
    };
    let found = reasons(&pasted(alive(6), &[0.95, 0.92, 0.99, 0.2, 0.94, 0.7]));
    assert_eq!(found, [Reason::Misplaced { character: "MARA".into(), frame: 12 }]);
    assert_eq!(reasons(&pasted(alive(6), &[0.95, 0.1, 0.9, 0.6, 0.95, 0.9])), []);
}
