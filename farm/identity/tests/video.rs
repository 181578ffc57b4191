//! Who is who over a take: faces that cross, leave, return and walk in, with the noise that embeddings have.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test may fail where it stands")]

use greenroom_domain::{
    Box2, Calibration, Decision, Digest, Fps, ModelsUsed, Reason, ReferenceQuality, Scoring, Unscored, Verdict,
};
use greenroom_identity::{Embedding, JudgeInput, Profile, SeenFace, judge};

const SAMPLES: u64 = 16;
/// Six frames of film between two looks: four looks a second.
const EVERY: u64 = 6;
const NAMES: [&str; 4] = ["MARA", "JON", "ODA", "VIC"];
const LENGTH: usize = 128;

/// Chance with a seed: equal seeds, equal tests.
struct Chance(u64);

impl Chance {
    /// From 0 to 1 (splitmix64, Steele et al. 2014).
    fn even(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Around 0 with a standard deviation of 1: the sum of twelve even ones, less six.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.even()).sum::<f32>() - 6.0
    }

    /// The face of somebody: cosine 0.6 ± 0.15 to its own axis, 0 ± 0.1 to the others', the rest of its length nobody's.
    fn face(&mut self, who: usize) -> Embedding {
        let mut values: Vec<f32> = (0..LENGTH).map(|_| self.normal()).collect();
        let cosines: Vec<f32> = (0..NAMES.len())
            .map(|axis| if axis == who { 0.6 + 0.15 * self.normal() } else { 0.1 * self.normal() })
            .map(|c| c.clamp(-0.95, 0.95))
            .collect();
        let known: f32 = cosines.iter().map(|c| c * c).sum::<f32>().min(0.95);
        let rest: f32 = values[NAMES.len()..].iter().map(|v| v * v).sum();
        let scale = ((1.0 - known) / rest).sqrt();
        values.iter_mut().for_each(|v| *v *= scale);
        values[..NAMES.len()].copy_from_slice(&cosines);
        Embedding::try_new(values).unwrap()
    }
}

fn axis(who: usize) -> Embedding {
    Embedding::try_new((0..LENGTH).map(|i| f32::from(u8::from(i == who))).collect()).unwrap()
}

fn profile(name: &str, references: Vec<(Embedding, f32)>) -> (String, Profile) {
    let quality = |yaw| ReferenceQuality {
        detection: 0.9,
        face_size: 100.0,
        yaw,
        sharpness: 100.0,
        weight: 0.5,
        agreement: None,
    };
    let faces = references.into_iter().map(|(embedding, yaw)| (embedding, quality(yaw))).collect();
    (name.to_owned(), Profile::build(name, "test 1", Digest::of(b"embedder"), faces).unwrap().0)
}

fn cast(members: usize) -> Vec<(String, Profile)> {
    (0..members).map(|who| profile(NAMES[who], vec![(axis(who), 0.0)])).collect()
}

/// A face of 90 pixels at so many from the left.
fn seen(frame: u64, x: f32, embedding: Embedding) -> SeenFace {
    let bbox = Box2 { x0: x, y0: 40.0, x1: x + 90.0, y1: 140.0 };
    SeenFace { frame, bbox, detection: 0.9, yaw: 0.0, embedding: Some(embedding) }
}

fn verdict(frames: &[(u64, Vec<SeenFace>)], cast: &[(String, Profile)], expected: &[&str]) -> Verdict {
    let anchors = vec![(0.0, 0.0), (0.38, 0.5), (0.525, 0.75), (0.758, 0.85), (1.0, 1.0)];
    let calibration = Calibration { name: "test".into(), anchors };
    let embedder = Digest::of(b"embedder");
    let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    judge(&JudgeInput {
        frames,
        cuts: &[],
        fps: Fps::FILM,
        cast,
        expected: &expected,
        gate: 0.75,
        calibration: &calibration,
        curves: &std::collections::BTreeMap::new(),
        scoring: &Scoring::default(),
        models: ModelsUsed { pack: "test 1".into(), detector: embedder, embedder, calibration: "test".into() },
    })
}

/// Faces of these people that walk across the frame at their own speeds; `there` says who is in which sample.
fn walk(seed: u64, people: usize, there: impl Fn(usize, u64) -> bool) -> Vec<(u64, Vec<SeenFace>)> {
    let mut chance = Chance(seed);
    let paths: Vec<_> = (0..people).map(|_| (600.0 * chance.even(), 60.0 * (chance.even() - 0.5))).collect();
    let frame = |i: u64| {
        let mut faces = Vec::new();
        for (who, (start, speed)) in paths.iter().enumerate() {
            let embedding = chance.face(who);
            if there(who, i) {
                faces.push(seen(i * EVERY, start + speed * i as f32, embedding));
            }
        }
        (i * EVERY, faces)
    };
    (0..SAMPLES).map(frame).collect()
}

/// Of all faces those that were given the right name, or none where they are of nobody in the cast. Which is whose is read
/// off where they stand: the walk is made again.
fn right(seed: u64, people: usize, members: usize, there: impl Fn(usize, u64) -> bool + Copy) -> (usize, usize) {
    let frames = walk(seed, people, there);
    let verdict = verdict(&frames, &cast(members), &NAMES[..members.min(people)]);
    let (mut good, mut all) = (0, 0);
    for (i, score) in (0..).zip(&verdict.frames) {
        let present: Vec<usize> = (0..people).filter(|&who| there(who, i)).collect();
        for (face, who) in score.faces.iter().zip(present) {
            let truth = Some(NAMES[who]).filter(|_| who < members);
            good += usize::from(face.character.as_deref() == truth);
            all += 1;
        }
    }
    (good, all)
}

fn share_right(people: usize, members: usize, there: impl Fn(usize, u64) -> bool + Copy) -> f64 {
    let cases = (0..150).map(|seed| right(seed * 7 + 1, people, members, there));
    let (good, all) = cases.fold((0, 0), |sum, case| (sum.0 + case.0, sum.1 + case.1));
    good as f64 / all as f64
}

#[test]
fn up_to_four_faces_that_cross_are_told_apart() {
    for people in 1..=4 {
        let share = share_right(people, 4, |_, _| true);
        assert!(share >= 0.99, "{people} faces: {share}");
    }
}

#[test]
fn faces_that_leave_and_return_are_known_again() {
    let share = share_right(4, 4, |who, i| !(4 + who as u64..9 + who as u64).contains(&i));
    assert!(share >= 0.99, "{share}");
}

#[test]
fn an_unknown_who_walks_in_stays_unknown_and_is_reported() {
    let there = |who: usize, i: u64| who < 2 || i >= 5;
    let share = share_right(3, 2, there);
    assert!(share >= 0.99, "{share}");
    let verdict = verdict(&walk(3, 3, there), &cast(2), &["MARA", "JON"]);
    let [stranger] = verdict.strangers.as_slice() else { panic!("{:?}", verdict.strangers) };
    assert_eq!((stranger.first, stranger.last, stranger.frames), (30, 90, 11));
}

/// The same face in every sample, at so many pixels from the left.
fn still(faces: &[(f32, Embedding)]) -> Vec<(u64, Vec<SeenFace>)> {
    let frame = |i: u64| (i * EVERY, faces.iter().map(|(x, e)| seen(i * EVERY, *x, e.clone())).collect());
    (0..SAMPLES).map(frame).collect()
}

fn mixed(parts: &[(usize, f32)]) -> Embedding {
    let mut values = vec![0.0; LENGTH];
    parts.iter().for_each(|&(at, value)| values[at] = value);
    Embedding::try_new(values).unwrap()
}

#[test]
fn a_second_face_like_hers_is_rejected_and_not_counted_for_her() {
    let double = mixed(&[(0, 0.5), (50, 0.8)]);
    let mut frames = still(&[(100.0, axis(0))]);
    frames[5].1.push(seen(30, 400.0, double));
    let verdict = verdict(&frames, &cast(2), &["MARA"]);
    let reason = Reason::SecondFace { character: "MARA".into(), frame: 30 };
    assert_eq!(verdict.decision, Decision::Reject { reasons: vec![reason] });
    assert_eq!(verdict.frames[5].faces.iter().filter(|f| f.character.is_some()).count(), 1);
    assert!(verdict.characters[0].p10.unwrap().0 > 0.9, "the double's score is not hers");
}

#[test]
fn one_face_that_was_found_twice_is_no_second_face() {
    let frames = still(&[(100.0, axis(0)), (120.0, mixed(&[(0, 0.9), (50, 0.4)]))]);
    assert!(verdict(&frames, &cast(1), &["MARA"]).decision.is_accept());
}

#[test]
fn one_who_was_seen_beside_her_does_not_stand_in_when_she_has_left() {
    let stranger = mixed(&[(0, 0.2), (60, 0.9)]);
    let mut frames = still(&[(100.0, axis(0)), (400.0, stranger)]);
    frames[10..].iter_mut().for_each(|(_, faces)| drop(faces.remove(0)));
    let verdict = verdict(&frames, &cast(1), &["MARA"]);
    assert!(verdict.decision.is_accept(), "{:?}", verdict.decision);
    assert!((verdict.characters[0].coverage - 10.0 / 16.0).abs() < 1e-6);
}

#[test]
fn a_profile_without_a_like_reference_is_unscored_and_never_a_pass() {
    let turned = |frames: &mut [(u64, Vec<SeenFace>)]| frames.iter_mut().for_each(|(_, faces)| faces[0].yaw = 0.95);
    let mut frames = still(&[(100.0, axis(0))]);
    turned(&mut frames[..10]);
    let unknown = verdict(&frames, &cast(1), &["MARA"]);
    let reason = Reason::NoLikeReference { character: "MARA".into(), share: 10.0 / 16.0 };
    assert_eq!(unknown.decision, Decision::Unscored { reasons: vec![reason] });
    assert_eq!(unknown.frames[0].faces[0].unscored, Some(Unscored::Turned));
    assert_eq!(unknown.frames[0].faces[0].character.as_deref(), Some("MARA"), "she is followed all the same");
    let both = [profile("MARA", vec![(axis(0), 0.0), (mixed(&[(0, 0.9), (70, 0.4)]), 0.9)])];
    let known = verdict(&frames, &both, &["MARA"]);
    assert!(known.decision.is_accept() && (known.characters[0].coverage - 1.0).abs() < 1e-6);
}

#[test]
fn a_face_that_loses_itself_has_a_falling_slope() {
    let drifting = (0..SAMPLES).map(|i| {
        let face = mixed(&[(0, 1.0 - 0.03 * i as f32), (50, 0.06 * i as f32)]);
        (i * EVERY, vec![seen(i * EVERY, 100.0, face)])
    });
    let verdict = verdict(&drifting.collect::<Vec<_>>(), &cast(1), &["MARA"]);
    let score = &verdict.characters[0];
    assert!(score.slope.unwrap() < -0.02 && score.worst_frame == Some(90), "{score:?}");
}
