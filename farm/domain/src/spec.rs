//! What each task kind is given and gives back. A spec is self-contained: with the pack and the artifacts it names, any
//! worker makes the same output from it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{
    CalibrationSummary, CalibrationUsed, CameraMove, CommandFile, CommandSpec, Cosine, Decision, Digest, FaceAt, Fps,
    Frames, Framing, Line, LoraNaming, LoraPrecision, LoraProof, LoraRecipe, LoraUsed, Prompt, ReferenceQuality,
    RepairSpec, Seed, ShotKey, TaskKind, Verdict,
};

/// What a task is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Spec {
    /// References → identity profile.
    Profile(ProfileSpec),
    /// Identity profiles → a character's own curve.
    Calibrate(CalibrateSpec),
    /// Script → shots. Pure, so the control plane runs it itself.
    Breakdown {
        /// The script's text.
        script: Digest,
    },
    /// Shot → take.
    Generate(GenerateSpec),
    /// Rejected take → take with other faces.
    Repair(RepairSpec),
    /// Take → verdict.
    Validate(ValidateSpec),
    /// Takes → clips and episode.
    Assemble(AssembleSpec),
    /// References and accepted takes → pictures that a LoRA is trained on.
    Collect(CollectSpec),
    /// Pictures → LoRA.
    Train(TrainSpec),
    /// LoRA → LoRA of another rank, naming or precision.
    Convert(ConvertSpec),
    /// LoRA → what it brings.
    Prove(ProveSpec),
    /// A template's step with one set of parameters → files.
    Command(CommandSpec),
}

impl Spec {
    /// The kind of task that runs it.
    #[must_use]
    pub const fn kind(&self) -> TaskKind {
        match self {
            Self::Profile(_) => TaskKind::Profile,
            Self::Calibrate(_) => TaskKind::Calibrate,
            Self::Breakdown { .. } => TaskKind::Breakdown,
            Self::Generate(_) => TaskKind::Generate,
            Self::Repair(_) => TaskKind::Repair,
            Self::Validate(_) => TaskKind::Validate,
            Self::Assemble(_) => TaskKind::Assemble,
            Self::Collect(_) => TaskKind::Collect,
            Self::Train(_) => TaskKind::Train,
            Self::Convert(_) => TaskKind::Convert,
            Self::Prove(_) => TaskKind::Prove,
            Self::Command(_) => TaskKind::Command,
        }
    }

    /// Equal specs give equal outputs, so the digest finds work that was done before.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_json(self)
    }
}

/// Profile: find the face in each reference, embed it, and measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfileSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// The character's name, for messages.
    pub character: String,
    /// (file name, picture) of each reference.
    pub references: Vec<(String, Digest)>,
}

/// Calibrate: compare the references with each other and with everybody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrateSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// The character's name.
    pub character: String,
    /// Its identity profile.
    pub profile: Digest,
    /// Identity profiles of the project's other characters, in the order of their digests.
    pub others: Vec<Digest>,
}

impl CalibrateSpec {
    /// Names what the calibration was made from.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Spec::Calibrate(self.clone()).digest()
    }
}

/// Generate: keyframes, the frames between them, the camera move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// Which shot, for messages.
    pub shot: ShotKey,
    /// 1 for the first take.
    pub take: u32,
    /// What to show.
    pub prompt: Prompt,
    /// Whom to show.
    pub identity: Option<IdentityPrompt>,
    /// Whom to show where the prompt has several captions: those of its people who have a profile, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<IdentityPrompt>,
    /// All noise derives from this.
    pub seed: Seed,
    /// Size of the take, pixels.
    pub size: Pixels,
    /// Rate of the take.
    pub fps: Fps,
    /// Length of the take.
    pub duration: Frames,
    /// Where keyframes lie.
    pub keyframes: Keyframing,
    /// How the camera moves over the frames.
    pub camera: CameraMove,
    /// Sampler steps of the first keyframe.
    pub steps: u32,
    /// Classifier-free guidance scale.
    pub guidance: f32,
    /// The picture whose shapes every keyframe keeps to, for the pack's ControlNet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Digest>,
    /// The LoRA that it is generated with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraPrompt>,
}

/// A LoRA that a picture is generated with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraPrompt {
    /// Whose, for messages.
    pub character: String,
    /// Its number among the character's.
    pub number: u32,
    /// The adapter (safetensors).
    pub lora: Digest,
    /// How strongly it acts; 1 as it was trained.
    pub weight: f32,
}

/// Whom a generated picture should show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentityPrompt {
    /// Name, for messages.
    pub character: String,
    /// The identity profile.
    pub profile: Digest,
    /// Weight of the identity tokens.
    pub scale: f32,
}

/// Where a take's keyframes lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Keyframing {
    /// One picture; only the camera moves. For establishing shots.
    Still,
    /// A keyframe every so many frames, each started from the one before.
    Chain {
        /// Frames from one keyframe to the next.
        every: Frames,
        /// Share of the steps that a later keyframe runs again, 0 to 1.
        strength: f32,
    },
}

/// A picture's width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pixels {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Validate: decode, sample, detect, embed, assign, judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidateSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// Which shot, for messages.
    pub shot: ShotKey,
    /// The take (Matroska).
    pub take: Digest,
    /// Everybody who could be in the picture.
    pub cast: Vec<CastMember>,
    /// Whose face must be found.
    pub expected: Vec<String>,
    /// p10 IDR that an expected character needs.
    pub gate: f32,
    /// Frames sampled, spread over the take; first and last are always among them.
    pub samples: u32,
    /// By character the caption that it was made from, for what it should wear.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captions: BTreeMap<String, String>,
    /// By attribute how much it counts in a style, where the project differs from the pack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub anchors: BTreeMap<String, f32>,
}

/// A character with its identity profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CastMember {
    /// Name as in the script.
    pub character: String,
    /// The identity profile.
    pub profile: Digest,
    /// Its own curve; none is the pack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationUsed>,
    /// The LoRA in force; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraUsed>,
}

/// Collect: crop faces, compare them, leave out what is double or somebody else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// Whom the pictures show.
    pub character: String,
    /// The identity profile that faces are compared with.
    pub profile: Digest,
    /// (file name, picture) of each reference that may be trained on.
    pub references: Vec<(String, Digest)>,
    /// The caption of the references.
    pub caption: String,
    /// Accepted takes, oldest first.
    pub takes: Vec<CollectTake>,
    /// Cosine to the profile under which a face is somebody else.
    pub outlier: Cosine,
    /// Side of a crop, pixels.
    pub resolution: u32,
}

/// An accepted take, and where the character is well seen in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectTake {
    /// The take (Matroska).
    pub take: Digest,
    /// What it shows.
    pub caption: String,
    /// Frames with the character's face, best first.
    pub faces: Vec<FaceAt>,
}

/// Train: from pictures to an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// Whose LoRA it becomes.
    pub character: String,
    /// The [`LoraDataset`](crate::LoraDataset) (JSON).
    pub dataset: Digest,
    /// How.
    pub recipe: LoraRecipe,
    /// Captions of the character alone, for references that are set into frames.
    pub captions: Vec<(Framing, String)>,
    /// Beside which identity it is trained, as takes are generated with both.
    pub identity: IdentityPrompt,
    /// All noise and every order derive from this.
    pub seed: Seed,
}

/// Convert: check a LoRA against the pack's models, and write it anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvertSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// Whose LoRA it is.
    pub character: String,
    /// The LoRA as it is (safetensors, any naming).
    pub lora: Digest,
    /// Rank that no layer shall pass; none leaves ranks alone.
    pub rank: Option<u32>,
    /// How its layers shall be named.
    pub naming: LoraNaming,
    /// How its numbers shall be stored.
    pub precision: LoraPrecision,
}

/// Prove: generate with and without, and score both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProveSpec {
    /// The pack's digest.
    pub pack: Digest,
    /// Whose LoRA it is.
    pub character: String,
    /// The LoRA on trial.
    pub lora: Digest,
    /// What is in force; none is the bare model.
    pub against: Option<LoraUsed>,
    /// What it was trained on, to tell copies: a [`LoraDataset`](crate::LoraDataset) (JSON).
    pub dataset: Digest,
    /// The identity that every picture is generated with, as takes are.
    pub identity: IdentityPrompt,
    /// (file name, picture) of references that it was not trained on.
    pub held_out: Vec<(String, Digest)>,
    /// The character's own curve; none is the pack's.
    pub calibration: Option<CalibrationUsed>,
    /// The IDR that a picture needs to be accepted, 0 to 1.
    pub gate: f32,
    /// What is generated, each from every seed.
    pub prompts: Vec<Prompt>,
    /// So many seeds.
    pub seeds: u32,
    /// All noise derives from this.
    pub seed: Seed,
    /// Sampler steps.
    pub steps: u32,
    /// Classifier-free guidance scale.
    pub guidance: f32,
    /// Whether it is also generated by the caption alone.
    #[serde(default)]
    pub text_alone: bool,
}

/// Assemble: one clip a shot, and the episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssembleSpec {
    /// Shown on the contact sheet.
    pub title: String,
    /// Size of clips and episode, pixels.
    pub size: Pixels,
    /// Rate of clips and episode.
    pub fps: Fps,
    /// Cross-fade between clips.
    pub crossfade: Frames,
    /// p10 IDR that was asked. The contact sheet's colours are bands and do without it.
    pub gate: f32,
    /// In order.
    pub shots: Vec<AssembleShot>,
}

/// One shot as it goes into the episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssembleShot {
    /// Which shot.
    pub shot: ShotKey,
    /// The chosen take (Matroska).
    pub take: Digest,
    /// Its number, 1 for the first.
    pub take_number: u32,
    /// Its verdict. Anything but accept makes the shot a draft: it is marked as one.
    pub verdict: Verdict,
    /// What is said, for subtitles.
    pub dialogue: Vec<Line>,
}

impl AssembleShot {
    /// Not accepted: goes in visibly marked.
    #[must_use]
    pub fn is_draft(&self) -> bool {
        !matches!(self.verdict.decision, Decision::Accept)
    }
}

/// What a task gave back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskOutput {
    /// Of a profile task.
    Profile {
        /// The identity profile (JSON).
        profile: Digest,
        /// The best reference's face (PNG).
        thumbnail: Digest,
        /// One per reference, in the order given.
        qualities: Vec<ReferenceQuality>,
    },
    /// Of a calibrate task.
    Calibration {
        /// The [`CharacterCalibration`](crate::CharacterCalibration) (JSON).
        calibration: Digest,
        /// What it says in short.
        summary: CalibrationSummary,
    },
    /// Of a collect task.
    Dataset {
        /// The [`LoraDataset`](crate::LoraDataset) (JSON).
        dataset: Digest,
        /// Its pictures (PNG).
        pictures: Vec<Digest>,
        /// How many of them Greenroom made.
        generated: u32,
        /// How many were left out.
        refused: u32,
    },
    /// Of a train task.
    Lora {
        /// The adapter (safetensors).
        lora: Digest,
        /// (step, loss), smoothed, at most a few hundred points.
        curve: Vec<(u32, f32)>,
        /// Pictures made on the way (PNG).
        samples: Digest,
        /// Seconds spent by stage, for the report.
        timings: BTreeMap<String, f64>,
    },
    /// Of a convert task.
    Converted {
        /// The adapter (safetensors).
        lora: Digest,
        /// The highest rank of its layers.
        rank: u32,
        /// The alpha of that layer: its weights act times `alpha / rank`.
        alpha: f32,
        /// Share of the squared size of all that it adds which is left, 0 to 1.
        energy: f64,
        /// Seconds spent by stage, for the report.
        timings: BTreeMap<String, f64>,
    },
    /// Of a prove task.
    Proof {
        /// What it brings.
        proof: LoraProof,
        /// Pictures without it and with it (PNG).
        sheet: Digest,
        /// Seconds spent by stage, for the report.
        timings: BTreeMap<String, f64>,
    },
    /// Of a command task.
    Command {
        /// What it left in its output folders.
        files: Vec<CommandFile>,
        /// What it said (text), with secrets blanked out.
        log: Digest,
        /// Seconds spent by stage, for the report.
        timings: BTreeMap<String, f64>,
    },
    /// What it gave was of a character that has been forgotten.
    Forgotten,
    /// Of a breakdown task.
    Breakdown {
        /// The breakdown (JSON).
        breakdown: Digest,
    },
    /// Of a generate or a repair task.
    Take {
        /// FFV1 in Matroska.
        video: Digest,
        /// The middle frame (PNG).
        thumbnail: Digest,
        /// Generated keyframes; of a repair, pictures of faces.
        keyframes: u32,
        /// Seconds spent by stage, for the report.
        timings: BTreeMap<String, f64>,
    },
    /// Of a validate task.
    Verdict {
        /// The verdict.
        verdict: Verdict,
        /// Seconds spent by stage, for the report.
        timings: BTreeMap<String, f64>,
    },
    /// Of an assemble task.
    Episode {
        /// H.264 and AAC in MP4.
        episode: Digest,
        /// One per shot, in order.
        clips: Vec<ClipOutput>,
        /// PNG with the score on each frame.
        contact_sheet: Digest,
        /// Length of the episode.
        duration: Frames,
        /// Seconds spent by stage, for the report.
        timings: BTreeMap<String, f64>,
    },
}

/// One shot's clip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipOutput {
    /// Which shot.
    pub shot: ShotKey,
    /// H.264 in MP4.
    pub video: Digest,
    /// Made from a take that was not accepted.
    pub draft: bool,
}
