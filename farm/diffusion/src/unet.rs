//! UNet2DConditionModel as Stable Diffusion 1 and 2 use it (Ronneberger et al. 2015, Rombach et al. 2022), read from a
//! diffusers folder. <https://huggingface.co/docs/diffusers/api/models/unet2d-cond>

mod config;

use candle_core::{Device, Tensor};
use std::path::Path;

use crate::LoadError;
use crate::attention::{Attention, Memory, Sight};
use crate::blocks::{Downsample, Resnet, SpatialTransformer, TransformerShape, Upsample};
use crate::layers::{Conv2d, GroupNorm, Linear, silu};
use crate::region::Region;
use crate::weights::{WeightFile, Weights};

pub(crate) use config::UnetConfig;

/// Predicts noise (or velocity, or the picture) from a noisy latent, a time and a text.
pub(crate) struct Unet {
    config: UnetConfig,
    time1: Linear,
    time2: Linear,
    conv_in: Conv2d,
    down: Vec<DownBlock>,
    mid: MidBlock,
    up: Vec<UpBlock>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// Everything that a picture's cross-attentions see, one memory for each, in the order of [`Unet::cross_attentions`].
pub(crate) struct Context {
    memories: Vec<Memory>,
}

struct DownBlock {
    resnets: Vec<Resnet>,
    transformers: Vec<SpatialTransformer>,
    downsample: Option<Downsample>,
}

struct MidBlock {
    before: Resnet,
    transformer: SpatialTransformer,
    after: Resnet,
}

struct UpBlock {
    resnets: Vec<Resnet>,
    transformers: Vec<SpatialTransformer>,
    upsample: Option<Upsample>,
}

impl Unet {
    /// Reads `config.json` and the weights of a `unet` folder.
    pub(crate) fn open(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let config = UnetConfig::open(&folder.join("config.json"))?;
        let file = WeightFile::in_folder(folder, "diffusion_pytorch_model", device)?;
        let unet = Self::load(config, &file.root())?;
        file.finish(&[])?;
        Ok(unet)
    }

    fn load(config: UnetConfig, weights: &Weights<'_>) -> Result<Self, LoadError> {
        let (first, time) = (config.widths[0], config.time_width());
        let embedding = weights.at("time_embedding");
        Ok(Self {
            time1: Linear::load(&embedding.at("linear_1"), first, time)?,
            time2: Linear::load(&embedding.at("linear_2"), time, time)?,
            conv_in: Conv2d::load(&weights.at("conv_in"), config.channels, first)?,
            down: (0..config.blocks()).map(|i| config.load_down(weights, i)).collect::<Result<_, _>>()?,
            mid: config.load_mid(&weights.at("mid_block"))?,
            up: (0..config.blocks()).map(|i| config.load_up(weights, i)).collect::<Result<_, _>>()?,
            norm_out: GroupNorm::load(&weights.at("conv_norm_out"), first, config.norms.groups, config.norms.eps)?,
            conv_out: Conv2d::load(&weights.at("conv_out"), first, config.channels)?,
            config,
        })
    }

    /// Its sizes.
    pub(crate) fn config(&self) -> &UnetConfig {
        &self.config
    }

    /// Every cross-attention in the order in which diffusers counts them: the way down, the way up, the middle.
    pub(crate) fn cross_attentions(&self) -> impl Iterator<Item = &Attention> {
        let down = self.down.iter().flat_map(|block| &block.transformers);
        let up = self.up.iter().flat_map(|block| &block.transformers);
        down.chain(up).chain([&self.mid.transformer]).flat_map(SpatialTransformer::cross_attentions)
    }

    /// Prepares what the cross-attentions see: the base, and in each region its own.
    pub(crate) fn context(&self, base: &Sight<'_>, people: &[(Region, Sight<'_>)]) -> candle_core::Result<Context> {
        let attentions = self.cross_attentions().enumerate();
        let memories = attentions.map(|(number, attention)| attention.memory(number, base, people));
        Ok(Context { memories: memories.collect::<candle_core::Result<_>>()? })
    }

    /// Embeds times: (times, width), ready for [`Self::forward`] row by row.
    pub(crate) fn embed_times(&self, times: &[f32], device: &Device) -> candle_core::Result<Tensor> {
        let half = self.config.widths[0] / 2;
        let mut waves = Vec::with_capacity(times.len() * half * 2);
        for &time in times {
            let angle = |i: usize| {
                let exponent = -(10_000f32.ln()) * i as f32 / (half as f32 - self.config.frequency_shift as f32);
                time * exponent.exp()
            };
            let (sines, cosines) = ((0..half).map(|i| angle(i).sin()), (0..half).map(|i| angle(i).cos()));
            if self.config.cosine_first {
                waves.extend(cosines.chain(sines));
            } else {
                waves.extend(sines.chain(cosines));
            }
        }
        let waves = Tensor::from_vec(waves, (times.len(), 2 * half), device)?;
        silu(&self.time2.forward(&silu(&self.time1.forward(&waves)?)?)?)
    }

    /// Latent (N, C, H, W), an embedded time (1 or N, width) → the prediction, shaped like the latent.
    ///
    /// A ControlNet would add its residuals to `skips` and to the middle's output, between the way down and the way up.
    pub(crate) fn forward(&self, latent: &Tensor, time: &Tensor, context: &Context) -> candle_core::Result<Tensor> {
        let down_count = self.down.iter().flat_map(|b| &b.transformers).flat_map(|t| t.cross_attentions()).count();
        let mid_count = self.mid.transformer.cross_attentions().count();
        let (outer, mid) = context.memories.split_at(context.memories.len() - mid_count);
        let (down, up) = outer.split_at(down_count);
        let (mut down, mut up, mut mid) = (down.iter(), up.iter(), mid.iter());

        let mut x = self.conv_in.forward(latent)?;
        let mut skips = vec![x.clone()];
        for block in &self.down {
            for (i, resnet) in block.resnets.iter().enumerate() {
                x = resnet.forward(&x, Some(time))?;
                if let Some(transformer) = block.transformers.get(i) {
                    x = transformer.forward(&x, &mut down)?;
                }
                skips.push(x.clone());
            }
            if let Some(downsample) = &block.downsample {
                x = downsample.forward(&x)?;
                skips.push(x.clone());
            }
        }

        x = self.mid.before.forward(&x, Some(time))?;
        x = self.mid.transformer.forward(&x, &mut mid)?;
        x = self.mid.after.forward(&x, Some(time))?;

        for block in &self.up {
            for (i, resnet) in block.resnets.iter().enumerate() {
                let Some(skip) = skips.pop() else {
                    candle_core::bail!("the way up has more blocks than the way down")
                };
                x = resnet.forward(&Tensor::cat(&[x, skip], 1)?, Some(time))?;
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

impl UnetConfig {
    fn transformer(&self, weights: &Weights<'_>, level: usize) -> Result<SpatialTransformer, LoadError> {
        let shape = TransformerShape {
            width: self.widths[level],
            context: self.context,
            heads: self.heads[level],
            layers: self.transformers[level],
            groups: self.norms.groups,
            linear: self.linear,
        };
        SpatialTransformer::load(weights, &shape)
    }

    fn load_down(&self, weights: &Weights<'_>, level: usize) -> Result<DownBlock, LoadError> {
        let weights = weights.at("down_blocks").at(level);
        let (width, time) = (self.widths[level], Some(self.time_width()));
        let input = |i| if i == 0 { self.widths[level.saturating_sub(1)] } else { width };
        let resnet = |i| Resnet::load(&weights.at("resnets").at(i), (input(i), width), time, self.norms);
        let transformer = |i| self.transformer(&weights.at("attentions").at(i), level);
        let attentions = if self.down_attends[level] { self.resnets[level] } else { 0 };
        let last = level + 1 == self.blocks();
        let downsample = || Downsample::load(&weights.at("downsamplers.0"), width);
        Ok(DownBlock {
            resnets: (0..self.resnets[level]).map(resnet).collect::<Result<_, _>>()?,
            transformers: (0..attentions).map(transformer).collect::<Result<_, _>>()?,
            downsample: if last { None } else { Some(downsample()?) },
        })
    }

    fn load_mid(&self, weights: &Weights<'_>) -> Result<MidBlock, LoadError> {
        let level = self.blocks() - 1;
        let (width, time) = (self.widths[level], Some(self.time_width()));
        let resnet = |i| Resnet::load(&weights.at("resnets").at(i), (width, width), time, self.norms);
        Ok(MidBlock {
            before: resnet(0)?,
            transformer: self.transformer(&weights.at("attentions.0"), level)?,
            after: resnet(1)?,
        })
    }

    fn load_up(&self, weights: &Weights<'_>, i: usize) -> Result<UpBlock, LoadError> {
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
        let attentions = if self.up_attends[i] { count } else { 0 };
        let upsample = || Upsample::load(&weights.at("upsamplers.0"), width);
        Ok(UpBlock {
            resnets: (0..count).map(resnet).collect::<Result<_, _>>()?,
            transformers: (0..attentions).map(transformer).collect::<Result<_, _>>()?,
            upsample: if level == 0 { None } else { Some(upsample()?) },
        })
    }
}
