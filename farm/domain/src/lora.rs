//! A character's LoRAs: what they were trained on and how, what proved them, and which one is in force.

use serde::{Deserialize, Serialize};

use crate::{Digest, Framing, JobId, Timestamp};

/// One trained LoRA of a character. Numbers grow by one and nothing is ever taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraVersion {
    /// 1, 2, 3 …
    pub number: u32,
    /// Of which revision of the character the references were.
    pub revision: u32,
    /// The pack whose models it was trained for.
    pub pack: Digest,
    /// The job that made it.
    pub job: JobId,
    /// Where it is from.
    #[serde(default)]
    pub made: LoraMade,
    /// The adapter (safetensors, kohya's names).
    pub lora: Digest,
    /// The [`LoraDataset`] (JSON).
    pub dataset: Digest,
    /// How it was trained; of one that was given, its rank and alpha alone.
    pub recipe: LoraRecipe,
    /// What it brings, on prompts and seeds that it was not trained on.
    pub proof: LoraProof,
    /// Pictures of it beside those without it (PNG).
    pub sheet: Digest,
    /// Whether it is in force.
    pub state: LoraState,
    /// When it was made.
    pub created: Timestamp,
}

/// Where a version is from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "made", rename_all = "snake_case")]
pub enum LoraMade {
    /// Trained here.
    #[default]
    Trained,
    /// An earlier version at a lower rank.
    Shrunk {
        /// Number of that version.
        of: u32,
    },
    /// Brought by somebody.
    Given {
        /// The file's name as it was given.
        name: String,
    },
}

/// How layers are named in a LoRA file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraNaming {
    /// `lora_unet_…`, as kohya's trainers; read nearly everywhere.
    #[default]
    Kohya,
    /// `unet.….lora_A.weight`, as peft and diffusers.
    Peft,
}

/// How numbers are stored in a LoRA file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraPrecision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision.
    F16,
    /// bfloat16.
    Bf16,
}

/// At most one version of a character is active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LoraState {
    /// The next takes are generated with it.
    Active {
        /// When it was put in force.
        since: Timestamp,
    },
    /// Kept, and can be put in force by hand.
    Retired {
        /// When it was taken out of force; of one that never was, when it was made.
        at: Timestamp,
        /// Why.
        reasons: Vec<String>,
    },
}

impl LoraState {
    /// Whether the next takes are generated with it.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Active { .. })
    }

    /// Why it is not in force; nothing where it is.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        match self {
            Self::Active { .. } => &[],
            Self::Retired { reasons, .. } => reasons,
        }
    }
}

/// How many pictures a LoRA needs and how hard it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraTier {
    /// From five references.
    Low,
    /// From ten.
    Standard,
    /// From twenty.
    High,
}

/// How a LoRA is trained. Ranges are checked with the pack that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraRecipe {
    /// Rank of the adapters, 1 to 256.
    pub rank: u32,
    /// Scale times rank: a file's weights act times `alpha / rank`.
    pub alpha: f32,
    /// Optimiser steps.
    pub steps: u32,
    /// Pictures a step.
    pub batch: u32,
    /// Side of a square picture, pixels; other shapes have as many.
    pub resolution: u32,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Share of pictures whose caption is left out, 0 to 1.
    pub caption_dropout: f32,
    /// Whether the UNet's convolutions are adapted too (LoCon): of a model with little attention they know most of a face.
    #[serde(default)]
    pub convolutions: bool,
    /// Weight of the identity tokens beside which it is trained, 0 to 2; none is that of takes. With less of them the LoRA learns
    /// more of the character itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_scale: Option<f32>,
    /// Share of a take's steps that are done before it acts, 0 to under 1. What is where in a picture is decided in the first steps; a
    /// LoRA that leaves them alone changes nothing but looks.
    #[serde(default)]
    pub begin: f32,
    /// At which sizes references are set into frames of a take's shape; none of them: they are cropped around the face.
    #[serde(default, skip_serializing_if = "LoraViews::is_none")]
    pub views: LoraViews,
}

/// Share of a take's height that a reference fills, by the framing it is captioned with, above 0 to 1. What is beside it goes on as
/// at its edge. So a model that draws people small learns from large pictures how they look when they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraViews {
    /// Captioned as close.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close: Option<f32>,
    /// Captioned as medium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<f32>,
    /// Captioned as wide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wide: Option<f32>,
}

/// A pack's recipes by tier; what is left out is the default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraDefaults {
    /// Five references and more.
    pub low: LoraRecipe,
    /// Ten and more.
    pub standard: LoraRecipe,
    /// Twenty and more.
    pub high: LoraRecipe,
}

/// A LoRA as a plan names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoraUsed {
    /// Its number among the character's.
    pub number: u32,
    /// The adapter (safetensors).
    pub lora: Digest,
}

/// What a LoRA is trained on. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraDataset {
    /// Whom it shows.
    pub character: String,
    /// In the order in which they were taken.
    pub pictures: Vec<LoraPicture>,
    /// What was looked at and left out, and why.
    pub refused: Vec<(LoraOrigin, String)>,
}

/// One picture of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraPicture {
    /// The crop around the face (PNG).
    pub picture: Digest,
    /// What it shows, in the pack's words.
    pub caption: String,
    /// Where it is from.
    pub origin: LoraOrigin,
}

/// Where a picture of a dataset is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum LoraOrigin {
    /// One of the character's references.
    Reference {
        /// The file's name as it was given.
        name: String,
        /// The picture as it was given.
        digest: Digest,
    },
    /// An accepted take.
    Take {
        /// The take (Matroska).
        take: Digest,
        /// Number of the frame.
        frame: u64,
    },
}

impl LoraOrigin {
    /// Whether Greenroom made it.
    #[must_use]
    pub const fn is_generated(&self) -> bool {
        matches!(self, Self::Take { .. })
    }
}

/// What a LoRA brings beside what was in force before, over held-out prompts and seeds, equal ones for both. The gate judges each
/// picture as a take of one frame; one in which it does not find the character has IDR 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraProof {
    /// Number of the version that it was compared with; none is the bare model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<u32>,
    /// Prompts times seeds.
    pub pictures: u32,
    /// Mean IDR without it.
    pub before: f32,
    /// Mean IDR with it.
    pub after: f32,
    /// Lower end of the 95 % interval of the mean gain (bootstrap over prompts and seeds).
    pub gain_lower: f32,
    /// Pictures that the gate accepts, without it and with it.
    #[serde(default)]
    pub accepted: (u32, u32),
    /// Mean IDR where the caption alone says who it is, without LoRA and identity tokens; none where that was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_alone: Option<f32>,
    /// How well pictures show what their captions ask for, without it and with it, 0 to 1; none where the pack cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adherence: Option<(f32, f32)>,
    /// Mean distance of the pictures of one prompt from each other, without it and with it.
    pub diversity: (f32, f32),
    /// Pictures with it that are copies of one it was trained on.
    pub copies: u32,
}

/// With so many real pictures, at most half of a dataset is generated: a model that learns from itself drifts.
pub const LORA_HALF_FROM: usize = 10;
/// The least mean gain in IDR.
const LEAST_GAIN: f32 = 0.02;
/// How much of the prompt's adherence, and of the diversity (and of all pictures, accepted ones), may go.
const MOST_LOST: (f32, f32) = (0.02, 0.10);

impl LoraTier {
    /// How many references it needs.
    #[must_use]
    pub const fn references(self) -> usize {
        match self {
            Self::Low => 5,
            Self::Standard => 10,
            Self::High => 20,
        }
    }

    /// The highest that so many references allow.
    #[must_use]
    pub fn of(references: usize) -> Option<Self> {
        [Self::High, Self::Standard, Self::Low].into_iter().find(|tier| references >= tier.references())
    }

    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Standard => "standard",
            Self::High => "high",
        }
    }
}

impl LoraNaming {
    /// The naming of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Kohya, Self::Peft].into_iter().find(|naming| naming.name() == name)
    }

    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kohya => "kohya",
            Self::Peft => "peft",
        }
    }
}

impl LoraPrecision {
    /// The precision of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::Bf16].into_iter().find(|precision| precision.name() == name)
    }

    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl LoraViews {
    /// Framings and heights, the largest first.
    #[must_use]
    pub fn list(&self) -> Vec<(Framing, f32)> {
        let all = [(Framing::Close, self.close), (Framing::Medium, self.medium), (Framing::Wide, self.wide)];
        all.into_iter().filter_map(|(framing, height)| Some((framing, height?))).collect()
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl LoraDefaults {
    /// The recipe of a tier.
    #[must_use]
    pub const fn recipe(&self, tier: LoraTier) -> &LoraRecipe {
        match tier {
            LoraTier::Low => &self.low,
            LoraTier::Standard => &self.standard,
            LoraTier::High => &self.high,
        }
    }

    /// Whether nothing differs: what is left out of a file need not be written into it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let tiers = [LoraTier::Low, LoraTier::Standard, LoraTier::High];
        tiers.into_iter().find_map(|tier| {
            let fault = self.recipe(tier).fault()?;
            Some(format!("diffusion.lora.{}.{fault}", tier.name()))
        })
    }
}

impl LoraRecipe {
    fn fault(&self) -> Option<&'static str> {
        let wrong = [
            (!(1..=256).contains(&self.rank), "rank must be from 1 to 256"),
            (!(self.alpha > 0.0 && self.alpha.is_finite()), "alpha must be above 0"),
            (!(1..=100_000).contains(&self.steps), "steps must be from 1 to 100000"),
            (!(1..=64).contains(&self.batch), "batch must be from 1 to 64"),
            (!(64..=2048).contains(&self.resolution), "resolution must be from 64 to 2048"),
            (!(self.learning_rate > 0.0 && self.learning_rate < 1.0), "learning_rate must be above 0 and under 1"),
            (!(0.0..1.0).contains(&self.caption_dropout), "caption_dropout must be from 0 to under 1"),
            (
                self.identity_scale.is_some_and(|scale| !(0.0..=2.0).contains(&scale)),
                "identity_scale must be from 0 to 2",
            ),
            (self.views.list().iter().any(|(_, height)| !(0.1..=1.0).contains(height)), "views must be from 0.1 to 1"),
        ];
        wrong.into_iter().find_map(|(wrong, why)| wrong.then_some(why))
    }
}

impl Default for LoraDefaults {
    /// What trainers of models shaped like Stable Diffusion 1.5 commonly use for one person.
    fn default() -> Self {
        let standard = LoraRecipe {
            rank: 16,
            alpha: 8.0,
            steps: 1500,
            batch: 1,
            resolution: 512,
            learning_rate: 1e-4,
            caption_dropout: 0.05,
            convolutions: false,
            identity_scale: None,
            begin: 0.0,
            views: LoraViews::default(),
        };
        Self {
            low: LoraRecipe { rank: 8, alpha: 4.0, steps: 1000, ..standard },
            standard,
            high: LoraRecipe { rank: 32, alpha: 16.0, steps: 2000, ..standard },
        }
    }
}

impl LoraProof {
    /// Why the LoRA must not be put in force; nothing where it may.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let gain = self.after - self.before;
        if !gain.is_finite() || !self.gain_lower.is_finite() {
            return vec!["its pictures could not be scored".into()];
        }
        if gain < LEAST_GAIN {
            faults.push(format!("mean IDR changes by {gain:+.3}, at least +{LEAST_GAIN} is asked"));
        } else if self.gain_lower <= 0.0 {
            faults.push(format!(
                "the gain of {gain:+.3} may be chance: its 95 % interval begins at {:+.3}",
                self.gain_lower
            ));
        }
        if let Some((before, after)) = self.adherence
            && after < before * (1.0 - MOST_LOST.0)
        {
            faults.push(format!("pictures follow their captions less: {after:.3} after {before:.3}"));
        }
        let (before, after) = self.diversity;
        if after < before * (1.0 - MOST_LOST.1) {
            faults.push(format!("pictures of one prompt differ less: {after:.3} after {before:.3}"));
        }
        let (before, after) = self.accepted;
        if f64::from(after) + f64::from(self.pictures) * f64::from(MOST_LOST.1) < f64::from(before) {
            faults.push(format!("the gate accepts {after} of {} pictures after {before}", self.pictures));
        }
        if self.copies > 0 {
            faults.push(format!("{} of {} pictures copy one it was trained on", self.copies, self.pictures));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: LoraProof = LoraProof {
        against: None,
        pictures: 32,
        before: 0.40,
        after: 0.60,
        gain_lower: 0.15,
        accepted: (10, 20),
        text_alone: None,
        adherence: Some((0.80, 0.80)),
        diversity: (0.30, 0.29),
        copies: 0,
    };

    #[test]
    fn only_a_gain_that_is_no_chance_and_costs_nothing_is_deployed() {
        assert_eq!(GOOD.faults(), Vec::<String>::new());
        let faults = |proof: LoraProof| proof.faults().join("; ");
        assert!(faults(LoraProof { after: 0.41, ..GOOD }).contains("+0.010"));
        assert!(faults(LoraProof { gain_lower: -0.01, ..GOOD }).contains("may be chance"));
        assert!(faults(LoraProof { adherence: Some((0.80, 0.78)), ..GOOD }).contains("follow their captions less"));
        assert!(faults(LoraProof { diversity: (0.30, 0.26), ..GOOD }).contains("differ less"));
        assert!(faults(LoraProof { accepted: (20, 16), ..GOOD }).contains("accepts 16 of 32 pictures after 20"));
        assert!(faults(LoraProof { copies: 2, ..GOOD }).contains("2 of 32"));
        assert!(faults(LoraProof { after: f32::NAN, ..GOOD }).contains("could not be scored"));
    }

    #[test]
    fn references_decide_the_tier() {
        let tiers = [4, 5, 9, 10, 19, 20, 64].map(LoraTier::of);
        use LoraTier::{High, Low, Standard};
        assert_eq!(tiers, [None, Some(Low), Some(Low), Some(Standard), Some(Standard), Some(High), Some(High)]);
    }

    #[test]
    fn a_recipe_that_cannot_train_is_named() {
        assert_eq!(LoraDefaults::default().fault(), None);
        let mut defaults = LoraDefaults::default();
        defaults.high.rank = 0;
        assert_eq!(defaults.fault().unwrap(), "diffusion.lora.high.rank must be from 1 to 256");
    }
}
