//! What the gate says of takes, in the words of those who wait for it.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

use greenroom_domain::{
    Band, Box2, Calibration, Decision, Digest, Fps, ModelsUsed, Reason, ReferenceQuality, Scoring, Verdict,
};
use greenroom_identity::{Embedding, JudgeInput, Profile, SeenFace, judge};
use std::collections::BTreeMap;

/// The gate that projects start with.
const GATE: f32 = 0.75;

/// A face at cosines to MARA, JON and ODA, whose references are the axes; the rest of its length is nobody's.
fn face(mara: f32, jon: f32, oda: f32) -> Option<Embedding> {
    let rest = (1.0 - mara * mara - jon * jon - oda * oda).max(0.0).sqrt();
    Some(Embedding::try_new(vec![mara, jon, oda, rest]).unwrap())
}

fn mara() -> Option<Embedding> {
    face(0.9, 0.1, 0.0)
}

fn jon() -> Option<Embedding> {
    face(0.1, 0.9, 0.0)
}

fn stranger() -> Option<Embedding> {
    face(0.2, 0.1, 0.1)
}

fn embedder() -> Digest {
    Digest::of(b"embedder")
}

fn cast() -> Vec<(String, Profile)> {
    let quality =
        ReferenceQuality { detection: 1.0, face_size: 100.0, yaw: 0.0, sharpness: 100.0, weight: 0.5, agreement: None };
    let member = |name: &str, axis: usize| {
        let mut values = vec![0.0; 4];
        values[axis] = 1.0;
        let faces = vec![(Embedding::try_new(values).unwrap(), quality.clone())];
        (name.to_owned(), Profile::build(name, "test 1", embedder(), faces).unwrap().0)
    };
    vec![member("MARA", 0), member("JON", 1), member("ODA", 2)]
}

/// Judges frames, each with its faces' embeddings, by a curve whose gate of 0.75 is a cosine of 0.517.
fn gate(frames: &[Vec<Option<Embedding>>], expected: &[&str], gate: f32) -> Verdict {
    embedded_by(embedder(), frames, expected, gate)
}

fn embedded_by(embedder: Digest, frames: &[Vec<Option<Embedding>>], expected: &[&str], gate: f32) -> Verdict {
    read_by(&BTreeMap::new(), embedder, frames, expected, gate)
}

/// With these curves of their own.
fn read_by(
    curves: &BTreeMap<String, Calibration>,
    embedder: Digest,
    frames: &[Vec<Option<Embedding>>],
    expected: &[&str],
    gate: f32,
) -> Verdict {
    let bbox = Box2 { x0: 0.0, y0: 0.0, x1: 90.0, y1: 90.0 };
    let frames: Vec<(u64, Vec<SeenFace>)> = (0..)
        .zip(frames)
        .map(|(frame, faces)| {
            let seen = |embedding: &Option<Embedding>| SeenFace {
                frame,
                bbox,
                detection: 0.9,
                yaw: 0.0,
                embedding: embedding.clone(),
            };
            (frame, faces.iter().map(seen).collect())
        })
        .collect();
    let anchors = vec![(0.0, 0.0), (0.377, 0.5), (0.517, 0.75), (0.918, 0.85), (1.0, 1.0)];
    let calibration = Calibration { name: "test".into(), anchors };
    let models =
        ModelsUsed { pack: "test 1".into(), detector: Digest::of(b"detector"), embedder, calibration: "test".into() };
    let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    judge(&JudgeInput {
        frames: &frames,
        cuts: &[],
        fps: Fps::FILM,
        cast: &cast(),
        expected: &expected,
        gate,
        calibration: &calibration,
        curves,
        scoring: &Scoring::default(),
        models,
    })
}

fn verdict(frames: &[Vec<Option<Embedding>>], expected: &[&str]) -> Verdict {
    gate(frames, expected, GATE)
}

fn mara_missing(coverage: f32) -> Decision {
    Decision::Unscored { reasons: vec![Reason::FaceMissing { character: "MARA".into(), coverage }] }
}

fn wrong(expected: &str, seen: &str) -> Decision {
    Decision::Reject { reasons: vec![Reason::WrongCharacter { expected: expected.into(), seen: seen.into() }] }
}

fn is_below_gate(verdict: &Verdict) -> bool {
    matches!(&verdict.decision, Decision::Reject { reasons }
        if matches!(reasons.as_slice(), [Reason::IdentityBelowGate { character, .. }] if character == "MARA"))
}

#[test]
fn the_right_face_is_accepted() {
    let verdict = verdict(&vec![vec![mara()]; 10], &["MARA"]);
    assert_eq!(verdict.decision, Decision::Accept);
    let score = &verdict.characters[0];
    assert_eq!((score.character.as_str(), score.expected, score.coverage), ("MARA", true, 1.0));
    assert!((score.cosine.unwrap().0 - 0.9).abs() < 0.01 && score.p10.unwrap().0 > 0.8, "{score:?}");
    assert_eq!(verdict.characters.len(), 1, "nobody else was expected or seen");
    assert_eq!(verdict.frames[9].faces[0].character.as_deref(), Some("MARA"));
}

#[test]
fn a_stranger_is_rejected_and_not_called_missing() {
    let verdict = verdict(&vec![vec![stranger()]; 10], &["MARA"]);
    assert!(is_below_gate(&verdict), "{:?}", verdict.decision);
    let face = &verdict.frames[0].faces[0];
    assert_eq!((&face.character, face.stands_for.as_deref()), (&None, Some("MARA")), "but the face is nobody's");
    assert!((verdict.frames[0].faces[0].cosine.unwrap().0 - 0.2).abs() < 0.01, "with the cosine to the nearest");
}

#[test]
fn another_member_of_the_cast_in_her_place_is_named() {
    assert_eq!(verdict(&vec![vec![jon()]; 10], &["MARA"]).decision, wrong("MARA", "JON"));
    // Even if only in two of ten frames, and even if he is alike enough to pass for her.
    let twin = face(0.6, 0.7, 0.0);
    let mut frames = vec![vec![mara()]; 8];
    frames.extend(vec![vec![twin]; 2]);
    assert_eq!(verdict(&frames, &["MARA"]).decision, wrong("MARA", "JON"));
}

#[test]
fn no_face_at_all_is_unscored_and_never_a_pass() {
    for frames in [vec![vec![]; 10], vec![]] {
        for limit in [GATE, 0.0, f32::NAN] {
            let verdict = gate(&frames, &["MARA"], limit);
            assert_eq!(verdict.decision, mara_missing(0.0));
            assert_eq!((verdict.characters[0].mean, verdict.characters[0].p10), (None, None));
        }
    }
}

#[test]
fn a_face_in_one_frame_of_ten_says_too_little() {
    let mut frames = vec![vec![]; 9];
    frames.push(vec![mara()]);
    assert_eq!(verdict(&frames, &["MARA"]).decision, mara_missing(0.1));
    frames.extend(vec![vec![mara()]; 8]);
    assert_eq!(verdict(&frames, &["MARA"]).decision, Decision::Accept, "nine of eighteen are half");
}

#[test]
fn faces_that_are_too_small_are_shown_and_not_scored() {
    let verdict = verdict(&vec![vec![None]; 10], &["MARA"]);
    assert_eq!(verdict.decision, mara_missing(0.0));
    let shown = &verdict.frames[0].faces[0];
    assert_eq!((shown.character.as_deref(), shown.cosine, shown.idr), (None, None, None));
}

#[test]
fn where_nobody_is_expected_whatever_is_seen_is_accepted() {
    for frames in [vec![], vec![vec![]; 3], vec![vec![stranger(), jon()]; 3]] {
        assert_eq!(verdict(&frames, &[]).decision, Decision::Accept);
    }
    let seen = verdict(&vec![vec![jon()]; 3], &[]);
    assert_eq!((seen.characters[0].character.as_str(), seen.characters[0].expected), ("JON", false));
}

#[test]
fn one_bad_frame_of_ten_is_rejected_though_the_mean_passes() {
    let mut frames = vec![vec![mara()]; 9];
    frames.push(vec![face(0.45, 0.0, 0.0)]);
    let verdict = verdict(&frames, &["MARA"]);
    assert!(is_below_gate(&verdict), "{:?}", verdict.decision);
    assert!(verdict.characters[0].mean.unwrap().0 > GATE);
    assert_eq!(verdict.characters[0].worst_frame, Some(9));
}

#[test]
fn a_drifting_face_is_a_rejection_in_every_mixture() {
    for strangers in 2..=10 {
        let mut frames = vec![vec![mara()]; 10 - strangers];
        frames.extend(vec![vec![stranger()]; strangers]);
        assert!(is_below_gate(&verdict(&frames, &["MARA"])), "{strangers} of ten");
    }
}

#[test]
fn an_extra_beside_her_does_not_count_against_her() {
    assert!(verdict(&vec![vec![stranger(), mara()]; 10], &["MARA"]).decision.is_accept());
    assert!(verdict(&vec![vec![jon(), mara(), stranger()]; 10], &["MARA"]).decision.is_accept());
}

#[test]
fn two_who_are_expected_need_two_faces() {
    let both = ["MARA", "JON"];
    assert!(verdict(&vec![vec![jon(), mara()]; 10], &both).decision.is_accept());
    let alone = Decision::Unscored { reasons: vec![Reason::FaceMissing { character: "JON".into(), coverage: 0.0 }] };
    assert_eq!(verdict(&vec![vec![mara()]; 10], &both).decision, alone);
    let drifted = verdict(&vec![vec![stranger(), jon()]; 10], &both);
    assert!(is_below_gate(&drifted), "the face that is not JON's is meant to be hers: {:?}", drifted.decision);
}

#[test]
fn faces_go_to_the_cast_one_to_one_by_the_best_total() {
    // Both are most like MARA, but together they fit only one way.
    let verdict = verdict(&vec![vec![face(0.7, 0.1, 0.0), face(0.68, 0.6, 0.0)]; 10], &["MARA", "JON"]);
    let names: Vec<_> = verdict.frames[0].faces.iter().map(|f| f.character.as_deref()).collect();
    assert_eq!(names, [Some("MARA"), Some("JON")]);
}

#[test]
fn empty_frames_and_strangers_never_turn_a_verdict_into_a_pass() {
    let poor = face(0.5, 0.0, 0.0);
    for own in 0..8 {
        for below in 0..3 {
            let mut frames = vec![vec![mara()]; own];
            frames.extend(vec![vec![poor.clone()]; below]);
            let (before, p10) = summary(&frames);
            for more in [vec![], vec![stranger()], vec![None]] {
                let longer: Vec<_> = frames.iter().cloned().chain(vec![more; 4]).collect();
                let (after, longer_p10) = summary(&longer);
                assert!(before || !after, "{own} own, {below} below");
                assert!(p10 < 0.0 || longer_p10 <= p10, "{own} own, {below} below");
            }
        }
    }
}

/// Whether it passes, and MARA's p10 (−1 for none).
fn summary(frames: &[Vec<Option<Embedding>>]) -> (bool, f32) {
    let verdict = verdict(frames, &["MARA"]);
    (verdict.decision.is_accept(), verdict.characters[0].p10.map_or(-1.0, |p| p.0))
}

#[test]
fn a_lower_gate_lets_a_face_through_that_would_be_a_strangers() {
    let frames = vec![vec![face(0.35, 0.0, 0.0)]; 10];
    assert!(is_below_gate(&gate(&frames, &["MARA"], 0.5)));
    assert!(gate(&frames, &["MARA"], 0.4).decision.is_accept());
}

#[test]
fn someone_without_a_profile_cannot_pass() {
    let frames = vec![vec![mara()]; 10];
    let nobody = Reason::FaceMissing { character: "VIC".into(), coverage: 0.0 };
    assert_eq!(verdict(&frames, &["VIC", "VIC"]).decision, Decision::Unscored { reasons: vec![nobody] });
}

#[test]
fn a_profile_of_another_embedder_cannot_pass() {
    let other = Digest::of(b"another embedder");
    let verdict = embedded_by(other, &vec![vec![mara()]; 10], &["MARA"], GATE);
    assert_eq!(verdict.decision, mara_missing(0.0));
    assert_eq!(verdict.frames[0].faces[0].cosine, None, "a number of two models means nothing");
}

#[test]
fn a_character_is_read_by_its_own_curve_and_the_others_by_the_packs() {
    let anchors = vec![(0.0, 0.0), (0.75, 0.5), (0.95, 0.75), (0.97, 0.85), (1.0, 1.0)];
    let strict = Calibration { name: "MARA calibration 2 (test 1)".into(), anchors };
    let own = BTreeMap::from([("MARA".to_owned(), strict)]);
    let verdict = read_by(&own, embedder(), &vec![vec![mara(), jon()]; 10], &["MARA", "JON"], GATE);
    assert!(is_below_gate(&verdict), "{verdict}: equally alike, but MARA's strangers are more so");
    let scores: Vec<_> = verdict.characters.iter().map(|c| (c.calibrated, c.calibration.as_deref().unwrap())).collect();
    assert_eq!(scores, [(true, "MARA calibration 2 (test 1)"), (false, "test")]);
    let bands: Vec<_> = verdict.frames[0].faces.iter().map(|face| face.band).collect();
    assert_eq!(bands, [Some(Band::NeedsWork), Some(Band::Good)]);
}

#[test]
fn whom_a_strict_curve_calls_a_stranger_another_member_may_know() {
    let anchors = vec![(0.0, 0.0), (0.7, 0.5), (0.9, 0.75), (0.97, 0.85), (1.0, 1.0)];
    let own = BTreeMap::from([("MARA".to_owned(), Calibration { name: "strict".into(), anchors })]);
    let between = face(0.6, 0.55, 0.0);
    let verdict = read_by(&own, embedder(), &vec![vec![between]; 10], &["JON"], GATE);
    let whose: Vec<_> = verdict.frames[0].faces.iter().map(|face| face.character.as_deref()).collect();
    assert_eq!(whose, [Some("JON")]);
}
