//! UNet2DConditionModel as Stable Diffusion 1, 2 and XL use it (Ronneberger et al. 2015, Rombach et al. 2022), read from a
//! diffusers folder. <https://huggingface.co/docs/diffusers/api/models/unet2d-cond>

mod config;
mod way_down;

use candle_core::{Device, Tensor};
use std::path::Path;
use std::sync::Arc;

use crate::LoadError;
use crate::adapter::Hook;
use crate::attention::{Attention, Memory, Sight};
use crate::blocks::{Resnet, SpatialTransformer, Upsample};
use crate::config::Config;
use crate::layers::{Conv2d, GroupNorm, add};
use crate::linked::Recompute;
use crate::region::Region;
use crate::weights::{WeightFile, Weights};

pub(crate) use config::Sizes;
pub(crate) use way_down::{Left, Memories, WayDown};

/// Predicts noise (or velocity, or the picture) from a noisy latent, a time and a text.
pub(crate) struct Unet {
    way_down: WayDown,
    up: Vec<UpBlock>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    hooks: Vec<Arc<Hook>>,
    recompute: Arc<Recompute>,
}

/// Everything that a picture's cross-attentions see, one memory for each.
pub(crate) struct Context {
    way_down: Memories,
    up: Vec<Memory>,
}

struct UpBlock {
    resnets: Vec<Resnet>,
    transformers: Vec<SpatialTransformer>,
    upsample: Option<Upsample>,
}

impl Unet {
    /// Reads `config.json` and the weights of a `unet` folder.
    pub(crate) fn open(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let config = Config::open(&folder.join("config.json"))?;
        let sizes = Sizes::read(&config, "UNet2DConditionModel")?;
        let attends = config::attends(&config, "up_block_types", sizes.blocks(), "CrossAttnUpBlock2D", "UpBlock2D")?;
        let (latent, beside) = (sizes.channels, 2 * sizes.channels + 1);
        if ![latent, beside].contains(&sizes.inputs) {
            let expected = format!("{latent} like out_channels, or {beside} for a model that sees mask and picture");
            return Err(config.error("in_channels", format!("is {}, expected {expected}", sizes.inputs)));
        }
        let file = WeightFile::in_folder(folder, "diffusion_pytorch_model", device)?;
        let mut unet = Self::load(sizes, &attends, &file.root())?;
        unet.hooks = file.hooks();
        file.finish(&[])?;
        Ok(unet)
    }

    fn load(sizes: Sizes, attends: &[bool], weights: &Weights<'_>) -> Result<Self, LoadError> {
        let way_down = WayDown::load(sizes, weights)?;
        let sizes = way_down.sizes();
        let (first, norms) = (sizes.widths[0], sizes.norms);
        let up = attends.iter().enumerate().map(|(i, &attends)| sizes.load_up(weights, i, attends));
        Ok(Self {
            up: up.collect::<Result<_, _>>()?,
            norm_out: GroupNorm::load(&weights.at("conv_norm_out"), first, norms.groups, norms.eps)?,
            conv_out: Conv2d::load(&weights.at("conv_out"), first, sizes.channels)?,
            way_down,
            hooks: Vec::new(),
            recompute: weights.recompute(),
        })
    }

    /// Its sizes.
    pub(crate) fn sizes(&self) -> &Sizes {
        self.way_down.sizes()
    }

    /// Every cross-attention in the order in which diffusers counts them: the way down, the way up, the middle.
    pub(crate) fn cross_attentions(&self) -> impl Iterator<Item = &Attention> {
        let up = self.up.iter().flat_map(|block| &block.transformers).flat_map(SpatialTransformer::cross_attentions);
        self.way_down.down_attentions().chain(up).chain(self.way_down.mid_attentions())
    }

    /// Whether it sees, beside the latent, a mask and the latent of a picture without what the mask covers.
    pub(crate) fn sees_mask(&self) -> bool {
        self.sizes().inputs > self.sizes().channels
    }

    /// Prepares what the cross-attentions see: the base, and in each region its own.
    pub(crate) fn context(&self, base: &Sight<'_>, people: &[(Region, Sight<'_>)]) -> candle_core::Result<Context> {
        let attentions = self.cross_attentions().enumerate();
        let memories = attentions.map(|(number, attention)| attention.memory(number, base, people));
        let mut down = memories.collect::<candle_core::Result<Vec<_>>>()?;
        let mid = down.split_off(down.len() - self.way_down.mid_attentions().count());
        let up = down.split_off(self.way_down.down_attentions().count());
        Ok(Context { way_down: Memories { down, mid }, up })
    }

    /// Embeds times: (times, width), one row a step.
    pub(crate) fn embed_times(&self, times: &[f32], device: &Device) -> candle_core::Result<Tensor> {
        self.way_down.embed_times(times, device)
    }

    /// Embeds what SDXL is told beside the time: (N, pooled) of the text and six numbers for each row → (N, width).
    pub(crate) fn embed_added(&self, pooled: &Tensor, sizes: &[[f32; 6]]) -> candle_core::Result<Option<Tensor>> {
        self.way_down.embed_added(pooled, sizes)
    }

    /// What the blocks are told: an embedded time (1 or N, width), and what was told beside it.
    pub(crate) fn told(&self, time: &Tensor, added: Option<&Tensor>) -> candle_core::Result<Tensor> {
        self.way_down.told(time, added)
    }

    /// The places for adapters.
    pub(crate) fn hooks(&self) -> &[Arc<Hook>] {
        &self.hooks
    }

    /// The switch of its blocks.
    pub(crate) fn recompute(&self) -> &Recompute {
        &self.recompute
    }

    /// Latent (N, C, H, W) with what is to be seen beside it, a time as [`Self::told`] says it → the prediction, shaped
    /// like the latent. What a ControlNet left is added to what the own way down leaves.
    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        time: &Tensor,
        context: &Context,
        control: Option<&Left>,
    ) -> candle_core::Result<Tensor> {
        let Left { mid: mut x, mut skips } = self.way_down.forward(latent, None, time, &context.way_down)?;
        if let Some(control) = control {
            x = add(&x, &control.mid)?;
            for (skip, more) in skips.iter_mut().zip(&control.skips) {
                *skip = add(skip, more)?;
            }
        }
        let mut up = context.up.iter();
        for block in &self.up {
            for (i, resnet) in block.resnets.iter().enumerate() {
                let Some(skip) = skips.pop() else {
                    candle_core::bail!("the way up has more blocks than the way down")
                };
                x = resnet.forward_joined(&x, &skip, time)?;
                if let Some(transformer) = block.transformers.get(i) {
                    x = transformer.forward(&x, &mut up)?;
                }
            }
            if let (Some(upsample), Some(next)) = (&block.upsample, skips.last()) {
                let (_, _, height, width) = next.dims4()?;
                x = upsample.forward(&x, (height, width))?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward_silu(&x)?)
    }
}

impl Sizes {
    fn load_up(&self, weights: &Weights<'_>, i: usize, attends: bool) -> Result<UpBlock, LoadError> {
        let weights = weights.at("up_blocks").at(i);
        let level = self.blocks() - 1 - i;
        let (width, time) = (self.widths[level], Some(self.time_width()));
        let below = self.widths[(level + 1).min(self.blocks() - 1)];
        let count = self.resnets[level] + 1;
        // The last block's skip comes from the level above, where the way down entered this one.
        let skip = |j| if j + 1 == count { self.widths[level.saturating_sub(1)] } else { width };
        let input = |j| if j == 0 { below } else { width };
        let resnet = |j| Resnet::load(&weights.at("resnets").at(j), (input(j) + skip(j), width), time, self.norms);
        let transformer = |j| self.transformer(&weights.at("attentions").at(j), level);
        let attentions = if attends { count } else { 0 };
        let upsample = || Upsample::load(&weights.at("upsamplers.0"), width);
        Ok(UpBlock {
            resnets: (0..count).map(resnet).collect::<Result<_, _>>()?,
            transformers: (0..attentions).map(transformer).collect::<Result<_, _>>()?,
            upsample: if level == 0 { None } else { Some(upsample()?) },
        })
    }
}
