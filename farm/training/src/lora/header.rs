//! The header of a LoRA file: what other tools read (`ss_…`, `modelspec.…`) and what is ours (`greenroom.…`).
//!
//! <https://github.com/Stability-AI/ModelSpec>. No path and no prompt goes into it: both carry private names.

use greenroom_diffusion::{Adapter, Part, Prediction, Site};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{LoraError, is_xl};
use crate::recipe::{Recipe, Schedule};

/// What is said about a trained adapter beside its numbers.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The file's title.
    pub title: String,
    /// Words that call the character, where there are any.
    pub trigger: Option<String>,
    /// Under which licence it may be used.
    pub licence: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// When training ended, ISO 8601.
    pub date: Option<String>,
    /// SHA-256 of the base model's UNet, hex.
    pub base: Option<String>,
    /// Id of the character.
    pub character: Option<String>,
    /// Digest of the dataset.
    pub dataset: Option<String>,
    /// Steps that were trained.
    pub steps: usize,
    /// Pictures of the character, and of its class.
    pub pictures: (usize, usize),
    /// Anything else of ours, by its key after `greenroom.`.
    pub more: BTreeMap<String, String>,
}

impl About {
    /// The header of an adapter for a model with these layers, trained by this recipe.
    #[must_use]
    pub fn header(
        &self,
        recipe: &Recipe,
        adapter: &Adapter,
        sites: &[Site],
        prediction: Prediction,
    ) -> BTreeMap<String, String> {
        let xl = is_xl(sites);
        let side = recipe.resolution;
        let schedule = match recipe.schedule {
            Schedule::Constant => "constant_with_warmup",
            Schedule::Cosine => "cosine",
        };
        let parts: BTreeSet<Part> = adapter.modules.keys().map(|place| place.part).collect();
        let always = [
            ("ss_network_module", "networks.lora".to_owned()),
            ("ss_network_dim", recipe.rank.to_string()),
            ("ss_network_alpha", recipe.alpha.to_string()),
            ("ss_base_model_version", if xl { "sdxl_base_v1-0" } else { "sd_v1" }.into()),
            ("ss_learning_rate", recipe.unet_rate.to_string()),
            ("ss_unet_lr", recipe.unet_rate.to_string()),
            ("ss_text_encoder_lr", recipe.text_rate.to_string()),
            ("ss_num_train_images", self.pictures.0.to_string()),
            ("ss_num_reg_images", self.pictures.1.to_string()),
            ("ss_steps", self.steps.to_string()),
            ("ss_max_train_steps", recipe.steps.to_string()),
            ("ss_optimizer", "AdamW".into()),
            ("ss_mixed_precision", "no".into()),
            ("ss_lr_scheduler", schedule.into()),
            ("ss_seed", recipe.seed.to_string()),
            ("ss_noise_offset", recipe.noise_offset.to_string()),
            ("ss_min_snr_gamma", recipe.min_snr.map_or_else(|| "None".into(), |gamma| gamma.to_string())),
            ("ss_caption_dropout_rate", recipe.caption_dropout.to_string()),
            ("ss_prior_loss_weight", recipe.prior_weight.to_string()),
            ("ss_resolution", format!("({side}, {side})")),
            ("ss_enable_bucket", "True".into()),
            ("ss_output_name", self.title.clone()),
            ("modelspec.sai_model_spec", "1.0.0".into()),
            ("modelspec.architecture", architecture(xl).into()),
            ("modelspec.implementation", if xl { SGM } else { "diffusers" }.into()),
            ("modelspec.title", self.title.clone()),
            ("modelspec.resolution", format!("{side}x{side}")),
            ("modelspec.prediction_type", if prediction == Prediction::Velocity { "v" } else { "epsilon" }.into()),
            ("greenroom.parts", parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
        ];
        let begin = (adapter.begin > 0.0).then(|| adapter.begin.to_string());
        let told = [
            (BEGIN, &begin),
            ("modelspec.trigger_phrase", &self.trigger),
            ("modelspec.license", &self.licence),
            ("modelspec.author", &self.author),
            ("modelspec.date", &self.date),
            ("ss_training_finished_at", &self.date),
            ("greenroom.base", &self.base),
            ("greenroom.character", &self.character),
            ("greenroom.dataset", &self.dataset),
        ];
        let told = told.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
        let more = self.more.iter().map(|(key, value)| (format!("greenroom.{key}"), value.clone()));
        always.into_iter().chain(told).map(|(key, value)| (key.to_owned(), value)).chain(more).collect()
    }
}

/// Refuses a file whose header says that it is for another kind of model.
pub(super) fn check(path: &Path, header: &BTreeMap<String, String>, sites: &[Site]) -> Result<(), LoraError> {
    let xl = is_xl(sites);
    let expected = architecture(xl).trim_end_matches("/lora");
    let wrong = |found: &str| {
        let file = path.into();
        Err(LoraError::Base { file, found: found.into(), expected: expected.into() })
    };
    if let Some(found) = header.get("modelspec.architecture") {
        let found = found.split('/').next().unwrap_or_default();
        // Layers of the second version have the first one's names and other sizes, which are compared later.
        let family = if xl { "stable-diffusion-xl" } else { "stable-diffusion-v" };
        return if found.is_empty() || found.starts_with(family) { Ok(()) } else { wrong(found) };
    }
    match header.get("ss_base_model_version") {
        Some(found) if found.starts_with("sdxl") != xl => wrong(found),
        _ => Ok(()),
    }
}

/// From which share of a sampler's steps on the adapter acts; other tools, which do not know it, let it act in all.
pub(super) fn begin(header: &BTreeMap<String, String>) -> f64 {
    let told = header.get(BEGIN).and_then(|begin| begin.parse().ok());
    told.filter(|begin| (0.0..1.0).contains(begin)).unwrap_or(0.0)
}

fn architecture(xl: bool) -> &'static str {
    if xl { "stable-diffusion-xl-v1-base/lora" } else { "stable-diffusion-v1/lora" }
}

const BEGIN: &str = "greenroom.begin";
const SGM: &str = "https://github.com/Stability-AI/generative-models";
