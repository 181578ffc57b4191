//! Accept, reject with reasons, or unscored: never a bare number, and no number without the models that made it.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::{Band, Cosine, Digest, Idr, Looks};

/// What the gate says of one take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What follows.
    pub decision: Decision,
    /// One per character of the cast that was expected or seen.
    pub characters: Vec<CharacterScore>,
    /// Every sampled frame.
    pub frames: Vec<FrameScore>,
    /// Everybody who was seen and is nobody of the cast.
    #[serde(default)]
    pub strangers: Vec<Stranger>,
    /// What made the numbers.
    pub models: ModelsUsed,
    /// What else was seen; none of it decides.
    #[serde(default, skip_serializing_if = "Looks::is_empty")]
    pub looks: Box<Looks>,
}

/// Accept, or why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Every expected character is there and is itself.
    Accept,
    /// Somebody was seen who is not who they should be.
    Reject {
        /// At least one.
        reasons: Vec<Reason>,
    },
    /// An expected face was not found, so there is nothing to score. Treated like a reject, never a pass.
    Unscored {
        /// At least one.
        reasons: Vec<Reason>,
    },
}

impl fmt::Display for Verdict {
    /// One sentence: `accepted: MARA p10 IDR 0.83`, `rejected: …`, `unscored: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match &self.decision {
            Decision::Accept => "accepted",
            Decision::Reject { .. } => "rejected",
            Decision::Unscored { .. } => "unscored",
        };
        if !self.decision.is_accept() {
            return write!(f, "{word}: {}", self.decision.why());
        }
        let scores = self.characters.iter().filter(|c| c.expected).filter_map(|c| Some((&c.character, c.p10?.0)));
        let scores: Vec<_> = scores.map(|(name, p10)| format!("{name} p10 IDR {p10:.2}")).collect();
        let scores = if scores.is_empty() { "no face expected".to_owned() } else { scores.join(", ") };
        write!(f, "{word}: {scores}")
    }
}

impl Decision {
    /// Whether what waits on the take may go on.
    #[must_use]
    pub const fn is_accept(&self) -> bool {
        matches!(self, Self::Accept)
    }

    /// Why not; empty for accept.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Accept => &[],
            Self::Reject { reasons } | Self::Unscored { reasons } => reasons,
        }
    }

    /// The reasons in words, one after another; empty for accept.
    #[must_use]
    pub fn why(&self) -> String {
        self.reasons().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// One reason against a take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The face is there, but not alike enough.
    IdentityBelowGate {
        /// Who was expected.
        character: String,
        /// 10th percentile over the sampled frames with this face.
        p10: Idr,
        /// What was needed.
        gate: f32,
        /// Number of the worst frame.
        worst_frame: u64,
    },
    /// The face was found in too few of the sampled frames, or in none.
    FaceMissing {
        /// Who was expected.
        character: String,
        /// Share of sampled frames with the face, 0 to 1.
        coverage: f32,
    },
    /// Another member of the cast is in this character's place.
    WrongCharacter {
        /// Who was expected.
        expected: String,
        /// Who was seen.
        seen: String,
    },
    /// Beside the character somebody else looks like it.
    SecondFace {
        /// Who is doubled.
        character: String,
        /// The frame in which the second face is most alike.
        frame: u64,
    },
    /// The character was seen, but too often from a side, or so covered, that no reference shows.
    NoLikeReference {
        /// Who was expected.
        character: String,
        /// Share of sampled frames with such a face, 0 to 1.
        share: f32,
    },
    /// The face is one of the references, pasted or reproduced, and no performance.
    CopyOfReference {
        /// Who.
        character: String,
        /// Which of the references, from 1.
        reference: u32,
        /// The frame that is most like it.
        frame: u64,
    },
    /// The face never changes: a still that passes for a take.
    Frozen {
        /// Whose.
        character: String,
        /// First sampled frame with the face.
        first: u64,
        /// Last one.
        last: u64,
    },
    /// The face is where no head belongs.
    Misplaced {
        /// Whose.
        character: String,
        /// The frame in which that is plainest.
        frame: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdentityBelowGate { character, p10, gate, worst_frame } => {
                write!(
                    f,
                    "{character}: p10 IDR {:.2} is below the gate {gate:.2} (worst at frame {worst_frame})",
                    p10.0
                )
            }
            Self::FaceMissing { character, coverage } if *coverage == 0.0 => {
                write!(f, "{character}: no face found in any sampled frame")
            }
            Self::FaceMissing { character, coverage } => {
                write!(f, "{character}: face found in only {:.0} % of the sampled frames", coverage * 100.0)
            }
            Self::WrongCharacter { expected, seen } => write!(f, "{expected} was expected, {seen} is seen"),
            Self::SecondFace { character, frame } => write!(f, "a second face like {character} in frame {frame}"),
            Self::NoLikeReference { character, share } => write!(
                f,
                "{character}: in {:.0} % of the sampled frames the face is seen as no reference shows it \
                 (in profile or covered); add a reference that does",
                share * 100.0
            ),
            Self::CopyOfReference { character, reference, frame } => {
                write!(f, "{character}: the face is a copy of reference {reference} (plainest in frame {frame})")
            }
            Self::Frozen { character, first, last } => {
                write!(f, "{character}: the face never changes from frame {first} to {last}")
            }
            Self::Misplaced { character, frame } => {
                write!(f, "{character}: the face is not where a head belongs (plainest in frame {frame})")
            }
        }
    }
}

/// One character over the whole take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CharacterScore {
    /// Who.
    pub character: String,
    /// Whether the shot says this face must be there.
    pub expected: bool,
    /// Share of sampled frames in which the face was scored, 0 to 1.
    pub coverage: f32,
    /// Mean IDR over frames with the face; none where there is none.
    pub mean: Option<Idr>,
    /// 10th percentile of IDR.
    pub p10: Option<Idr>,
    /// Lowest IDR.
    pub min: Option<Idr>,
    /// How IDR changes over the take, per second (least squares); none for less than two scored frames.
    #[serde(default)]
    pub slope: Option<f32>,
    /// Mean raw cosine.
    pub cosine: Option<Cosine>,
    /// Frame with the lowest IDR.
    pub worst_frame: Option<u64>,
    /// Whether the curve is the character's own (false: the pack's default).
    pub calibrated: bool,
    /// Which curve: `MARA calibration 2 (puppet 4)`, or the name of the pack's. Verdicts of before used the pack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
}

/// One sampled frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameScore {
    /// Number in the take, from 0.
    pub frame: u64,
    /// Every face that was found, best detection first.
    pub faces: Vec<FaceScore>,
}

/// One face in one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceScore {
    /// Where.
    pub bbox: Box2,
    /// The detector's score, 0 to 1.
    pub detection: f32,
    /// Head turn, −1 to 1.
    #[serde(default)]
    pub yaw: f32,
    /// Which person of the take: faces that were followed from frame to frame share a number.
    #[serde(default)]
    pub person: u32,
    /// Whom it was assigned to; none is a stranger or too small to score.
    pub character: Option<String>,
    /// The expected character in whose place it is seen, where it is not that character's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
    /// Why it has no score, where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscored: Option<Unscored>,
    /// Raw cosine to that character's profile (to the nearest of the cast for a stranger).
    pub cosine: Option<Cosine>,
    /// The same, calibrated.
    pub idr: Option<Idr>,
    /// The same in a word; verdicts of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
}

/// Why a face has no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unscored {
    /// Smaller than the embedder can use.
    TooSmall,
    /// No reference shows the character from this side.
    Turned,
    /// The detector is too little sure of it, and no reference is like that.
    Covered,
    /// Nobody of the cast has a profile of this embedder.
    NoProfile,
}

/// Somebody who is nobody of the cast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stranger {
    /// As in [`FaceScore::person`].
    pub person: u32,
    /// Number of the first frame with the face.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// Sampled frames with the face.
    pub frames: u32,
    /// Who of the cast is most like it, and the mean raw cosine; none where it could not be scored.
    pub nearest: Option<(String, Cosine)>,
}

/// A box in pixels, origin at the top left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Box2 {
    /// Left.
    pub x0: f32,
    /// Top.
    pub y0: f32,
    /// Right.
    pub x1: f32,
    /// Bottom.
    pub y1: f32,
}

/// What made a verdict's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsUsed {
    /// Pack name and version, `puppet 1`.
    pub pack: String,
    /// The detector file.
    pub detector: Digest,
    /// The embedder file.
    pub embedder: Digest,
    /// Name of the pack's curve, for characters without one of their own.
    pub calibration: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(decision: Decision, p10: Option<f32>) -> Verdict {
        let score = |p10| CharacterScore {
            character: "MARA".into(),
            expected: true,
            coverage: 1.0,
            mean: None,
            p10: Some(Idr(p10)),
            min: None,
            slope: None,
            cosine: None,
            worst_frame: None,
            calibrated: false,
            calibration: None,
        };
        let digest = Digest::of(b"model");
        let models =
            ModelsUsed { pack: "test 1".into(), detector: digest, embedder: digest, calibration: "test".into() };
        Verdict {
            decision,
            characters: p10.map(score).into_iter().collect(),
            frames: vec![],
            strangers: vec![],
            models,
            looks: Box::default(),
        }
    }

    #[test]
    fn a_verdict_is_one_sentence() {
        let missing = |name: &str, coverage| Reason::FaceMissing { character: name.into(), coverage };
        let says = |decision, p10| verdict(decision, p10).to_string();
        assert_eq!(says(Decision::Accept, Some(0.834)), "accepted: MARA p10 IDR 0.83");
        assert_eq!(says(Decision::Accept, None), "accepted: no face expected");
        let unscored = Decision::Unscored { reasons: vec![missing("MARA", 0.0), missing("TOBIN", 0.25)] };
        let expected = "unscored: MARA: no face found in any sampled frame; \
                        TOBIN: face found in only 25 % of the sampled frames";
        assert_eq!(says(unscored, None), expected);
        let wrong = Reason::WrongCharacter { expected: "MARA".into(), seen: "TOBIN".into() };
        assert_eq!(
            says(Decision::Reject { reasons: vec![wrong] }, Some(0.9)),
            "rejected: MARA was expected, TOBIN is seen"
        );
        let twice = Reason::SecondFace { character: "MARA".into(), frame: 31 };
        assert_eq!(
            says(Decision::Reject { reasons: vec![twice] }, Some(0.9)),
            "rejected: a second face like MARA in frame 31"
        );
        let pasted = Reason::CopyOfReference { character: "MARA".into(), reference: 2, frame: 6 };
        assert_eq!(pasted.to_string(), "MARA: the face is a copy of reference 2 (plainest in frame 6)");
    }
}
