//! From the faces of a take's sampled frames to a verdict. Pure.
//!
//! # The rule
//!
//! *Who is who.* Faces are followed from frame to frame, by what they look like and where they are, and never by place across
//! a cut; those that belong together are a *person*. Persons go to the cast one to one with the greatest total of cosines
//! above the member's floor, over all their frames; a person who was lost sight of and is never seen beside itself goes to the same
//! member. A member's floor is the cosine that reads IDR [`STRANGER_BELOW`] (or the gate, if that is lower) by its own curve,
//! or by the pack's where it has none: a person whose mean is below it to everybody is a stranger. A single face of a stranger that is above the floor to a member who has none in its
//! frame still counts as that member's. So a member has one face in a frame at most.
//!
//! *What is scored.* A face that is large enough for the embedder, compared with the references that show the character so:
//! a profile with profiles of its side, a covered face with covered ones ([`Profile::compare`]). Where there is none, the face
//! is shown, followed, and says nothing: it enters no mean and no coverage.
//!
//! *Stand-ins.* An expected character without a face of its own in a frame takes, of the faces that no other expected
//! character has, the one most like it: a stranger's, or that of a cast member whom nobody expected. Its IDR counts for the
//! character in that frame. So a face that drifted until it is nobody's weighs against the take instead of passing for an
//! absent one, and a stranger in frame is never better than an empty one. Nobody stands in for a character beside whom it was
//! seen in [`BESIDE`] frames or more: two who were there together are two.
//!
//! *Over the take*, for each expected character, the first of these that holds is the reason against it:
//! 1. scored (stand-ins included) in less of the sampled frames than the pack's coverage says: `NoLikeReference`, if with the
//!    faces of it that could not be compared it would be enough, else `FaceMissing`;
//! 2. in half or more of those frames the face is another cast member's: `WrongCharacter`;
//! 3. the 10th percentile of its IDR (nearest rank) is below the gate: `IdentityBelowGate`;
//! 4. in more than [`TOLERATED_SHARE`] of those frames the face is another cast member's, however alike: `WrongCharacter`;
//! 5. its own face, without stand-ins, is in less of the sampled frames than the coverage: as 1.
//!
//! And, whichever of these holds: a person who is nobody's, whose mean is above the floor to the character and to nobody more,
//! and who was seen beside it, is a `SecondFace`.
//!
//! No reason: accept. Only missing or incomparable faces: unscored. Anything else: reject. Frames without a face enter no percentile or mean,
//! they only lower the coverage, so adding them never raises a score. Where nobody is expected, whatever is seen is accepted.
//! A character without a profile, or with one of another embedder than the faces', cannot be recognised and counts as missing.

use greenroom_domain::{Box2, Calibration, CharacterScore, Decision, Fps, ModelsUsed, Reason, Scoring, Verdict};
use std::collections::BTreeMap;

use crate::{
    Embedding, Profile,
    court::{Court, Hearing},
    score::History,
};

/// A face whose IDR is lower is nobody's: one stranger in a hundred is as alike as this (the curve's anchor for 1 % false
/// accepts).
pub const STRANGER_BELOW: f32 = 0.5;

/// The share of frames that may be off, as a 10th percentile lets one in ten be.
pub const TOLERATED_SHARE: f32 = 0.1;

/// In so many frames together, two persons are two: one frame may be a detector's mistake.
pub const BESIDE: usize = 2;

/// One face in one sampled frame.
#[derive(Clone, Debug)]
pub struct SeenFace {
    /// The frame's number in the take.
    pub frame: u64,
    /// Where, in pixels of the frame.
    pub bbox: Box2,
    /// The detector's score, 0 to 1.
    pub detection: f32,
    /// Head turn, −1 to 1.
    pub yaw: f32,
    /// None: too small to score.
    pub embedding: Option<Embedding>,
}

/// Everything that a verdict depends on.
#[derive(Clone, Debug)]
pub struct JudgeInput<'a> {
    /// Every sampled frame's number and faces; frames without a face too.
    pub frames: &'a [(u64, Vec<SeenFace>)],
    /// Numbers of the sampled frames that are the first after a cut.
    pub cuts: &'a [u64],
    /// Frames per second of the take.
    pub fps: Fps,
    /// Everybody who could be in the picture, by name.
    pub cast: &'a [(String, Profile)],
    /// Whose face must be found.
    pub expected: &'a [String],
    /// The p10 IDR that an expected character needs, 0 to 1.
    pub gate: f32,
    /// Reads cosines as IDR: the pack's curve.
    pub calibration: &'a Calibration,
    /// By name the curves of those of the cast who have one of their own.
    pub curves: &'a BTreeMap<String, Calibration>,
    /// Which faces count, and in how many frames.
    pub scoring: &'a Scoring,
    /// What found and embedded the faces.
    pub models: ModelsUsed,
}

/// Says accept, reject or unscored, by the rule of [this module](self).
#[must_use]
pub fn judge(input: &JudgeInput<'_>) -> Verdict {
    let Hearing { histories, frames, strangers, second_faces, incomparable } = Court::new(input).hear();
    let (mut characters, mut reasons) = (Vec::new(), Vec::new());
    let mut score = |history: &History, name: &str, expected| {
        let own = input.curves.get(name);
        let curve = &own.unwrap_or(input.calibration).name;
        let score = history.score(name, expected, input.frames.len(), input.fps);
        characters.push(CharacterScore { calibrated: own.is_some(), calibration: Some(curve.clone()), ..score });
    };
    for (member, (name, _)) in input.cast.iter().enumerate() {
        let (expected, history) = (input.expected.contains(name), &histories[member]);
        if expected || !history.is_empty() {
            score(history, name, expected);
        }
        if expected {
            reasons.extend(reason(input, member, history, incomparable[member]));
        }
    }
    for name in unknown(input) {
        score(&History::default(), name, true);
        reasons.push(Reason::FaceMissing { character: name.clone(), coverage: 0.0 });
    }
    let second = |(member, frame): (usize, u64)| Reason::SecondFace { character: input.cast[member].0.clone(), frame };
    reasons.extend(second_faces.into_iter().map(second));
    let decision = decide(reasons);
    Verdict { decision, characters, frames, strangers, models: input.models.clone(), looks: Box::default() }
}

fn decide(reasons: Vec<Reason>) -> Decision {
    let says_nothing = |r: &Reason| matches!(r, Reason::FaceMissing { .. } | Reason::NoLikeReference { .. });
    if reasons.is_empty() {
        Decision::Accept
    } else if reasons.iter().all(says_nothing) {
        Decision::Unscored { reasons }
    } else {
        Decision::Reject { reasons }
    }
}

/// Expected names that are not in the cast, each once.
fn unknown<'a>(input: &'a JudgeInput<'_>) -> Vec<&'a String> {
    let mut names: Vec<&String> = input.expected.iter().collect();
    names.retain(|name| !input.cast.iter().any(|(member, _)| member == *name));
    names.sort();
    names.dedup();
    names
}

/// What speaks against an expected member, if anything. `incomparable` counts the frames in which its face, or one that could
/// be its, was seen as no reference shows it.
fn reason(input: &JudgeInput<'_>, member: usize, history: &History, incomparable: usize) -> Option<Reason> {
    let (frames, needed, character) = (input.frames.len(), input.scoring.coverage, input.cast[member].0.clone());
    let (coverage, own) = (history.coverage(frames), history.own_coverage(member, frames));
    let missing = |character, found: f32| {
        let share = incomparable as f32 / frames.max(1) as f32;
        if incomparable > 0 && found + share >= needed {
            Reason::NoLikeReference { character, share }
        } else {
            Reason::FaceMissing { character, coverage: found }
        }
    };
    let (impostor, share) = history.impostor(member).unwrap_or((member, 0.0));
    let wrong = |expected| Reason::WrongCharacter { expected, seen: input.cast[impostor].0.clone() };
    let (Some(p10), Some(worst)) = (history.p10(), history.worst()) else {
        return Some(missing(character, 0.0));
    };
    let passes = p10.0 >= input.gate;
    if coverage < needed {
        Some(missing(character, coverage))
    } else if share >= 0.5 {
        Some(wrong(character))
    } else if !passes {
        Some(Reason::IdentityBelowGate { character, p10, gate: input.gate, worst_frame: worst.frame })
    } else if share > TOLERATED_SHARE {
        Some(wrong(character))
    } else if own < needed {
        Some(missing(character, own))
    } else {
        None
    }
}
