//! A rejected take's faces made anew: how a pack does it, and what a repair task is given.

use serde::{Deserialize, Serialize};

use crate::{Box2, Digest, FrameScore, IdentityPrompt, Keyframing, Prompt, Reason, Seed, ShotKey, Verdict};

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
    /// How much a take's p10 IDR changes by its seed alone (standard deviation over seeds of one prompt). A repair that
    /// stays below the gate counts only if it raised p10 by more than twice this.
    pub seed_noise: f32,
}

impl Default for RepairDefaults {
    /// What is known of large models: a repair at full resolution raises the cosine by 0.09, seeds alone by 0.044.
    fn default() -> Self {
        Self { crop: 2.0, strength: 0.6, identity_scale: 1.4, seed_noise: 0.044 }
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
    /// All noise derives from this.
    pub seed: Seed,
    /// Where that take's keyframes lie: faces are made anew there, and moved in between.
    pub keyframes: Keyframing,
    /// See [`RepairDefaults::crop`].
    pub crop: f32,
    /// See [`RepairDefaults::strength`].
    pub strength: f32,
    /// Sampler steps of a picture from noise.
    pub steps: u32,
    /// Classifier-free guidance scale.
    pub guidance: f32,
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
    /// Where the verdict saw the face, by frame, rising. Faces of other frames are found near these.
    pub seen: Vec<FaceAt>,
}

/// A face in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceAt {
    /// Number of the frame in the take, from 0.
    pub frame: u64,
    /// Where, pixels.
    pub bbox: Box2,
}

impl Verdict {
    /// Whose faces would have to be others for the take to pass, and where they were seen. Empty where that would not do:
    /// nothing is wrong with a face, or something else is too (a face is missing, or there is one too many).
    #[must_use]
    pub fn wrong_faces(&self) -> Vec<(&str, Vec<FaceAt>)> {
        let wrong = self.decision.reasons().iter().map(|reason| match reason {
            Reason::IdentityBelowGate { character, .. } | Reason::WrongCharacter { expected: character, .. } => {
                Some((character.as_str(), self.seen(character))).filter(|(_, seen)| !seen.is_empty())
            }
            Reason::FaceMissing { .. } | Reason::SecondFace { .. } | Reason::NoLikeReference { .. } => None,
        });
        wrong.collect::<Option<_>>().unwrap_or_default()
    }

    /// Where a character was seen, or somebody in its place.
    fn seen(&self, character: &str) -> Vec<FaceAt> {
        let at = |frame: &FrameScore| {
            let is = |name: &Option<String>| name.as_deref() == Some(character);
            let face = frame.faces.iter().find(|face| is(&face.character) || is(&face.stands_for))?;
            Some(FaceAt { frame: frame.frame, bbox: face.bbox })
        };
        self.frames.iter().filter_map(at).collect()
    }
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
