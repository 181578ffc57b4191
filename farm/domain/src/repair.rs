//! A rejected take's faces made anew: how a pack does it, and what a repair task is given.

use serde::{Deserialize, Serialize};

use crate::{
    Box2, Digest, FaceScore, FrameScore, IdentityPrompt, Keyframing, LoraPrompt, Prompt, Reason, Seed, ShotKey, Verdict,
};

/// How faces are made anew with a pack; what is left out is the default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepairDefaults {
    /// Side of the square that is cut around a face, in longer sides of its box, 1.6 to 2.2: nearer, and the model sees
    /// too little of the head to go on from; wider, and the face is hardly larger than it was.
    pub crop: f32,
    /// Share of the sampler's steps that the face runs again, above 0 to 1: little keeps the wrong face, much loses the
    /// pose and the light.
    pub strength: f32,
    /// Weight of the identity tokens, above that of a take.
    pub identity_scale: f32,
    /// From so many noises a face is made anew in one frame, 1 to 16; the one that comes nearest to the character's references
    /// makes the take.
    pub candidates: u32,
    /// How much a take's p10 IDR changes by its seed alone (standard deviation over seeds of one prompt). A repair that
    /// stays below the gate counts only if it raised p10 by more than twice this.
    pub seed_noise: f32,
}

impl Default for RepairDefaults {
    /// What is known of large models: a repair at full resolution raises the cosine by 0.09, seeds alone by 0.044.
    fn default() -> Self {
        Self { crop: 2.0, strength: 0.6, identity_scale: 1.4, candidates: 4, seed_noise: 0.044 }
    }
}

impl RepairDefaults {
    /// Whether nothing differs: what is left out of a file need not be written into it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        if !(1..=16).contains(&self.candidates) {
            return Some("diffusion.repair.candidates must be from 1 to 16".into());
        }
        let ranges = [
            ("crop", self.crop, 1.6..=2.2),
            ("strength", self.strength, f32::MIN_POSITIVE..=1.0),
            ("identity_scale", self.identity_scale, 0.0..=10.0),
            ("seed_noise", self.seed_noise, 0.0..=1.0),
        ];
        let (name, _, range) = ranges.into_iter().find(|(_, value, range)| !range.contains(value))?;
        let from = if *range.start() < 1e-6 && *range.start() > 0.0 {
            "above 0".to_owned()
        } else {
            format!("from {}", range.start())
        };
        Some(format!("diffusion.repair.{name} must be {from} to {}", range.end()))
    }
}

/// Repair: make the faces of a take anew and leave everything else as it is, to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepairSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// Which shot, for messages.
    pub shot: ShotKey,
    /// This take's number.
    pub take: u32,
    /// Number of the take that is repaired.
    pub of: u32,
    /// That take (Matroska).
    pub video: Digest,
    /// Whose faces, one after another.
    pub faces: Vec<FaceRepair>,
    /// Before them, figures that are painted away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<FigureRemoval>,
    /// All noise derives from this.
    pub seed: Seed,
    /// Where that take's keyframes lie: faces are made anew there, and moved in between.
    pub keyframes: Keyframing,
    /// See [`RepairDefaults::crop`].
    pub crop: f32,
    /// See [`RepairDefaults::strength`]. A figure is painted away from noise alone.
    pub strength: f32,
    /// See [`RepairDefaults::candidates`].
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub candidates: u32,
    /// Sampler steps of a picture from noise.
    pub steps: u32,
    /// Classifier-free guidance scale.
    pub guidance: f32,
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_one(count: &u32) -> bool {
    *count == 1
}

/// One character whose face is made anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceRepair {
    /// Name, for messages.
    pub character: String,
    /// The caption of a close picture of the character alone.
    pub prompt: Prompt,
    /// Whom to show, by a raised weight.
    pub identity: Option<IdentityPrompt>,
    /// The LoRA that it is made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraPrompt>,
    /// Where the verdict saw the face, by frame, rising. Faces of other frames are found near these.
    pub seen: Vec<FaceAt>,
}

/// Somebody who is one too many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FigureRemoval {
    /// Whose double it is, for messages.
    pub character: String,
    /// The caption of the place with nobody in it.
    pub prompt: Prompt,
    /// Where the verdict saw its face, by frame, rising.
    pub seen: Vec<FaceAt>,
    /// Where it saw the character itself, who stays.
    pub beside: Vec<FaceAt>,
}

/// A face in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceAt {
    /// Number of the frame in the take, from 0.
    pub frame: u64,
    /// Where, pixels.
    pub bbox: Box2,
}

/// What a repair would change in a take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mendable<'a> {
    /// Whose faces would have to be others, and where they were seen.
    pub faces: Vec<(&'a str, Vec<FaceAt>)>,
    /// Whose doubles would have to go, where they were seen, and where the character itself.
    pub figures: Vec<(&'a str, Vec<FaceAt>, Vec<FaceAt>)>,
}

impl Mendable<'_> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faces.is_empty() && self.figures.is_empty()
    }
}

impl Verdict {
    /// What would have to change for the take to pass. Empty where a repair would not do: nothing is wrong with a face, or
    /// something else is too (a face is missing, or cannot be compared).
    #[must_use]
    pub fn mendable(&self) -> Mendable<'_> {
        let mut found = Mendable::default();
        for reason in self.decision.reasons() {
            let known = match reason {
                Reason::IdentityBelowGate { character, .. } | Reason::WrongCharacter { expected: character, .. } => {
                    let seen = self.seen(|face| is(face, character));
                    let known = !seen.is_empty();
                    found.faces.push((character, seen));
                    known
                }
                Reason::SecondFace { character, frame } => {
                    let person = self.double_in(*frame);
                    let seen = self.seen(|face| Some(face.person) == person && face.character.is_none());
                    let known = person.is_some();
                    found.figures.push((character, seen, self.seen(|face| is(face, character))));
                    known
                }
                Reason::FaceMissing { .. } | Reason::NoLikeReference { .. } => false,
                // Of what was pasted, never moves or stands in the wrong place, more is wrong than the face.
                Reason::CopyOfReference { .. } | Reason::Frozen { .. } | Reason::Misplaced { .. } => false,
            };
            if !known {
                return Mendable::default();
            }
        }
        found
    }

    /// Of the faces of a frame that are nobody's, the person that looks most like somebody of the cast.
    fn double_in(&self, frame: u64) -> Option<u32> {
        let frame = self.frames.iter().find(|f| f.frame == frame)?;
        let nobodys = frame.faces.iter().filter(|face| face.character.is_none() && face.stands_for.is_none());
        let cosine = |face: &FaceScore| face.cosine.map_or(f32::MIN, |cosine| cosine.0);
        nobodys.max_by(|a, b| cosine(a).total_cmp(&cosine(b))).map(|face| face.person)
    }

    /// In which frames such a face was seen, and where.
    fn seen(&self, wanted: impl Fn(&FaceScore) -> bool) -> Vec<FaceAt> {
        let at = |frame: &FrameScore| {
            let face = frame.faces.iter().find(|face| wanted(face))?;
            Some(FaceAt { frame: frame.frame, bbox: face.bbox })
        };
        self.frames.iter().filter_map(at).collect()
    }
}

/// Whether a face is a character's, or in its place.
fn is(face: &FaceScore, character: &str) -> bool {
    [&face.character, &face.stands_for].into_iter().any(|name| name.as_deref() == Some(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_that_shows_too_little_is_named() {
        assert_eq!(RepairDefaults::default().fault(), None);
        let fault = |repair: RepairDefaults| repair.fault().unwrap_or_default();
        let crop = fault(RepairDefaults { crop: 1.0, ..RepairDefaults::default() });
        assert_eq!(crop, "diffusion.repair.crop must be from 1.6 to 2.2");
        let strength = fault(RepairDefaults { strength: 0.0, ..RepairDefaults::default() });
        assert_eq!(strength, "diffusion.repair.strength must be above 0 to 1");
        assert!(RepairDefaults { seed_noise: f32::NAN, ..RepairDefaults::default() }.fault().is_some());
    }
}
