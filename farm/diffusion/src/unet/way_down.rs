//! The half of a UNet that goes down, with its middle. A ControlNet is a second one.

use candle_core::{Device, Tensor};

use super::config::{SIZES, Sizes};
use crate::LoadError;
use crate::attention::{Attention, Memory};
use crate::blocks::{Downsample, Resnet, SpatialTransformer, TransformerShape};
use crate::layers::{Conv2d, Linear, silu};
use crate::weights::Weights;

/// Time embedding, blocks of falling resolution, and the middle.
pub(crate) struct WayDown {
    sizes: Sizes,
    time1: Linear,
    time2: Linear,
    added: Option<(Linear, Linear)>,
    conv_in: Conv2d,
    down: Vec<DownBlock>,
    mid: MidBlock,
}

/// What its cross-attentions see, one memory for each.
pub(crate) struct Memories {
    /// Of the blocks.
    pub(crate) down: Vec<Memory>,
    /// Of the middle.
    pub(crate) mid: Vec<Memory>,
}

/// What comes out.
pub(crate) struct Left {
    /// Of the middle: (N, C, H, W) at the lowest resolution.
    pub(crate) mid: Tensor,
    /// Of every block, for the way up: channels as in [`Sizes::skips`].
    pub(crate) skips: Vec<Tensor>,
}

struct DownBlock {
    resnets: Vec<Resnet>,
    transformers: Vec<SpatialTransformer>,
    downsample: Option<Downsample>,
}

struct MidBlock {
    before: Resnet,
    attends: Option<(SpatialTransformer, Resnet)>,
}

impl WayDown {
    pub(crate) fn load(sizes: Sizes, weights: &Weights<'_>) -> Result<Self, LoadError> {
        let (first, time) = (sizes.widths[0], sizes.time_width());
        let embedding = weights.at("time_embedding");
        let beside = weights.at("add_embedding");
        let added = sizes.added.map(|added| {
            let first = Linear::load(&beside.at("linear_1"), added.input, time)?;
            Ok((first, Linear::load(&beside.at("linear_2"), time, time)?))
        });
        Ok(Self {
            time1: Linear::load(&embedding.at("linear_1"), first, time)?,
            time2: Linear::load(&embedding.at("linear_2"), time, time)?,
            added: added.transpose()?,
            conv_in: Conv2d::load(&weights.at("conv_in"), sizes.inputs, first)?,
            down: (0..sizes.blocks()).map(|i| sizes.load_down(weights, i)).collect::<Result<_, _>>()?,
            mid: sizes.load_mid(&weights.at("mid_block"))?,
            sizes,
        })
    }

    pub(crate) fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The cross-attentions of the blocks.
    pub(crate) fn down_attentions(&self) -> impl Iterator<Item = &Attention> {
        self.down.iter().flat_map(|block| &block.transformers).flat_map(SpatialTransformer::cross_attentions)
    }

    /// The cross-attentions of the middle.
    pub(crate) fn mid_attentions(&self) -> impl Iterator<Item = &Attention> {
        self.mid.attends.iter().flat_map(|(transformer, _)| transformer.cross_attentions())
    }

    /// Embeds times: (times, width), one row a step.
    pub(crate) fn embed_times(&self, times: &[f32], device: &Device) -> candle_core::Result<Tensor> {
        let waves = self.waves(times, self.sizes.widths[0], device)?;
        self.time2.forward(&silu(&self.time1.forward(&waves)?)?)
    }

    /// Embeds what is told beside the time: (N, pooled) of the text and six numbers for each row → (N, width).
    pub(crate) fn embed_added(&self, pooled: &Tensor, sizes: &[[f32; SIZES]]) -> candle_core::Result<Option<Tensor>> {
        let (Some((first, second)), Some(added)) = (&self.added, self.sizes.added) else { return Ok(None) };
        let waves = self.waves(sizes.as_flattened(), added.waves, pooled.device())?.reshape((sizes.len(), ()))?;
        let all = Tensor::cat(&[pooled, &waves], 1)?;
        second.forward(&silu(&first.forward(&all)?)?).map(Some)
    }

    /// What the blocks are told: an embedded time (1 or N, width), and what was told beside it.
    pub(crate) fn told(&self, time: &Tensor, added: Option<&Tensor>) -> candle_core::Result<Tensor> {
        match added {
            Some(added) => silu(&time.broadcast_add(added)?),
            None => silu(time),
        }
    }

    /// Each number as sines and cosines: (numbers, width).
    fn waves(&self, numbers: &[f32], width: usize, device: &Device) -> candle_core::Result<Tensor> {
        let half = width / 2;
        let mut waves = Vec::with_capacity(numbers.len() * half * 2);
        for &number in numbers {
            let angle = |i: usize| {
                let exponent = -(10_000f32.ln()) * i as f32 / (half as f32 - self.sizes.frequency_shift as f32);
                number * exponent.exp()
            };
            let (sines, cosines) = ((0..half).map(|i| angle(i).sin()), (0..half).map(|i| angle(i).cos()));
            if self.sizes.cosine_first {
                waves.extend(cosines.chain(sines));
            } else {
                waves.extend(sines.chain(cosines));
            }
        }
        Tensor::from_vec(waves, (numbers.len(), 2 * half), device)
    }

    /// Latent (N, C, H, W), a time as [`Self::told`] says it → what is left for the way up. `beside` (1 or N, first width,
    /// H, W) is added to the latent's features.
    pub(crate) fn forward(
        &self,
        latent: &Tensor,
        beside: Option<&Tensor>,
        time: &Tensor,
        memories: &Memories,
    ) -> candle_core::Result<Left> {
        let (mut down, mut mid) = (memories.down.iter(), memories.mid.iter());
        let mut x = self.conv_in.forward(latent)?;
        if let Some(beside) = beside {
            x = x.broadcast_add(beside)?;
        }
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
        if let Some((transformer, after)) = &self.mid.attends {
            x = transformer.forward(&x, &mut mid)?;
            x = after.forward(&x, Some(time))?;
        }
        Ok(Left { mid: x, skips })
    }
}

impl Sizes {
    pub(super) fn transformer(&self, weights: &Weights<'_>, level: usize) -> Result<SpatialTransformer, LoadError> {
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
        let attentions = if self.attends[level] { self.resnets[level] } else { 0 };
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
        let attends = || Ok((self.transformer(&weights.at("attentions.0"), level)?, resnet(1)?));
        Ok(MidBlock { before: resnet(0)?, attends: if self.mid_attends { Some(attends()?) } else { None } })
    }
}
