//! A character's own curve, made from crafted directions: who passes it, and who gets none.
#![allow(
    clippy::unwrap_used,
    clippy::tests_outside_test_module,
    missing_docs,
    reason = "a test may fail where it stands"
)]

use greenroom_domain::{Calibration, CharacterCalibration, Cosine, Digest, ReferenceQuality, Scoring};
use greenroom_identity::{
    CalibrateInput, CalibrationError, CalibrationFault, Embedding, ImpostorFace, Impostors, Profile, calibrate,
    uncalibrated,
};

const LENGTH: usize = 24;

/// Numbers around 0, the same every time.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        next() + next() + next() + next() - 2.0
    }
}

/// A face near the first axis; 0 is exactly there, 3 is anywhere.
fn near_the_axis(seed: u64, far: f32) -> Embedding {
    let mut next = noise(seed);
    Embedding::try_new((0..LENGTH).map(|i| if i == 0 { 1.0 } else { 0.0 } + far * next()).collect()).unwrap()
}

fn anybody(seed: u64) -> Embedding {
    let mut next = noise(seed + 1_000_000);
    Embedding::try_new((0..LENGTH).map(|_| next()).collect()).unwrap()
}

fn profile(name: &str, faces: Vec<Embedding>, embedder: &[u8]) -> Profile {
    let of = |(i, face)| {
        let yaw = i as f32 / 10.0 - 0.2;
        (
            face,
            ReferenceQuality { detection: 0.9, face_size: 100.0, yaw, sharpness: 200.0, weight: 0.5, agreement: None },
        )
    };
    let faces = faces.into_iter().enumerate().map(of).collect();
    Profile::build(name, "test 1", Digest::of(embedder), faces).unwrap().0
}

fn mara(references: u64) -> Profile {
    profile("MARA", (0..references).map(|i| near_the_axis(i, 0.08)).collect(), b"e")
}

fn strangers(from: u64, count: u64) -> Impostors {
    let face = |i| ImpostorFace { embedding: anybody(i), yaw: 0.0, detection: 0.9 };
    Impostors { embedder: Digest::of(b"e"), faces: (from..from + count).map(face).collect() }
}

fn measured(
    profile: &Profile,
    others: &[Profile],
    strangers: &Impostors,
) -> Result<CharacterCalibration, CalibrationError> {
    let anchors = vec![(0.0, 0.0), (0.4, 0.5), (0.6, 0.75), (0.8, 0.85), (1.0, 1.0)];
    let fallback = Calibration { name: "test-1".into(), anchors };
    let (digest, scoring) = (Digest::of(b"p"), Scoring::default());
    let input = CalibrateInput { profile, digest, others, strangers, fallback: &fallback, scoring: &scoring };
    let made = calibrate(&input);
    if let Err(why) = &made {
        assert_eq!(uncalibrated(&input, why).curve, fallback, "then the pack's curve stands");
    }
    made
}

#[test]
fn strangers_who_were_not_measured_pass_the_gate_one_in_a_thousand_times() {
    let mara = mara(5);
    let curve = measured(&mara, &[], &strangers(0, 1000)).unwrap().curve;
    let others = strangers(50_000, 20_000).faces;
    let share = |idr: f32| {
        let pass = others.iter().filter(|f| curve.idr(mara.cosine(&f.embedding, f.yaw)).0 >= idr).count();
        pass as f32 / others.len() as f32
    };
    assert!((0.0003..0.0025).contains(&share(0.75)), "{}", share(0.75));
    assert!((0.006..0.015).contains(&share(0.5)), "{}", share(0.5));
}

#[test]
fn the_curve_rises_from_strangers_to_the_person_itself() {
    let made = measured(&mara(8), &[], &strangers(0, 1000)).unwrap();
    let anchors = &made.curve.anchors;
    assert!(anchors.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1), "{anchors:?}");
    let idrs: Vec<f32> = anchors.iter().map(|a| a.1).collect();
    assert_eq!(idrs, [0.0, 0.5, 0.75, 0.85, 1.0]);
    assert_eq!((made.genuine.total(), made.impostors.total(), made.others), (8, 1000, 0));
    assert_eq!(made.title(2), "MARA calibration 2 (test 1)");
}

#[test]
fn few_references_are_drawn_towards_the_default_and_many_are_not() {
    let excellent = |references| measured(&mara(references), &[], &strangers(0, 1000)).unwrap().curve.anchors[3].0;
    let (few, many) = (excellent(5), excellent(60));
    assert!(few > 0.80 && few < many, "{few} {many}: the references are far more alike than the default's 0.80");
}

#[test]
fn a_look_alike_in_the_cast_moves_the_gate_up() {
    let alike = profile("TWIN", (100..115).map(|i| near_the_axis(i, 0.25)).collect(), b"e");
    let gate = |others: &[Profile]| measured(&mara(5), others, &strangers(0, 1000)).unwrap().curve.lowest_cosine(0.75);
    assert!(gate(std::slice::from_ref(&alike)) > gate(&[]) + 0.05);
    let of_another_embedder = Profile { embedder: Digest::of(b"old"), ..alike };
    assert!((gate(&[of_another_embedder]) - gate(&[])).abs() < 1e-6);
}

#[test]
fn references_of_several_people_do_not_lower_the_gate() {
    let several = profile("MIXED", (0..5).map(|i| near_the_axis(i * 31, 1.2)).collect(), b"e");
    let made = measured(&several, &[], &strangers(0, 1000)).unwrap();
    let stranger = strangers(0, 1000)
        .faces
        .iter()
        .filter(|f| made.curve.idr(Cosine(several.cosine(&f.embedding, 0.0).0)).0 >= 0.75)
        .count();
    assert!(stranger <= 3, "{stranger} of a thousand");
}

#[test]
fn who_gets_no_curve_is_told_why() {
    let why = |profile: &Profile, strangers: &Impostors| measured(profile, &[], strangers).unwrap_err().fault;
    assert_eq!(why(&mara(4), &strangers(0, 1000)), CalibrationFault::FewReferences(4));
    assert_eq!(why(&mara(5), &strangers(0, 499)), CalibrationFault::FewImpostors(499));
    let old = profile("MARA", (0..5).map(|i| near_the_axis(i, 0.1)).collect(), b"old");
    assert!(matches!(why(&old, &strangers(0, 1000)), CalibrationFault::Embedder { .. }));
    let face = ImpostorFace { embedding: near_the_axis(0, 0.08), yaw: 0.0, detection: 0.9 };
    let mut twins = strangers(0, 1000);
    twins.faces[..60].fill(face);
    assert!(matches!(why(&mara(5), &twins), CalibrationFault::NotSeparable(reached) if reached > 0.98));
}
