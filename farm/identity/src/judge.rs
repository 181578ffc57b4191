//! From the faces of a take's sampled frames to a verdict. Pure.
//!
//! # The rule
//!
//! *In a frame.* Only faces with an embedding are scored; one that is too small for the embedder is shown and counts for
//! nothing. Faces go to the cast one to one with the greatest total of cosines above the floor. The floor is the cosine that
//! reads IDR [`STRANGER_BELOW`] (or the gate, if that is lower): a face below it to everybody is a stranger's.
//!
//! *Stand-ins.* An expected character without a face of its own in a frame takes, of the faces that no other expected
//! character has, the one most like it: a stranger's, or that of a cast member whom nobody expected. Its IDR counts for the
//! character in that frame. So a face that drifted until it is nobody's weighs against the take instead of passing for an
//! absent one, and a stranger in frame is never better than an empty one. The price: an extra seen while the character is
//! out of frame counts against the take too.
//!
//! *Over the take*, for each expected character, the first of these that holds is the reason against it:
//! 1. seen (stand-ins included) in less than [`MIN_COVERAGE`] of the sampled frames: `FaceMissing`;
//! 2. in half or more of those frames the face is another cast member's: `WrongCharacter`;
//! 3. the 10th percentile of its IDR (nearest rank) is below the gate: `IdentityBelowGate`;
//! 4. in more than [`TOLERATED_SHARE`] of those frames the face is another cast member's, however alike: `WrongCharacter`;
//! 5. its own face, without stand-ins, is in less than [`MIN_COVERAGE`] of the sampled frames: `FaceMissing`.
//!
//! No reason: accept. Only missing faces: unscored. Anything else: reject. Frames without a face enter no percentile or mean,
//! they only lower the coverage, so adding them never raises a score. Where nobody is expected, whatever is seen is accepted.
//! A character without a profile, or with one of another embedder than the faces', cannot be recognised and counts as missing.

use greenroom_domain::{Box2, Calibration, Cosine, Decision, FaceScore, FrameScore, ModelsUsed, Reason, Verdict};

use crate::{
    Embedding, Profile,
    assign::assign,
    score::{History, Sighting},
};

/// A face whose IDR is lower is nobody's: one stranger in a hundred is as alike as this (the curve's anchor for 1 % false
/// accepts).
pub const STRANGER_BELOW: f32 = 0.5;

/// An expected face must be in at least this share of the sampled frames. A character may turn away or enter late, but a score
/// of the smaller part of a take says nothing of the rest.
pub const MIN_COVERAGE: f32 = 0.5;

/// The share of frames that may be off, as a 10th percentile lets one in ten be.
pub const TOLERATED_SHARE: f32 = 0.1;

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
    /// Everybody who could be in the picture, by name.
    pub cast: &'a [(String, Profile)],
    /// Whose face must be found.
    pub expected: &'a [String],
    /// The p10 IDR that an expected character needs, 0 to 1.
    pub gate: f32,
    /// Reads cosines as IDR.
    pub calibration: &'a Calibration,
    /// What found and embedded the faces.
    pub models: ModelsUsed,
}

/// Says accept, reject or unscored, by the rule of [this module](self).
#[must_use]
pub fn judge(input: &JudgeInput<'_>) -> Verdict {
    let court = Court::new(input);
    let mut histories: Vec<History> = input.cast.iter().map(|_| History::default()).collect();
    let frames = input.frames.iter().map(|(frame, faces)| court.frame(*frame, faces, &mut histories)).collect();
    let (mut characters, mut reasons) = (Vec::new(), Vec::new());
    for (member, (name, _)) in input.cast.iter().enumerate() {
        let (expected, history) = (court.expected.contains(&member), &histories[member]);
        if expected || !history.is_empty() {
            characters.push(history.score(name, expected, input.frames.len()));
        }
        if expected {
            reasons.extend(court.reason(member, history));
        }
    }
    for name in court.unknown() {
        characters.push(History::default().score(name, true, input.frames.len()));
        reasons.push(Reason::FaceMissing { character: name.clone(), coverage: 0.0 });
    }
    let decision = if reasons.is_empty() {
        Decision::Accept
    } else if reasons.iter().all(|r| matches!(r, Reason::FaceMissing { .. })) {
        Decision::Unscored { reasons }
    } else {
        Decision::Reject { reasons }
    };
    Verdict { decision, characters, frames, models: input.models.clone() }
}

struct Court<'a> {
    input: &'a JudgeInput<'a>,
    /// Indices in the cast.
    expected: Vec<usize>,
    /// The lowest cosine that is not a stranger's.
    floor: f32,
}

/// A face with its cosine to every member of the cast.
struct Candidate<'a> {
    face: &'a SeenFace,
    cosines: Vec<Option<Cosine>>,
}

impl<'a> Court<'a> {
    fn new(input: &'a JudgeInput<'a>) -> Self {
        let expected = (0..input.cast.len()).filter(|&m| input.expected.contains(&input.cast[m].0)).collect();
        let floor = lowest_cosine(input.calibration, STRANGER_BELOW.min(input.gate));
        Self { input, expected, floor }
    }

    /// Expected names that are not in the cast, each once.
    fn unknown(&self) -> Vec<&'a String> {
        let mut names: Vec<&String> = self.input.expected.iter().collect();
        names.retain(|name| !self.input.cast.iter().any(|(member, _)| member == *name));
        names.sort();
        names.dedup();
        names
    }

    /// Assigns one frame's faces, adds what was seen to the histories, and tells it face by face.
    fn frame(&self, frame: u64, faces: &'a [SeenFace], histories: &mut [History]) -> FrameScore {
        let mut candidates: Vec<Candidate<'_>> = faces.iter().map(|face| self.candidate(face)).collect();
        candidates.sort_by(|a, b| b.face.detection.total_cmp(&a.face.detection));
        let owners = self.owners(&candidates);
        let mut see = |member: usize, face: usize| {
            if let Some(cosine) = candidates[face].cosines[member] {
                let idr = self.input.calibration.idr(cosine);
                histories[member].add(Sighting { frame, cosine, idr, whose: owners[face] });
            }
        };
        for (face, owner) in owners.iter().enumerate() {
            if let Some(member) = *owner {
                see(member, face);
            }
        }
        for (member, face) in self.stand_ins(&candidates, &owners) {
            see(member, face);
        }
        let faces = candidates.iter().zip(&owners).map(|(candidate, owner)| self.face(candidate, *owner)).collect();
        FrameScore { frame, faces }
    }

    fn candidate(&self, face: &'a SeenFace) -> Candidate<'a> {
        let comparable = |profile: &Profile| profile.embedder == self.input.models.embedder;
        let cosine = |profile: &Profile| {
            let embedding = face.embedding.as_ref().filter(|_| comparable(profile))?;
            Some(profile.cosine(embedding, face.yaw))
        };
        Candidate { face, cosines: self.input.cast.iter().map(|(_, profile)| cosine(profile)).collect() }
    }

    /// Whose each face is.
    fn owners(&self, candidates: &[Candidate<'_>]) -> Vec<Option<usize>> {
        let above_floor = |cosine: &Option<Cosine>| cosine.map(|c| c.0 - self.floor).filter(|gain| *gain >= 0.0);
        let gains: Vec<Vec<_>> = candidates.iter().map(|c| c.cosines.iter().map(above_floor).collect()).collect();
        assign(&gains)
    }

    /// (member, face) for expected members without a face of their own.
    fn stand_ins(&self, candidates: &[Candidate<'_>], owners: &[Option<usize>]) -> Vec<(usize, usize)> {
        let absent: Vec<usize> = self.expected.iter().copied().filter(|m| !owners.contains(&Some(*m))).collect();
        let free = |face: usize| owners[face].is_none_or(|owner| !self.expected.contains(&owner));
        // From 0 to 2, so that every possible pair is worth having.
        let gain =
            |member: usize, face: usize| candidates[face].cosines[member].filter(|_| free(face)).map(|c| c.0 + 1.0);
        let gains: Vec<Vec<_>> =
            absent.iter().map(|&member| (0..candidates.len()).map(|face| gain(member, face)).collect()).collect();
        absent.iter().zip(assign(&gains)).filter_map(|(&member, face)| Some((member, face?))).collect()
    }

    fn face(&self, candidate: &Candidate<'_>, owner: Option<usize>) -> FaceScore {
        let nearest = || candidate.cosines.iter().copied().flatten().max_by(|a, b| a.0.total_cmp(&b.0));
        let cosine = owner.map_or_else(nearest, |member| candidate.cosines[member]);
        FaceScore {
            bbox: candidate.face.bbox,
            detection: candidate.face.detection,
            character: owner.map(|member| self.input.cast[member].0.clone()),
            cosine,
            idr: cosine.map(|c| self.input.calibration.idr(c)),
        }
    }

    /// What speaks against an expected member, if anything.
    fn reason(&self, member: usize, history: &History) -> Option<Reason> {
        let (frames, character) = (self.input.frames.len(), self.input.cast[member].0.clone());
        let (coverage, own) = (history.coverage(frames), history.own_coverage(member, frames));
        let (impostor, share) = history.impostor(member).unwrap_or((member, 0.0));
        let wrong = |expected| Reason::WrongCharacter { expected, seen: self.input.cast[impostor].0.clone() };
        let (Some(p10), Some(worst)) = (history.p10(), history.worst()) else {
            return Some(Reason::FaceMissing { character, coverage: 0.0 });
        };
        let passes = p10.0 >= self.input.gate;
        if coverage < MIN_COVERAGE {
            Some(Reason::FaceMissing { character, coverage })
        } else if share >= 0.5 {
            Some(wrong(character))
        } else if !passes {
            let (gate, worst_frame) = (self.input.gate, worst.frame);
            Some(Reason::IdentityBelowGate { character, p10, gate, worst_frame })
        } else if share > TOLERATED_SHARE {
            Some(wrong(character))
        } else if own < MIN_COVERAGE {
            Some(Reason::FaceMissing { character, coverage: own })
        } else {
            None
        }
    }
}

/// The lowest cosine that reads at least `idr`, to a millionth; above 1 where none does.
fn lowest_cosine(calibration: &Calibration, idr: f32) -> f32 {
    let (mut below, mut reads) = (-1.0, 1.000_001);
    if calibration.idr(Cosine(below)).0 >= idr {
        return below;
    }
    while reads - below > 1e-6 {
        let middle = (below + reads) / 2.0;
        if calibration.idr(Cosine(middle)).0 >= idr { reads = middle } else { below = middle }
    }
    reads
}
