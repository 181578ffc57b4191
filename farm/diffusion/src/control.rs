//! ControlNet (Zhang et al. 2023, arXiv:2302.05543) from a diffusers folder: a second way down, which sees a picture too, and
//! whose every output is added to what the UNet's own leaves.
//! <https://huggingface.co/docs/diffusers/api/models/controlnet>

use candle_core::{Device, Tensor};
use image::RgbImage;
use std::fmt;
use std::path::Path;

use crate::LoadError;
use crate::attention::Sight;
use crate::config::Config;
use crate::layers::{Conv2d, silu};
use crate::region::Region;
use crate::unet::{Left, Memories, Sizes, WayDown};
use crate::weights::{WeightFile, Weights};

/// A loaded ControlNet, of use to models of the sizes that it was made for.
pub struct ControlNet {
    way_down: WayDown,
    picture: PictureEmbedding,
    skips: Vec<Conv2d>,
    mid: Conv2d,
}

impl ControlNet {
    /// Reads `config.json` and the weights of a `controlnet` folder, for a UNet of these sizes and a VAE of this factor.
    pub(crate) fn open(folder: &Path, unet: &Sizes, factor: usize, device: &Device) -> Result<Self, LoadError> {
        let config = Config::open(&folder.join("config.json"))?;
        let sizes = Sizes::read(&config, "ControlNetModel")?;
        for (field, only) in [
            ("conditioning_channels", "3"),
            ("controlnet_conditioning_channel_order", "\"rgb\""),
            ("global_pool_conditions", "false"),
        ] {
            config.require(field, &serde_json::from_str(only).unwrap_or_default())?;
        }
        let embedding = match config.get("conditioning_embedding_out_channels") {
            Some(_) => config.counts("conditioning_embedding_out_channels")?,
            None => vec![16, 32, 96, 256],
        };
        if let Some((field, problem)) = misfit(&sizes, unet, 1 << (embedding.len() - 1), factor) {
            return Err(config.error(field, problem));
        }
        let file = WeightFile::in_folder(folder, "diffusion_pytorch_model", device)?;
        let net = Self::load(sizes, &embedding, &file.root())?;
        file.finish(&[])?;
        Ok(net)
    }

    fn load(sizes: Sizes, embedding: &[usize], weights: &Weights<'_>) -> Result<Self, LoadError> {
        // Made of zeros before the training, so that a new net changes nothing.
        let pointwise = |weights: &Weights<'_>, width| Conv2d::load_with(weights, (width, width), 1, 1, 0);
        let skip = |(i, width)| pointwise(&weights.at("controlnet_down_blocks").at(i), width);
        let (first, last) = (sizes.widths[0], sizes.widths[sizes.blocks() - 1]);
        Ok(Self {
            picture: PictureEmbedding::load(&weights.at("controlnet_cond_embedding"), embedding, first)?,
            skips: sizes.skips().into_iter().enumerate().map(skip).collect::<Result<_, _>>()?,
            mid: pointwise(&weights.at("controlnet_mid_block"), last)?,
            way_down: WayDown::load(sizes, weights)?,
        })
    }

    /// Which field does not fit a UNet of these sizes and a VAE of this factor, and why.
    pub(crate) fn misfit(&self, unet: &Sizes, factor: usize) -> Option<(&'static str, String)> {
        misfit(self.way_down.sizes(), unet, self.picture.factor(), factor)
    }

    /// Prepares what the cross-attentions see of the texts; identities are not for a ControlNet.
    pub(crate) fn memories(&self, base: &Tensor, people: &[(Region, &Tensor)]) -> candle_core::Result<Memories> {
        let sight = |text| Sight { text, identity: Vec::new() };
        let people: Vec<_> = people.iter().map(|&(region, text)| (region, sight(text))).collect();
        let memory = |attention: &crate::attention::Attention| attention.memory(0, &sight(base), &people);
        Ok(Memories {
            down: self.way_down.down_attentions().map(memory).collect::<candle_core::Result<_>>()?,
            mid: self.way_down.mid_attentions().map(memory).collect::<candle_core::Result<_>>()?,
        })
    }

    /// Embeds times: (times, width), one row a step.
    pub(crate) fn embed_times(&self, times: &[f32], device: &Device) -> candle_core::Result<Tensor> {
        self.way_down.embed_times(times, device)
    }

    /// The picture's features, the same in every step: (1, first width, H, W) at the latent's size.
    pub(crate) fn embed(&self, picture: &RgbImage, device: &Device) -> candle_core::Result<Tensor> {
        let shape = (1, picture.height() as usize, picture.width() as usize, 3);
        let values: Vec<f32> = picture.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect();
        self.embed_tensor(&Tensor::from_vec(values, shape, device)?.permute((0, 3, 1, 2))?.contiguous()?)
    }

    /// The same of (1, 3, height, width), 0 to 1.
    pub(crate) fn embed_tensor(&self, picture: &Tensor) -> candle_core::Result<Tensor> {
        self.picture.forward(picture)
    }

    /// What is added to the UNet's way down: latent (N, C, H, W), the [embedded](Self::embed) picture and time.
    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        picture: &Tensor,
        time: &Tensor,
        memories: &Memories,
        scale: f64,
    ) -> candle_core::Result<Left> {
        let left = self.way_down.forward(latent, Some(picture), &self.way_down.told(time, None)?, memories)?;
        let scaled = |conv: &Conv2d, x: &Tensor| conv.forward(x)? * scale;
        let skips = self.skips.iter().zip(&left.skips).map(|(conv, skip)| scaled(conv, skip));
        Ok(Left { skips: skips.collect::<candle_core::Result<_>>()?, mid: scaled(&self.mid, &left.mid)? })
    }
}

impl fmt::Debug for ControlNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlNet").field("widths", &self.way_down.sizes().widths).finish_non_exhaustive()
    }
}

/// Convolutions that bring a picture to the latent's size.
struct PictureEmbedding {
    conv_in: Conv2d,
    blocks: Vec<Conv2d>,
    conv_out: Conv2d,
}

impl PictureEmbedding {
    fn load(weights: &Weights<'_>, widths: &[usize], output: usize) -> Result<Self, LoadError> {
        let mut blocks = Vec::new();
        for (i, pair) in widths.windows(2).enumerate() {
            let at = |j| weights.at("blocks").at(2 * i + j);
            blocks.push(Conv2d::load(&at(0), pair[0], pair[0])?);
            blocks.push(Conv2d::load_with(&at(1), (pair[0], pair[1]), 3, 2, 1)?);
        }
        Ok(Self {
            conv_in: Conv2d::load(&weights.at("conv_in"), 3, widths[0])?,
            blocks,
            conv_out: Conv2d::load(&weights.at("conv_out"), widths[widths.len() - 1], output)?,
        })
    }

    /// How many times smaller its output is on each side.
    fn factor(&self) -> usize {
        1 << (self.blocks.len() / 2)
    }

    /// (N, 3, height, width) of 0 to 1 → (N, output, H, W).
    fn forward(&self, picture: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = silu(&self.conv_in.forward(picture)?)?;
        for block in &self.blocks {
            x = silu(&block.forward(&x)?)?;
        }
        self.conv_out.forward(&x)
    }
}

fn misfit(own: &Sizes, unet: &Sizes, halved: usize, factor: usize) -> Option<(&'static str, String)> {
    let differs = |own: &dyn fmt::Debug, unet: &dyn fmt::Debug| format!("is {own:?}, the UNet has {unet:?}");
    if own.channels != unet.channels {
        return Some(("in_channels", differs(&own.channels, &unet.channels)));
    }
    if own.context != unet.context {
        return Some(("cross_attention_dim", differs(&own.context, &unet.context)));
    }
    if own.widths != unet.widths {
        return Some(("block_out_channels", differs(&own.widths, &unet.widths)));
    }
    if own.resnets != unet.resnets {
        return Some(("layers_per_block", differs(&own.resnets, &unet.resnets)));
    }
    let problem = || format!("makes a picture {halved} times smaller, the VAE {factor} times");
    (halved != factor).then(|| ("conditioning_embedding_out_channels", problem()))
}
