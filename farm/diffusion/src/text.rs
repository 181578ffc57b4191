//! CLIPTextModel (Radford et al. 2021, arXiv:2103.00020): token ids to one vector per token.
//! <https://huggingface.co/docs/transformers/model_doc/clip>

use candle_core::{Device, Tensor};
use std::path::Path;
use std::sync::Arc;

use crate::LoadError;
use crate::adapter::Hook;
use crate::attention::Attention;
use crate::config::Config;
use crate::layers::{LayerNorm, Linear};
use crate::weights::{WeightFile, Weights};

/// The text encoder.
pub(crate) struct TextEncoder {
    tokens: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    norm_out: LayerNorm,
    projection: Option<Linear>,
    end: u32,
    vocabulary: usize,
    width: usize,
    hooks: Vec<Arc<Hook>>,
}

/// What an encoder says of texts to a model that looks beneath its last layer, as SDXL does.
pub(crate) struct Beneath {
    /// (texts, tokens, width), before the last layer.
    pub(crate) hidden: Tensor,
    /// (texts, projection): the whole text in one vector, where the encoder has a projection.
    pub(crate) pooled: Option<Tensor>,
}

#[derive(Clone, Copy)]
enum Activation {
    Quick,
    Exact,
}

struct Layer {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    activation: Activation,
}

/// Sizes of every layer.
struct Shape {
    width: usize,
    inner: usize,
    heads: usize,
    eps: f64,
    activation: Activation,
}

impl TextEncoder {
    /// Reads `config.json` and the weights of a `text_encoder` folder.
    pub(crate) fn open(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let config = Config::open(&folder.join("config.json"))?;
        let activation = match config.text_or("hidden_act", "quick_gelu")? {
            "quick_gelu" => Activation::Quick,
            "gelu" => Activation::Exact,
            other => {
                return Err(config.error("hidden_act", format!("is `{other}`; `quick_gelu` and `gelu` are supported")));
            }
        };
        let shape = Shape {
            width: config.count("hidden_size")?,
            inner: config.count("intermediate_size")?,
            heads: config.count("num_attention_heads")?,
            eps: config.number_or("layer_norm_eps", 1e-5)?,
            activation,
        };
        if !shape.width.is_multiple_of(shape.heads) {
            let problem = format!("is {}, which does not divide hidden_size, {}", shape.heads, shape.width);
            return Err(config.error("num_attention_heads", problem));
        }
        let (vocabulary, length) = (config.count("vocab_size")?, config.count("max_position_embeddings")?);
        let file = WeightFile::in_folder(folder, "model", device)?;
        // Newer files leave the outer name out.
        let named = file.root().at("text_model");
        let weights = if named.has("final_layer_norm.weight") { named } else { file.root() };
        let layer = |i| Layer::load(&weights.at("encoder.layers").at(i), &shape);
        let embeddings = weights.at("embeddings");
        let projects = config.get("architectures").is_some_and(|v| v.to_string().contains("WithProjection"));
        let project = || {
            let output = config.count_or("projection_dim", 512)?;
            Linear::load_without_bias(&file.root().at("text_projection"), shape.width, output)
        };
        let text = Self {
            tokens: embeddings.at("token_embedding").get("weight", &[vocabulary, shape.width])?,
            positions: embeddings.at("position_embedding").get("weight", &[length, shape.width])?,
            layers: (0..config.count("num_hidden_layers")?).map(layer).collect::<Result<_, _>>()?,
            norm_out: LayerNorm::load(&weights.at("final_layer_norm"), shape.width, shape.eps)?,
            projection: projects.then(project).transpose()?,
            end: config.count_or("eos_token_id", 49_407)? as u32,
            vocabulary,
            width: shape.width,
            hooks: file.hooks(),
        };
        file.finish(&["embeddings.position_ids", "text_projection.weight"])?;
        Ok(text)
    }

    /// Token ids go from 0 up to this, exclusively.
    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The longest text, in tokens.
    pub(crate) fn longest(&self) -> candle_core::Result<usize> {
        self.positions.dim(0)
    }

    /// Width of the vectors.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The places for adapters, by their paths as diffusers writes them.
    pub(crate) fn hooks(&self) -> impl Iterator<Item = (String, &Arc<Hook>)> {
        self.hooks.iter().map(|hook| {
            let path = hook.path.strip_prefix("text_model.").unwrap_or(&hook.path);
            // The projection lies outside in every file.
            let outer = if path.starts_with("text_projection") { "" } else { "text_model." };
            (format!("{outer}{path}"), hook)
        })
    }

    /// Width of a whole text's vector, if there is one.
    pub(crate) fn pooled_width(&self) -> Option<usize> {
        self.projection.as_ref().map(Linear::output)
    }

    /// The first token id that has no vector.
    pub(crate) fn known(&self) -> candle_core::Result<usize> {
        self.tokens.dim(0)
    }

    /// Adds vectors (count, width) for the token ids from there on.
    pub(crate) fn add(&mut self, rows: &Tensor) -> candle_core::Result<()> {
        self.tokens = Tensor::cat(&[&self.tokens, rows], 0)?;
        Ok(())
    }

    /// Texts of equal length → (texts, tokens, width), after the last normalisation.
    pub(crate) fn forward(&self, texts: &[Vec<u32>]) -> candle_core::Result<Tensor> {
        let (mut x, mask) = self.embed(texts)?;
        for layer in &self.layers {
            x = layer.forward(&x, &mask)?;
        }
        self.norm_out.forward(&x)
    }

    /// Texts of equal length, as a model sees them that looks beneath the last layer.
    pub(crate) fn beneath(&self, texts: &[Vec<u32>]) -> candle_core::Result<Beneath> {
        let (mut x, mask) = self.embed(texts)?;
        let mut hidden = x.clone();
        for layer in &self.layers {
            hidden = x;
            x = layer.forward(&hidden, &mask)?;
        }
        let pooled = || {
            let Some(projection) = &self.projection else { return Ok(None) };
            let x = self.norm_out.forward(&x)?;
            let end = |ids: &Vec<u32>| {
                // Files from before the end token was told say 2, and mean the first of the highest ids.
                let known = ids.iter().filter(|&&id| (id as usize) < self.vocabulary);
                let end = if self.end == 2 { known.max().copied().unwrap_or(0) } else { self.end };
                ids.iter().position(|&id| id == end).unwrap_or(0)
            };
            let rows = texts.iter().enumerate().map(|(i, ids)| x.narrow(0, i, 1)?.narrow(1, end(ids), 1)?.squeeze(1));
            let ends = Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
            projection.forward(&ends).map(Some)
        };
        Ok(Beneath { pooled: pooled()?, hidden })
    }

    /// Token ids → vectors with their positions, and the mask of all layers.
    fn embed(&self, texts: &[Vec<u32>]) -> candle_core::Result<(Tensor, Tensor)> {
        let device = self.tokens.device();
        let length = texts.first().map_or(0, Vec::len);
        let ids = Tensor::from_vec(texts.concat(), texts.len() * length, device)?;
        let tokens = self.tokens.index_select(&ids, 0)?.reshape((texts.len(), length, self.width))?;
        let x = tokens.broadcast_add(&self.positions.narrow(0, 0, length)?)?;
        Ok((x, causal_mask(length, device)?))
    }
}

impl Layer {
    fn load(weights: &Weights<'_>, shape: &Shape) -> Result<Self, LoadError> {
        let (width, inner) = (shape.width, shape.inner);
        let project = |name: &str| Linear::load(&weights.at("self_attn").at(name), width, width);
        let (q, k, v, out) = (project("q_proj")?, project("k_proj")?, project("v_proj")?, project("out_proj")?);
        Ok(Self {
            norm1: LayerNorm::load(&weights.at("layer_norm1"), width, shape.eps)?,
            attention: Attention::new(q, k, v, out, shape.heads),
            norm2: LayerNorm::load(&weights.at("layer_norm2"), width, shape.eps)?,
            fc1: Linear::load(&weights.at("mlp.fc1"), width, inner)?,
            fc2: Linear::load(&weights.at("mlp.fc2"), inner, width)?,
            activation: shape.activation,
        })
    }

    fn forward(&self, x: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
        let x = (self.attention.to_itself(&self.norm1.forward(x)?, Some(mask))? + x)?;
        let inner = self.fc1.forward(&self.norm2.forward(&x)?)?;
        let inner = match self.activation {
            Activation::Quick => (&inner * candle_nn::ops::sigmoid(&(&inner * 1.702)?)?)?,
            Activation::Exact => inner.gelu_erf()?,
        };
        self.fc2.forward(&inner)? + x
    }
}

/// 0 where a token may look (itself and before), −∞ where not: (length, length).
fn causal_mask(length: usize, device: &Device) -> candle_core::Result<Tensor> {
    let row = |i| (0..length).map(move |j| if j <= i { 0.0 } else { f32::NEG_INFINITY });
    Tensor::from_vec((0..length).flat_map(row).collect::<Vec<_>>(), (length, length), device)
}
