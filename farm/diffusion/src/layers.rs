//! The layers that every network here is made of, with diffusers' tensor names (`weight`, `bias`).
//!
//! Each layer is the one place where its weights act, so an adapter (LoRA) attaches here; and each chooses between
//! candle's operations, which have gradients, and the faster [`kernels`], which have none.

use candle_core::{D, Tensor};

use crate::LoadError;
use crate::kernels;
use crate::weights::Weights;

/// y = x Wᵀ + b.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Reads a (output, input) matrix and its bias.
    pub(crate) fn load(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, LoadError> {
        let bias = Some(weights.get("bias", &[output])?);
        Ok(Self { weight: weights.get("weight", &[output, input])?, bias })
    }

    /// Reads a matrix that has no bias.
    pub(crate) fn load_without_bias(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, LoadError> {
        Ok(Self { weight: weights.get("weight", &[output, input])?, bias: None })
    }

    /// Reads a 1×1 convolution, which is the same thing over (…, pixels, channels).
    pub(crate) fn load_pointwise(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, LoadError> {
        let weight = weights.get("weight", &[output, input, 1, 1])?;
        let weight = weight.reshape((output, input)).map_err(|source| weights.device_error(source))?;
        Ok(Self { weight, bias: Some(weights.get("bias", &[output])?) })
    }

    /// Width of the output.
    pub(crate) fn output(&self) -> usize {
        self.weight.dims()[0]
    }

    /// (…, input) → (…, output).
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match &self.bias {
            Some(bias) if kernels::usable(&[x, &self.weight, bias]) => {
                return kernels::linear_with_bias(x, &self.weight, bias);
            }
            None if kernels::usable(&[x, &self.weight]) => return kernels::linear(x, &self.weight),
            _ => {}
        }
        let (output, input) = self.weight.dims2()?;
        let mut dims = x.dims().to_vec();
        let y = x.contiguous()?.reshape(((), input))?.matmul(&self.weight.t()?)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        if let Some(last) = dims.last_mut() {
            *last = output;
        }
        y.reshape(dims)
    }
}

/// A square convolution with zeros around the picture.
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Reads a (output, input, 3, 3) kernel that keeps the picture's size.
    pub(crate) fn load(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, LoadError> {
        Self::load_with(weights, (input, output), 3, 1, 1)
    }

    /// Reads a kernel of any size.
    pub(crate) fn load_with(
        weights: &Weights<'_>,
        (input, output): (usize, usize),
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Self, LoadError> {
        let weight = weights.get("weight", &[output, input, kernel, kernel])?;
        Ok(Self { weight, bias: weights.get("bias", &[output])?, stride, padding })
    }

    /// (N, input, H, W) → (N, output, H′, W′).
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.forward_with_bias(x, &self.bias)
    }

    /// The same, and (1 or N, output) added to every pixel.
    pub(crate) fn forward_shifted(&self, x: &Tensor, shift: &Tensor) -> candle_core::Result<Tensor> {
        if shift.dim(0)? == 1 {
            return self.forward_with_bias(x, &(&self.bias + shift.squeeze(0)?)?);
        }
        self.forward(x)?.broadcast_add(&shift.unsqueeze(2)?.unsqueeze(3)?)
    }

    fn forward_with_bias(&self, x: &Tensor, bias: &Tensor) -> candle_core::Result<Tensor> {
        if kernels::usable(&[x, &self.weight, bias]) {
            return kernels::conv2d(x, &self.weight, bias, self.stride, self.padding);
        }
        let y = x.conv2d(&self.weight, self.padding, self.stride, 1, 1)?;
        y.broadcast_add(&bias.reshape((1, (), 1, 1))?)
    }
}

/// Group normalisation with scale and shift per channel.
pub(crate) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// Reads scale and shift. `groups` divides `channels`: the configurations are checked for it.
    pub(crate) fn load(weights: &Weights<'_>, channels: usize, groups: usize, eps: f64) -> Result<Self, LoadError> {
        Ok(Self { weight: weights.get("weight", &[channels])?, bias: weights.get("bias", &[channels])?, groups, eps })
    }

    /// (N, C, …) → the same shape.
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if kernels::usable(&[x, &self.weight, &self.bias]) {
            return kernels::group_norm(x, &self.weight, &self.bias, self.groups, self.eps, false);
        }
        let dims = x.dims();
        let grouped = x.contiguous()?.reshape((dims[0], self.groups, ()))?;
        let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(2)? + self.eps)?.sqrt()?;
        let mut per_channel = vec![1; dims.len()];
        per_channel[1] = dims[1];
        let (weight, bias) = (self.weight.reshape(per_channel.clone())?, self.bias.reshape(per_channel)?);
        centred.broadcast_div(&deviation)?.reshape(dims)?.broadcast_mul(&weight)?.broadcast_add(&bias)
    }

    /// The same, and SiLU after it.
    pub(crate) fn forward_silu(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if kernels::usable(&[x, &self.weight, &self.bias]) {
            return kernels::group_norm(x, &self.weight, &self.bias, self.groups, self.eps, true);
        }
        self.forward(x)?.silu()
    }
}

/// Normalisation over the last dimension with scale and shift.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Reads scale and shift.
    pub(crate) fn load(weights: &Weights<'_>, width: usize, eps: f64) -> Result<Self, LoadError> {
        Ok(Self { weight: weights.get("weight", &[width])?, bias: weights.get("bias", &[width])?, eps })
    }

    /// (…, width) → the same shape.
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let x = x.contiguous()?;
        if kernels::usable(&[&x, &self.weight, &self.bias]) {
            return candle_nn::ops::layer_norm(&x, &self.weight, &self.bias, self.eps as f32);
        }
        candle_nn::ops::layer_norm_slow(&x, &self.weight, &self.bias, self.eps as f32)
    }
}

/// x · σ(x).
pub(crate) fn silu(x: &Tensor) -> candle_core::Result<Tensor> {
    if kernels::usable(&[x]) { kernels::silu(x) } else { x.silu() }
}

/// The first half of the last dimension times GELU of the second.
pub(crate) fn geglu(x: &Tensor) -> candle_core::Result<Tensor> {
    if kernels::usable(&[x]) {
        return kernels::geglu(x);
    }
    let halves = x.chunk(2, D::Minus1)?;
    &halves[0] * halves[1].gelu_erf()?
}

/// a + b, of equal shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    if kernels::usable(&[a, b]) && a.shape() == b.shape() { kernels::add(a, b) } else { a + b }
}
