//! Prompts to what the UNet sees of them, by one text encoder or, in SDXL, by two.
//! <https://huggingface.co/docs/diffusers/api/pipelines/stable_diffusion/stable_diffusion_xl>

use candle_core::{D, Device, Tensor};
use std::path::Path;

use super::StableDiffusion;
use crate::config::Config;
use crate::error::Stage;
use crate::text::TextEncoder;
use crate::tokenizer::Tokenizer;
use crate::{GenerateError, LoadError};

/// What a model sees of some texts.
#[derive(Clone, Debug)]
pub struct Texts {
    /// (texts, tokens, context).
    pub hidden: Tensor,
    /// Of SDXL, each text in one vector: (texts, width).
    pub pooled: Option<Tensor>,
}

/// The second text encoder of SDXL.
pub(super) struct Second {
    pub(super) tokenizer: Tokenizer,
    pub(super) text: TextEncoder,
    /// An empty text is seen as zeros.
    empty_is_zero: bool,
}

impl Second {
    pub(super) fn open(folder: &Path, index: &Config, device: &Device) -> Result<Self, LoadError> {
        let (tokenizer, text) = open(folder, "_2", device)?;
        Ok(Self { tokenizer, text, empty_is_zero: index.flag_or("force_zeros_for_empty_prompt", true)? })
    }
}

/// A tokenizer and its encoder, from the folders with this ending.
pub(super) fn open(folder: &Path, ending: &str, device: &Device) -> Result<(Tokenizer, TextEncoder), LoadError> {
    let own = folder.join(format!("text_encoder{ending}"));
    let text = TextEncoder::open(&own, device)?;
    let longest = text.longest().map_err(|source| LoadError::Device { file: own, source })?;
    Ok((Tokenizer::open(&folder.join(format!("tokenizer{ending}")), longest, text.vocabulary())?, text))
}

impl StableDiffusion {
    /// Encodes texts. Where adapters that are being trained act on the encoders, gradients reach them.
    ///
    /// # Errors
    /// Where a text cannot be tokenized, and where computing failed.
    pub fn encode_texts(&self, texts: &[&str]) -> Result<Texts, GenerateError> {
        let ids =
            |tokenizer: &Tokenizer| texts.iter().map(|text| tokenizer.encode(text)).collect::<Result<Vec<_>, _>>();
        let stage = "encoding the prompt";
        let first = ids(&self.tokenizer)?;
        let Some(second) = &self.second else {
            return Ok(Texts { hidden: self.text.forward(&first).stage(stage)?, pooled: None });
        };
        let other = ids(&second.tokenizer)?;
        let both = || {
            let (one, two) = (self.text.beneath(&first)?, second.text.beneath(&other)?);
            let hidden = Tensor::cat(&[one.hidden, two.hidden], D::Minus1)?;
            let Some(pooled) = two.pooled else { candle_core::bail!("the second text encoder has no projection") };
            if !second.empty_is_zero || texts.iter().all(|text| !text.is_empty()) {
                return Ok(Texts { hidden, pooled: Some(pooled) });
            }
            let shown: Vec<f32> = texts.iter().map(|text| f32::from(u8::from(!text.is_empty()))).collect();
            let shown = Tensor::from_vec(shown, (texts.len(), 1), &self.device)?;
            Ok(Texts {
                hidden: hidden.broadcast_mul(&shown.unsqueeze(2)?)?,
                pooled: Some(pooled.broadcast_mul(&shown)?),
            })
        };
        both().stage(stage)
    }
}
