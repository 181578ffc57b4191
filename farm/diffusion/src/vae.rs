//! AutoencoderKL (Rombach et al. 2022, arXiv:2112.10752) from a diffusers folder: pictures to latents and back.
//! <https://huggingface.co/docs/diffusers/api/models/autoencoderkl>

use candle_core::{Device, Tensor};
use std::path::Path;

use crate::LoadError;
use crate::attention::Attention;
use crate::blocks::{Downsample, Norms, Resnet, Upsample};
use crate::config::Config;
use crate::layers::{Conv2d, GroupNorm, Linear, add};
use crate::weights::{WeightFile, Weights};

/// Encoder and decoder. Latents are scaled to unit variance.
pub(crate) struct Vae {
    encoder: Encoder,
    decoder: Decoder,
    quant: Option<Conv2d>,
    post_quant: Option<Conv2d>,
    channels: usize,
    factor: usize,
    scale: f64,
    shift: f64,
}

struct Shape {
    channels: usize,
    widths: Vec<usize>,
    layers: usize,
    norms: Norms,
    attends: bool,
}

struct Encoder {
    conv_in: Conv2d,
    blocks: Vec<(Vec<Resnet>, Option<Downsample>)>,
    mid: Middle,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

struct Decoder {
    conv_in: Conv2d,
    mid: Middle,
    blocks: Vec<(Vec<Resnet>, Option<Upsample>)>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// Two residual blocks and, between them, attention of every pixel to every other.
struct Middle {
    before: Resnet,
    attention: Option<(GroupNorm, Attention)>,
    after: Resnet,
}

impl Vae {
    /// Reads `config.json` and the weights of a `vae` folder.
    pub(crate) fn open(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let config = Config::open(&folder.join("config.json"))?;
        let shape = Shape::read(&config)?;
        let file = WeightFile::in_folder(folder, "diffusion_pytorch_model", device)?;
        let (weights, channels) = (file.root(), shape.channels);
        let pointwise = |flag: &str, name: &str, width: usize| {
            let load = || Conv2d::load_with(&weights.at(name), (width, width), 1, 1, 0);
            config.flag_or(flag, true)?.then(load).transpose()
        };
        let vae = Self {
            encoder: Encoder::load(&weights.at("encoder"), &shape)?,
            decoder: Decoder::load(&weights.at("decoder"), &shape)?,
            quant: pointwise("use_quant_conv", "quant_conv", 2 * channels)?,
            post_quant: pointwise("use_post_quant_conv", "post_quant_conv", channels)?,
            channels,
            factor: 1 << (shape.widths.len() - 1),
            scale: config.number_or("scaling_factor", 0.18215)?,
            shift: config.number_or("shift_factor", 0.0)?,
        };
        if vae.scale == 0.0 {
            return Err(config.error("scaling_factor", "is 0"));
        }
        file.finish(&[])?;
        Ok(vae)
    }

    /// Channels of a latent.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// How many times smaller than the picture a latent is, on each side.
    pub(crate) fn factor(&self) -> usize {
        self.factor
    }

    /// Latent (N, C, h, w) → picture (N, 3, H, W), about −1 to 1.
    pub(crate) fn decode(&self, latent: &Tensor) -> candle_core::Result<Tensor> {
        let x = ((latent / self.scale)? + self.shift)?;
        let x = self.post_quant.as_ref().map_or(Ok(x.clone()), |conv| conv.forward(&x))?;
        self.decoder.forward(&x)
    }

    /// Picture (N, 3, H, W) from −1 to 1 → the mean latent (N, C, h, w).
    pub(crate) fn encode(&self, picture: &Tensor) -> candle_core::Result<Tensor> {
        let x = self.encoder.forward(picture)?;
        let moments = self.quant.as_ref().map_or(Ok(x.clone()), |conv| conv.forward(&x))?;
        let mean = moments.narrow(1, 0, self.channels)?.contiguous()?;
        (mean - self.shift)? * self.scale
    }
}

impl Shape {
    fn read(config: &Config) -> Result<Self, LoadError> {
        for (field, only) in UNSUPPORTED {
            config.require(field, &serde_json::from_str(only).unwrap_or_default())?;
        }
        let widths = config.counts("block_out_channels")?;
        for (field, only) in [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")] {
            let types = config.texts(field)?;
            if let Some(other) = types.iter().find(|&&name| name != only) {
                return Err(config.error(field, format!("holds `{other}`; only `{only}` is supported")));
            }
            if types.len() != widths.len() {
                let problem = format!("has {} entries for {} blocks", types.len(), widths.len());
                return Err(config.error(field, problem));
            }
        }
        let groups = config.count_or("norm_num_groups", 32)?;
        if let Some(width) = widths.iter().find(|width| !width.is_multiple_of(groups)) {
            let problem = format!("is {groups}, which does not divide {width} channels");
            return Err(config.error("norm_num_groups", problem));
        }
        Ok(Self {
            channels: config.count_or("latent_channels", 4)?,
            widths,
            layers: config.count_or("layers_per_block", 1)?,
            norms: Norms { groups, eps: 1e-6 },
            attends: config.flag_or("mid_block_add_attention", true)?,
        })
    }

    fn last(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    fn norm_out(&self, weights: &Weights<'_>, width: usize) -> Result<GroupNorm, LoadError> {
        GroupNorm::load(&weights.at("conv_norm_out"), width, self.norms.groups, self.norms.eps)
    }

    fn resnets(
        &self,
        weights: &Weights<'_>,
        count: usize,
        input: usize,
        width: usize,
    ) -> Result<Vec<Resnet>, LoadError> {
        let input = |i| if i == 0 { input } else { width };
        let resnet = |i| Resnet::load(&weights.at("resnets").at(i), (input(i), width), None, self.norms);
        (0..count).map(resnet).collect()
    }
}

impl Encoder {
    fn load(weights: &Weights<'_>, shape: &Shape) -> Result<Self, LoadError> {
        let (widths, last) = (&shape.widths, shape.last());
        let block = |i: usize| {
            let weights = weights.at("down_blocks").at(i);
            let resnets = shape.resnets(&weights, shape.layers, widths[i.saturating_sub(1)], widths[i])?;
            let downsample = || Downsample::load_one_sided(&weights.at("downsamplers.0"), widths[i]);
            Ok((resnets, (i + 1 < widths.len()).then(downsample).transpose()?))
        };
        Ok(Self {
            conv_in: Conv2d::load(&weights.at("conv_in"), 3, widths[0])?,
            blocks: (0..widths.len()).map(block).collect::<Result<_, _>>()?,
            mid: Middle::load(&weights.at("mid_block"), shape)?,
            norm_out: shape.norm_out(weights, last)?,
            conv_out: Conv2d::load(&weights.at("conv_out"), last, 2 * shape.channels)?,
        })
    }

    fn forward(&self, picture: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.conv_in.forward(picture)?;
        for (resnets, downsample) in &self.blocks {
            for resnet in resnets {
                x = resnet.forward(&x, None)?;
            }
            if let Some(downsample) = downsample {
                x = downsample.forward(&x)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&self.mid.forward(&x)?)?)
    }
}

impl Decoder {
    fn load(weights: &Weights<'_>, shape: &Shape) -> Result<Self, LoadError> {
        let (count, last) = (shape.widths.len(), shape.last());
        let block = |i: usize| {
            let weights = weights.at("up_blocks").at(i);
            let width = shape.widths[count - 1 - i];
            let input = shape.widths[(count - i).min(count - 1)];
            let resnets = shape.resnets(&weights, shape.layers + 1, input, width)?;
            let upsample = || Upsample::load(&weights.at("upsamplers.0"), width);
            Ok((resnets, (i + 1 < count).then(upsample).transpose()?))
        };
        Ok(Self {
            conv_in: Conv2d::load(&weights.at("conv_in"), shape.channels, last)?,
            mid: Middle::load(&weights.at("mid_block"), shape)?,
            blocks: (0..count).map(block).collect::<Result<_, _>>()?,
            norm_out: shape.norm_out(weights, shape.widths[0])?,
            conv_out: Conv2d::load(&weights.at("conv_out"), shape.widths[0], 3)?,
        })
    }

    fn forward(&self, latent: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.mid.forward(&self.conv_in.forward(latent)?)?;
        for (resnets, upsample) in &self.blocks {
            for resnet in resnets {
                x = resnet.forward(&x, None)?;
            }
            if let Some(upsample) = upsample {
                let (_, _, height, width) = x.dims4()?;
                x = upsample.forward(&x, (2 * height, 2 * width))?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&x)?)
    }
}

impl Middle {
    fn load(weights: &Weights<'_>, shape: &Shape) -> Result<Self, LoadError> {
        let (width, norms) = (shape.last(), shape.norms);
        let resnet = |i| Resnet::load(&weights.at("resnets").at(i), (width, width), None, norms);
        let attention = || {
            let weights = weights.at("attentions.0");
            let norm = GroupNorm::load(&weights.at("group_norm"), width, norms.groups, norms.eps)?;
            Ok((norm, load_attention(&weights, width)?))
        };
        Ok(Self { before: resnet(0)?, attention: shape.attends.then(attention).transpose()?, after: resnet(1)? })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.before.forward(x, None)?;
        if let Some((norm, attention)) = &self.attention {
            let (batch, channels, height, width) = x.dims4()?;
            let pixels = norm.forward(&x)?.flatten_from(2)?.transpose(1, 2)?;
            let seen = attention.to_itself(&pixels, None)?.transpose(1, 2)?.contiguous()?;
            x = add(&seen.reshape((batch, channels, height, width))?, &x)?;
        }
        self.after.forward(&x, None)
    }
}

/// The VAE files of Stable Diffusion 1 are older than diffusers' present names, so both are read.
fn load_attention(weights: &Weights<'_>, width: usize) -> Result<Attention, LoadError> {
    if !weights.has("query.weight") {
        return Attention::load(weights, width, width, 1, /* input_bias */ true);
    }
    let linear = |name| Linear::load(&weights.at(name), width, width);
    Ok(Attention::new(linear("query")?, linear("key")?, linear("value")?, linear("proj_attn")?, 1))
}

/// Fields that change the network, and the one value (JSON) that is built.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("_class_name", "\"AutoencoderKL\""),
    ("act_fn", "\"silu\""),
    ("in_channels", "3"),
    ("out_channels", "3"),
    ("latents_mean", "null"),
    ("latents_std", "null"),
];
