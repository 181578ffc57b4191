//! The layers that every network here is made of, with diffusers' tensor names (`weight`, `bias`).
//!
//! Each layer is the one place where its weights act, so adapters (LoRA) attach here; and each chooses between the fast
//! [`kernels`] and candle's operations, whichever the tensors allow. Neither computes gradients of frozen weights.

use candle_core::{D, Tensor};
use std::sync::Arc;

use crate::LoadError;
use crate::adapter::{Hook, Patch};
use crate::kernels;
use crate::linked::linked;
use crate::weights::Weights;

/// y = x Wᵀ + b, and what adapters add.
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    hook: Arc<Hook>,
}

impl Linear {
    /// Reads a (output, input) matrix and its bias.
    pub(crate) fn load(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, LoadError> {
        Ok(Self { bias: Some(weights.get("bias", &[output])?), ..Self::load_without_bias(weights, input, output)? })
    }

    /// Reads a matrix that has no bias.
    pub(crate) fn load_without_bias(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, LoadError> {
        let weight = weights.get("weight", &[output, input])?;
        Ok(Self { hook: weights.hook(&[output, input], &weight), weight, bias: None })
    }

    /// Reads a 1×1 convolution, which is the same thing over (…, pixels, channels).
    pub(crate) fn load_pointwise(weights: &Weights<'_>, input: usize, output: usize) -> Result<Self, LoadError> {
        let weight = weights.get("weight", &[output, input, 1, 1])?;
        let weight = weight.reshape((output, input)).map_err(|source| weights.device_error(source))?;
        let hook = weights.hook(&[output, input, 1, 1], &weight);
        Ok(Self { weight, bias: Some(weights.get("bias", &[output])?), hook })
    }

    /// Width of the output.
    pub(crate) fn output(&self) -> usize {
        self.weight.dims()[0]
    }

    /// (…, input) → (…, output).
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut y = self.base(x)?;
        for patch in self.hook.acting().iter() {
            y = match patch {
                Patch::Beside { down, up, scale, .. } => {
                    let inner = (product(x, down)? * *scale)?;
                    if kernels::usable(&[&y, up]) {
                        kernels::linear_onto(&y, &inner, up)?
                    } else {
                        (y + product(&inner, up)?)?
                    }
                }
                Patch::Dense { delta } => add(&y, &product(x, delta)?)?,
            };
        }
        Ok(y)
    }

    fn base(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match &self.bias {
            Some(bias) if kernels::usable(&[x, &self.weight, bias]) => kernels::linear_with_bias(x, &self.weight, bias),
            Some(bias) => product(x, &self.weight)?.broadcast_add(bias),
            None => product(x, &self.weight),
        }
    }
}

/// x Wᵀ.
fn product(x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
    if kernels::usable(&[x, weight]) {
        return kernels::linear(x, weight);
    }
    let plain = |x: &Tensor, matrix: &Tensor| {
        let mut dims = x.dims().to_vec();
        let y = x.contiguous()?.reshape(((), matrix.dim(0)?))?.matmul(matrix)?;
        if let Some(last) = dims.last_mut() {
            *last = matrix.dim(1)?;
        }
        y.reshape(dims)
    };
    if x.track_op() && kernels::frozen(&[weight]) {
        let weight = weight.clone();
        return linked(&plain(&x.detach(), &weight.t()?)?, x, move |grad| plain(grad, &weight));
    }
    plain(x, &weight.t()?)
}

/// A square convolution with zeros around the picture, and what adapters add.
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
    hook: Arc<Hook>,
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
        let shape = [output, input, kernel, kernel];
        let weight = weights.get("weight", &shape)?;
        let hook = weights.hook(&shape, &weight);
        Ok(Self { weight, bias: weights.get("bias", &[output])?, stride, padding, hook })
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
        let y = self.forward(x)?;
        if kernels::usable(&[&y, shift]) {
            return kernels::shift(&y, shift);
        }
        y.broadcast_add(&shift.unsqueeze(2)?.unsqueeze(3)?)
    }

    fn forward_with_bias(&self, x: &Tensor, bias: &Tensor) -> candle_core::Result<Tensor> {
        let mut y = if kernels::usable(&[x, &self.weight, bias]) {
            kernels::conv2d(x, &self.weight, bias, self.stride, self.padding)?
        } else {
            convolved(x, &self.weight, self.stride, self.padding)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)?
        };
        for patch in self.hook.acting().iter() {
            let added = match patch {
                Patch::Beside { down, mid: None, up, scale } => {
                    let inner = (convolved(x, down, self.stride, self.padding)? * *scale)?;
                    convolved(&inner, up, 1, 0)?
                }
                Patch::Beside { down, mid: Some(mid), up, scale } => {
                    let inner = (convolved(x, down, 1, 0)? * *scale)?;
                    convolved(&convolved(&inner, mid, self.stride, self.padding)?, up, 1, 0)?
                }
                Patch::Dense { delta } => convolved(x, delta, self.stride, self.padding)?,
            };
            y = add(&y, &added)?;
        }
        Ok(y)
    }
}

/// A convolution without bias.
fn convolved(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> candle_core::Result<Tensor> {
    if kernels::usable(&[x, weight]) {
        let nothing = Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device())?;
        return kernels::conv2d(x, weight, &nothing, stride, padding);
    }
    if x.track_op() && kernels::frozen(&[weight]) {
        let (weight, (_, _, height, width)) = (weight.clone(), x.dims4()?);
        let value = x.detach().conv2d(&weight, padding, stride, 1, 1)?;
        return linked(&value, x, move |grad| {
            let reached = |side: usize| (side - 1) * stride + weight.dims()[2] - 2 * padding;
            let short = (height - reached(grad.dim(2)?)).max(width - reached(grad.dim(3)?));
            let whole = grad.contiguous()?.conv_transpose2d(&weight, padding, short, stride, 1)?;
            whole.narrow(2, 0, height)?.narrow(3, 0, width)
        });
    }
    x.conv2d(weight, padding, stride, 1, 1)
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
        if kernels::usable(&[x, &self.weight, &self.bias]) && kernels::frozen(&[&self.weight, &self.bias]) {
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
        if kernels::usable(&[x, &self.weight, &self.bias]) && kernels::frozen(&[&self.weight, &self.bias]) {
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
        if kernels::usable(&[&x, &self.weight, &self.bias]) && kernels::frozen(&[&self.weight, &self.bias]) {
            // candle's fused operation has no gradient.
            if kernels::frozen(&[&x]) {
                return candle_nn::ops::layer_norm(&x, &self.weight, &self.bias, self.eps as f32);
            }
            return kernels::layer_norm(&x, &self.weight, &self.bias, self.eps);
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

/// (N, A, B) → (N, B, A), contiguous.
pub(crate) fn swap(x: &Tensor) -> candle_core::Result<Tensor> {
    if kernels::usable(&[x]) { kernels::swap(x) } else { x.transpose(1, 2)?.contiguous() }
}

/// (N, A, …) and (N, B, …) → (N, A + B, …).
pub(crate) fn join(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    if kernels::usable(&[a, b]) { kernels::join(a, b) } else { Tensor::cat(&[a, b], 1) }
}

/// Doubles pixels: (N, C, h, w) → (N, C, height, width), each side twice as large or one less.
pub(crate) fn upsample(x: &Tensor, (height, width): (usize, usize)) -> candle_core::Result<Tensor> {
    if kernels::usable(&[x]) {
        return kernels::upsample(x, (height, width));
    }
    let (_, _, from_height, from_width) = x.dims4()?;
    let twice = x.upsample_nearest2d(2 * from_height, 2 * from_width)?;
    twice.narrow(2, 0, height)?.narrow(3, 0, width)
}

/// a + b, of equal shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    if kernels::usable(&[a, b]) && a.shape() == b.shape() { kernels::add(a, b) } else { a + b }
}

#[cfg(test)]
mod tests {
    use super::{convolved, product};
    use candle_core::{DType, Device, Tensor, Var};

    /// As on another device: types that the fused operations do not take.
    fn numbers(dims: &[usize], step: f64) -> Tensor {
        let count = dims.iter().product::<usize>() as u32;
        let ramp = Tensor::arange(0u32, count, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
        ((ramp * step).unwrap().sin().unwrap()).reshape(dims).unwrap()
    }

    #[test]
    fn frozen_weights_get_no_gradient_and_inputs_their_own_whatever_the_device() {
        let x = Var::from_tensor(&numbers(&[2, 3, 9, 8], 0.37)).unwrap();
        let kernel = numbers(&[4, 3, 3, 3], 0.71);
        let loss = |y: Tensor| (y.sqr().unwrap().sum_all().unwrap() * 0.1).unwrap();
        for (stride, padding) in [(1, 1), (2, 1)] {
            let gradients = loss(convolved(x.as_tensor(), &kernel, stride, padding).unwrap()).backward().unwrap();
            assert!(gradients.get(&kernel).is_none());
            let found: Vec<f64> = gradients.get(x.as_tensor()).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let start: Vec<f64> = x.as_tensor().flatten_all().unwrap().to_vec1().unwrap();
            for at in [0, 100, 215, 431] {
                let moved = |by: f64| {
                    let mut values = start.clone();
                    values[at] += by;
                    let x = Tensor::from_vec(values, x.shape(), &Device::Cpu).unwrap();
                    loss(convolved(&x, &kernel, stride, padding).unwrap()).to_scalar::<f64>().unwrap()
                };
                let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                assert!((slope - found[at]).abs() < 1e-6, "{at}: {slope} {}", found[at]);
            }
        }
        let (rows, matrix) = (Var::from_tensor(&numbers(&[5, 6], 0.9)).unwrap(), numbers(&[4, 6], 0.3));
        let gradients = loss(product(rows.as_tensor(), &matrix).unwrap()).backward().unwrap();
        assert!(gradients.get(&matrix).is_none());
        let y = rows.as_tensor().detach().matmul(&matrix.t().unwrap()).unwrap();
        let expected = (y.matmul(&matrix).unwrap() * 0.2).unwrap();
        let found = gradients.get(rows.as_tensor()).unwrap();
        let far = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(far < 1e-12, "{far}");
    }
}
