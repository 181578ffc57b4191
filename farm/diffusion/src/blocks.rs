//! The blocks that UNet and VAE share: residual block, down- and upsampling, spatial transformer.

use candle_core::Tensor;
use std::sync::Arc;

use crate::LoadError;
use crate::attention::{Attention, Memory};
use crate::layers::{Conv2d, GroupNorm, LayerNorm, Linear, add, geglu, join, swap, upsample};
use crate::linked::Recompute;
use crate::weights::Weights;

/// How the normalisations of a network are built.
#[derive(Clone, Copy)]
pub(crate) struct Norms {
    /// Channel groups; divides every block's channels.
    pub(crate) groups: usize,
    /// Added to the variance.
    pub(crate) eps: f64,
}

/// Two convolutions around a time embedding, and the input added to them.
pub(crate) struct Resnet {
    layers: Arc<ResnetLayers>,
    recompute: Arc<Recompute>,
}

struct ResnetLayers {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl Resnet {
    /// Reads a block; `time` is the embedding's width, none in a VAE.
    pub(crate) fn load(
        weights: &Weights<'_>,
        (input, output): (usize, usize),
        time: Option<usize>,
        norms: Norms,
    ) -> Result<Self, LoadError> {
        let shortcut = || Conv2d::load_with(&weights.at("conv_shortcut"), (input, output), 1, 1, 0);
        let layers = ResnetLayers {
            norm1: GroupNorm::load(&weights.at("norm1"), input, norms.groups, norms.eps)?,
            conv1: Conv2d::load(&weights.at("conv1"), input, output)?,
            time: time.map(|time| Linear::load(&weights.at("time_emb_proj"), time, output)).transpose()?,
            norm2: GroupNorm::load(&weights.at("norm2"), output, norms.groups, norms.eps)?,
            conv2: Conv2d::load(&weights.at("conv2"), output, output)?,
            shortcut: if input == output { None } else { Some(shortcut()?) },
        };
        Ok(Self { layers: Arc::new(layers), recompute: weights.recompute() })
    }

    /// (N, input, H, W) → (N, output, H, W); `time` is (1 or N, width), already through SiLU.
    pub(crate) fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let Some(time) = time else { return self.layers.forward(x, None) };
        let layers = self.layers.clone();
        // Three inputs are what such an operation has; this one has two.
        self.recompute.run([x, time, &time.detach()], move |[x, time, _]| layers.forward(x, Some(time)))
    }

    /// The same with the skip of the way down beside the input: (N, input − C, H, W) and (N, C, H, W).
    pub(crate) fn forward_joined(&self, x: &Tensor, skip: &Tensor, time: &Tensor) -> candle_core::Result<Tensor> {
        let layers = self.layers.clone();
        self.recompute.run([x, skip, time], move |[x, skip, time]| layers.forward(&join(x, skip)?, Some(time)))
    }
}

impl ResnetLayers {
    fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> candle_core::Result<Tensor> {
        let y = self.norm1.forward_silu(x)?;
        let y = match (&self.time, time) {
            (Some(project), Some(time)) => self.conv1.forward_shifted(&y, &project.forward(time)?)?,
            _ => self.conv1.forward(&y)?,
        };
        let y = self.conv2.forward(&self.norm2.forward_silu(&y)?)?;
        match &self.shortcut {
            Some(shortcut) => add(&shortcut.forward(x)?, &y),
            None => add(x, &y),
        }
    }
}

/// Halves each side of the picture.
pub(crate) struct Downsample {
    conv: Conv2d,
    one_sided: bool,
}

impl Downsample {
    /// As in a UNet: a row and column of zeros all around.
    pub(crate) fn load(weights: &Weights<'_>, channels: usize) -> Result<Self, LoadError> {
        let conv = Conv2d::load_with(&weights.at("conv"), (channels, channels), 3, 2, 1)?;
        Ok(Self { conv, one_sided: false })
    }

    /// As in a VAE's encoder: zeros on the right and at the bottom alone.
    pub(crate) fn load_one_sided(weights: &Weights<'_>, channels: usize) -> Result<Self, LoadError> {
        let conv = Conv2d::load_with(&weights.at("conv"), (channels, channels), 3, 2, 0)?;
        Ok(Self { conv, one_sided: true })
    }

    /// (N, C, H, W) → (N, C, ⌈H/2⌉, ⌈W/2⌉).
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if self.one_sided {
            return self.conv.forward(&x.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?);
        }
        self.conv.forward(x)
    }
}

/// Grows the picture by repeating pixels, then convolves.
pub(crate) struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    /// Reads the convolution.
    pub(crate) fn load(weights: &Weights<'_>, channels: usize) -> Result<Self, LoadError> {
        Ok(Self { conv: Conv2d::load(&weights.at("conv"), channels, channels)? })
    }

    /// (N, C, h, w) → (N, C, height, width), each twice as large or one less.
    pub(crate) fn forward(&self, x: &Tensor, (height, width): (usize, usize)) -> candle_core::Result<Tensor> {
        self.conv.forward(&upsample(x, (height, width))?)
    }
}

/// Transformer blocks over the pixels of a picture.
pub(crate) struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

impl SpatialTransformer {
    /// Reads `layers` blocks; `linear` says whether the outer projections are stored as matrices or as 1×1 convolutions.
    pub(crate) fn load(weights: &Weights<'_>, shape: &TransformerShape) -> Result<Self, LoadError> {
        let width = shape.width;
        let project = if shape.linear { Linear::load } else { Linear::load_pointwise };
        let block = |i| TransformerBlock::load(&weights.at("transformer_blocks").at(i), shape);
        Ok(Self {
            norm: GroupNorm::load(&weights.at("norm"), width, shape.groups, 1e-6)?,
            proj_in: project(&weights.at("proj_in"), width, width)?,
            blocks: (0..shape.layers).map(block).collect::<Result<_, _>>()?,
            proj_out: project(&weights.at("proj_out"), width, width)?,
        })
    }

    /// The cross-attentions, outermost first.
    pub(crate) fn cross_attentions(&self) -> impl Iterator<Item = &Attention> {
        self.blocks.iter().map(|block| &block.layers.attn2)
    }

    /// (N, C, H, W) → the same shape; takes one memory for each block from the front of `memories`.
    pub(crate) fn forward<'m>(
        &self,
        x: &Tensor,
        memories: &mut impl Iterator<Item = &'m Memory>,
    ) -> candle_core::Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let mut y = self.proj_in.forward(&swap(&self.norm.forward(x)?.flatten_from(2)?)?)?;
        for block in &self.blocks {
            let Some(memory) = memories.next() else { candle_core::bail!("a cross-attention has no memory") };
            y = block.forward(&y, memory, (height, width))?;
        }
        let y = swap(&self.proj_out.forward(&y)?)?;
        add(&y.reshape((batch, channels, height, width))?, x)
    }
}

/// Sizes of a [`SpatialTransformer`].
pub(crate) struct TransformerShape {
    /// Channels of the picture.
    pub(crate) width: usize,
    /// Width of the text's vectors.
    pub(crate) context: usize,
    /// Heads of every attention.
    pub(crate) heads: usize,
    /// Transformer blocks.
    pub(crate) layers: usize,
    /// Channel groups of the outer normalisation.
    pub(crate) groups: usize,
    /// Outer projections stored as matrices.
    pub(crate) linear: bool,
}

/// Self-attention, cross-attention and a gated feed-forward layer.
struct TransformerBlock {
    layers: Arc<TransformerLayers>,
    recompute: Arc<Recompute>,
}

struct TransformerLayers {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    expand: Linear,
    contract: Linear,
}

impl TransformerBlock {
    fn load(weights: &Weights<'_>, shape: &TransformerShape) -> Result<Self, LoadError> {
        let width = shape.width;
        let norm = |name| LayerNorm::load(&weights.at(name), width, 1e-5);
        let attention = |name, context| {
            Attention::load(&weights.at(name), width, context, shape.heads, /* input_bias */ false)
        };
        let layers = TransformerLayers {
            norm1: norm("norm1")?,
            attn1: attention("attn1", width)?,
            norm2: norm("norm2")?,
            attn2: attention("attn2", shape.context)?,
            norm3: norm("norm3")?,
            expand: Linear::load(&weights.at("ff.net.0.proj"), width, 8 * width)?,
            contract: Linear::load(&weights.at("ff.net.2"), 4 * width, width)?,
        };
        Ok(Self { layers: Arc::new(layers), recompute: weights.recompute() })
    }

    fn forward(&self, x: &Tensor, memory: &Memory, grid: (usize, usize)) -> candle_core::Result<Tensor> {
        let (layers, rest) = (self.layers.clone(), memory.clone());
        let (key, value) = memory.text();
        self.recompute.run([x, key, value], move |[x, key, value]| layers.forward(x, &rest.with_text(key, value), grid))
    }
}

impl TransformerLayers {
    fn forward(&self, x: &Tensor, memory: &Memory, grid: (usize, usize)) -> candle_core::Result<Tensor> {
        let x = add(&self.attn1.to_itself(&self.norm1.forward(x)?, None)?, x)?;
        let x = add(&self.attn2.to_memory(&self.norm2.forward(&x)?, memory, grid)?, &x)?;
        add(&self.contract.forward(&geglu(&self.expand.forward(&self.norm3.forward(&x)?)?)?)?, &x)
    }
}
