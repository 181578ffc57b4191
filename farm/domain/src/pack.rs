//! A pack: a bundle of models with one `pack.toml`. What the farm must know about models is data in here, never code.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Anchor, Calibration, DetectorInput, Digest, EmbedderInput, LoraDefaults, Misplaced, Problem, RepairDefaults,
};

/// The contents of `pack.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Short name, `puppet`.
    pub name: String,
    /// Grows with every change of a file or a figure.
    pub version: u32,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// Where the recipe lies that made the weights.
    pub recipe: String,
    /// Every file of the pack, by role.
    pub model: Vec<ModelFile>,
    /// Faces: detection and calibration.
    pub identity: IdentityDefaults,
    /// What can be told of a face by looking at it; none where the pack has no classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<AttributeDefaults>,
    /// Generation.
    pub diffusion: DiffusionDefaults,
    /// The words that the text encoder knows, and the prose that means them.
    pub vocabulary: Vocabulary,
}

/// One file of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// What the file is for.
    pub role: ModelRole,
    /// Path inside the pack, with forward slashes.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Size in bytes.
    pub size: u64,
    /// SPDX identifier, where it differs from the pack's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// What a file of a pack is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelRole {
    /// Face detector, ONNX, SCRFD's outputs.
    Detector,
    /// Face embedder, ONNX, ArcFace's input and output.
    Embedder,
    /// Classifier of what a face and its surroundings show, ONNX; needs the table `[attributes]`.
    Attributes,
    /// Embeddings of many different people by this pack's embedder, safetensors: whom a character must not be taken for.
    Impostors,
    /// Tokenizer file of the diffusion folder.
    Tokenizer,
    /// Text encoder (weights or config).
    TextEncoder,
    /// UNet (weights or config).
    Unet,
    /// VAE (weights or config).
    Vae,
    /// Noise scheduler's config.
    Scheduler,
    /// IP-Adapter weights.
    IpAdapter,
    /// ControlNet (weights or config); needs `diffusion.control`.
    Controlnet,
    /// `model_index.json`.
    Index,
}

/// How faces are found and scored with this pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityDefaults {
    /// The detector's square input, pixels (a multiple of 32); a model with a fixed input keeps its own.
    pub detect_size: u32,
    /// Detections under this score are ignored, 0 to 1.
    pub detect_score: f32,
    /// Faces whose shorter side is smaller (pixels of the scored frame) are not scored.
    pub smallest_face: f32,
    /// How the detector takes a picture.
    #[serde(default, skip_serializing_if = "DetectorInput::is_default")]
    pub detector: DetectorInput,
    /// How the embedder takes a face.
    #[serde(default, skip_serializing_if = "EmbedderInput::is_default")]
    pub embedder: EmbedderInput,
    /// Which frames and faces count.
    #[serde(default, skip_serializing_if = "crate::Scoring::is_default")]
    pub scoring: crate::Scoring,
    /// The default curve, for characters with too few references for their own.
    pub calibration: Calibration,
}

/// How the attribute classifier looks at a face, and what its answers mean.
///
/// Its input is a square cut around the face's box: `side = round(crop · longer)`, its corner at
/// `round(centre − side / 2)`, where `longer` is the box's longer side and the centre is the box's, moved down by
/// `down · longer`. Rounding is to the nearest, ties to even.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeDefaults {
    /// The model's square input, pixels.
    pub size: u32,
    /// Side of the square, in longer sides of the face's box.
    pub crop: f32,
    /// How far the square's centre lies below the box's, in longer sides of the box.
    pub down: f32,
    /// Taken from every value, 0 to 255, before it is divided by `std`.
    pub mean: f32,
    /// See `mean`.
    pub std: f32,
    /// By attribute its labels. The model has one output of each attribute's name, a column for each label in this order.
    pub labels: BTreeMap<String, Vec<String>>,
    /// Which of them a character keeps, and how much each counts. None: this pack scores no style.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub anchors: BTreeMap<String, Anchor>,
    /// The answer that means that a face is where no head belongs; none where the classifier does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misplaced: Option<Misplaced>,
}

impl AttributeDefaults {
    /// What is wrong with it, if anything.
    fn fault(&self) -> Option<String> {
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if self.size == 0 || !positive(self.crop) || !positive(self.std) {
            return Some("attributes.size, attributes.crop and attributes.std must be above 0".into());
        }
        if !self.down.is_finite() || !self.mean.is_finite() {
            return Some("attributes.down and attributes.mean must be numbers".into());
        }
        let vague = |labels: &[String]| labels.len() < 2 || labels.iter().collect::<BTreeSet<_>>().len() < labels.len();
        match self.labels.iter().find(|(_, labels)| vague(labels)) {
            Some((name, _)) => Some(format!("attributes.labels.{name} needs two or more labels, each once")),
            None if self.labels.is_empty() => Some("attributes.labels is empty".into()),
            None => self.unknown(),
        }
    }

    /// What anchors and the misplaced label say that no output of the model can.
    fn unknown(&self) -> Option<String> {
        let knows = |name: &str, label: &str| self.labels.get(name).is_some_and(|all| all.iter().any(|l| l == label));
        for (name, anchor) in &self.anchors {
            if !self.labels.contains_key(name) {
                return Some(format!("attributes.anchors.{name} has no labels"));
            }
            if !anchor.weight.is_finite() || anchor.weight < 0.0 {
                return Some(format!("attributes.anchors.{name}.weight must be 0 or more"));
            }
            if anchor.hidden.as_deref().is_some_and(|label| !knows(name, label)) {
                return Some(format!("attributes.anchors.{name}.hidden is none of its labels"));
            }
        }
        let misplaced = self.misplaced.as_ref().filter(|m| !knows(&m.attribute, &m.label));
        misplaced.map(|_| "attributes.misplaced names no label".into())
    }
}

/// How pictures are made with this pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionDefaults {
    /// Sizes (width, height) that the model was trained at; the nearest in shape is used and scaled.
    pub native_sizes: Vec<(u32, u32)>,
    /// Sampler steps for a picture from noise.
    pub steps: u32,
    /// Classifier-free guidance scale; 1 is none.
    pub guidance: f32,
    /// Weight of the identity tokens.
    pub identity_scale: f32,
    /// Share of the steps that a chained keyframe runs again, 0 (copy) to 1 (from noise).
    pub chain_strength: f32,
    /// Words that every picture should not show; may be empty.
    pub negative: String,
    /// How many characters the model can draw in one picture.
    pub max_characters: u32,
    /// The pictures that its ControlNet follows; none where the pack has no ControlNet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<ControlDefaults>,
    /// How a rejected take's faces are made anew.
    #[serde(default, skip_serializing_if = "RepairDefaults::is_default")]
    pub repair: RepairDefaults,
    /// How LoRAs are trained.
    #[serde(default, skip_serializing_if = "LoraDefaults::is_default")]
    pub lora: LoraDefaults,
}

/// The pictures that a ControlNet follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlDefaults {
    /// What they show, for people: `depth`, `pose`, `lines`.
    pub shows: String,
    /// Where the ControlNet's `config.json` and weights lie in the pack.
    pub folder: String,
}

/// Turns prose into the words a model knows. All of it is data: see [`Slot`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// The caption's parts in order. Each part is a list of alternatives with `{slot}` placeholders; the first whose slots
    /// are all filled is used, and a part with none is left out. `{a}` becomes `a` or `an` by the word that follows.
    pub parts: Vec<Vec<String>>,
    /// Written between parts.
    pub separator: String,
    /// What ends each caption where several people share a picture, for models that were trained to be told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The slots by name.
    pub slots: BTreeMap<String, Slot>,
}

/// One thing that a caption can say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Which prose fills it.
    pub scope: SlotScope,
    /// Used where the prose says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// If not empty, a match counts only within three words before one of these (`black … hair`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<String>,
    /// The model's word → phrases in prose that mean it. The word itself always does.
    pub words: BTreeMap<String, Vec<String>>,
}

/// Where the prose of a slot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotScope {
    /// The shot's framing (`establishing`, `wide`, `medium`, `close`).
    Framing,
    /// The description of the character in frame.
    Character,
    /// The shot's action, parentheticals and mood.
    Shot,
    /// The scene heading's place, then the scene's action.
    Place,
    /// The scene heading's time of day.
    Time,
}

impl Pack {
    /// Reads and checks `pack.toml`.
    ///
    /// # Errors
    /// A [`Problem`] that names the field, where the text is not TOML, a field is unknown or missing, an anchor does not
    /// rise, a model's input makes no numbers, the attributes' or the ControlNet's table and model do not come together, or a caption part names a slot that does not exist.
    pub fn parse(text: &str, subject: &str) -> Result<Self, Problem> {
        let bad = |cause: String| {
            Problem::invalid("read pack", subject, cause, "take pack.toml from the pack's release, or fix the field")
        };
        let pack: Self = toml::from_str(text).map_err(|e| bad(e.to_string().trim().to_owned()))?;
        let anchors = &pack.identity.calibration.anchors;
        if anchors.len() < 2 || anchors.windows(2).any(|w| w[1].0 <= w[0].0 || w[1].1 < w[0].1) {
            return Err(bad("identity.calibration.anchors needs two or more pairs that rise".into()));
        }
        if let Some(fault) = pack.identity.detector.fault().or_else(|| pack.identity.embedder.fault()) {
            return Err(bad(fault));
        }
        if let Some(fault) = pack.identity.scoring.fault() {
            return Err(bad(fault));
        }
        if let Some(fault) = pack.diffusion.repair.fault().or_else(|| pack.diffusion.lora.fault()) {
            return Err(bad(fault));
        }
        if pack.diffusion.native_sizes.is_empty() {
            return Err(bad("diffusion.native_sizes is empty".into()));
        }
        if pack.attributes.is_some() != pack.files(ModelRole::Attributes).next().is_some() {
            return Err(bad("the table [attributes] and a model with role = \"attributes\" need each other".into()));
        }
        if let Some(fault) = pack.attributes.as_ref().and_then(AttributeDefaults::fault) {
            return Err(bad(fault));
        }
        if pack.diffusion.control.is_some() != pack.files(ModelRole::Controlnet).next().is_some() {
            return Err(bad("diffusion.control and a model with role = \"controlnet\" need each other".into()));
        }
        for name in pack.vocabulary.parts.iter().flatten().flat_map(|part| placeholders(part)) {
            if name != "a" && !pack.vocabulary.slots.contains_key(name) {
                return Err(bad(format!("vocabulary.parts names the slot `{name}`, which does not exist")));
            }
        }
        Ok(pack)
    }

    /// The files of one role, in the order of `pack.toml`.
    pub fn files(&self, role: ModelRole) -> impl Iterator<Item = &ModelFile> {
        self.model.iter().filter(move |m| m.role == role)
    }

    /// Names this pack's exact contents: outputs depend on it, so task specs carry it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_json(self)
    }
}

/// The `{slot}` names in a caption part.
fn placeholders(part: &str) -> impl Iterator<Item = &str> {
    part.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: &str = include_str!("../../../packaging/packs/puppet/pack.toml");

    /// The shipped pack with other attributes: those of `table`, and with a model for them or not.
    fn with_attributes(table: &str, model: bool) -> Result<Pack, Problem> {
        let mut pack: toml::Table = PACK.parse().unwrap();
        pack.remove("attributes");
        let models = pack["model"].as_array_mut().unwrap();
        models.retain(|m| m["role"].as_str() != Some("attributes"));
        if model {
            let mut file = models[0].clone();
            file["role"] = "attributes".into();
            models.push(file);
        }
        pack.extend(table.parse::<toml::Table>().unwrap());
        Pack::parse(&toml::to_string(&pack).unwrap(), "pack.toml")
    }

    const TABLE: &str =
        "[attributes]\nsize = 8\ncrop = 2.6\ndown = 0.25\nmean = 127.5\nstd = 127.5\n[attributes.labels]\n";

    #[test]
    fn a_pack_without_attributes_is_whole_and_one_with_them_keeps_their_order() {
        assert_eq!(with_attributes("", false).unwrap().attributes, None);
        let table = format!("{TABLE}beard = ['none', 'full', 'a']");
        let labels = with_attributes(&table, true).unwrap().attributes.unwrap().labels;
        assert_eq!(labels["beard"], ["none", "full", "a"]);
    }

    #[test]
    fn attributes_that_no_model_can_answer_are_refused() {
        let cause = |table: &str, model| with_attributes(table, model).unwrap_err().cause;
        let table = format!("{TABLE}beard = ['none', 'full']");
        assert!(cause(&table, false).contains("need each other"));
        assert!(cause("", true).contains("need each other"));
        assert!(cause(&format!("{TABLE}beard = ['none', 'none']"), true).contains("attributes.labels.beard"));
        assert!(cause(TABLE, true).contains("attributes.labels is empty"));
        assert!(cause(&table.replace("size = 8", "size = 0"), true).contains("attributes.size"));
        let anchor = |text: &str| cause(&format!("{table}\n[attributes.anchors]\n{text}"), true);
        assert!(anchor("hat = { weight = 1 }").contains("attributes.anchors.hat has no labels"));
        assert!(anchor("beard = { weight = -1 }").contains("beard.weight"));
        assert!(anchor("beard = { weight = 1, hidden = 'veil' }").contains("beard.hidden"));
        assert!(anchor("[attributes.misplaced]\nattribute = 'beard'\nlabel = 'hat'").contains("attributes.misplaced"));
    }
}
