//! Group normalisation, its scale and shift and an optional SiLU in one operation; layer normalisation with a gradient.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::activation::{silu_of, silu_slope};
use super::{floats, held, vectorised};

/// Normalises (N, C, …) over each of `groups` channel groups (Wu and He 2018, arXiv:1803.08494); `silu` follows at once.
pub(crate) fn group_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: usize,
    eps: f64,
    silu: bool,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, GroupNorm { groups, eps: eps as f32, silu })
}

/// Normalises the last dimension (Ba et al. 2016, arXiv:1607.06450).
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, LayerNorm { eps: eps as f32 })
}

struct GroupNorm {
    groups: usize,
    eps: f32,
    silu: bool,
}

impl CustomOp3 for GroupNorm {
    fn name(&self) -> &'static str {
        "group_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let &[batch, channels, ..] = x_layout.dims() else { candle_core::bail!("group_norm takes (N, C, …)") };
        let (x, weight, bias) = (floats(x, x_layout)?, floats(weight, weight_layout)?, floats(bias, bias_layout)?);
        let (depth, area) = (channels / self.groups, x.len() / (batch * channels));
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(depth * area).zip(x.par_chunks(depth * area)).enumerate().for_each(|(i, (out, x))| {
            let first = i % self.groups * depth;
            let (mean, scale) = vectorised(
                #[inline(always)]
                || moments(x, self.eps),
            );
            for (c, (out, x)) in out.chunks_exact_mut(area).zip(x.chunks_exact(area)).enumerate() {
                let a = weight[first + c] * scale;
                let b = bias[first + c] - mean * a;
                vectorised(
                    #[inline(always)]
                    || apply(x, out, a, b, self.silu),
                );
            }
        });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    /// Of the input alone: scale and shift are frozen wherever this operation is used.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let &[batch, channels, ..] = x.dims() else { candle_core::bail!("group_norm takes (N, C, …)") };
        let grad = grad.contiguous()?;
        let held = [held(x)?, held(weight)?, held(bias)?, held(&grad)?];
        let [values, weights, biases, grads] =
            [held[0].floats()?, held[1].floats()?, held[2].floats()?, held[3].floats()?];
        let (depth, area) = (channels / self.groups, values.len() / (batch * channels));
        let mut out = vec![0.0; values.len()];
        let pieces = values.par_chunks(depth * area).zip(grads.par_chunks(depth * area));
        out.par_chunks_mut(depth * area).zip(pieces).enumerate().for_each(|(i, (out, (x, g)))| {
            let first = i % self.groups * depth;
            vectorised(
                #[inline(always)]
                || {
                    let (mean, scale) = moments(x, self.eps);
                    let (mut of_grad, mut of_both) = (0.0, 0.0);
                    let planes = out.chunks_exact_mut(area).zip(x.chunks_exact(area)).zip(g.chunks_exact(area));
                    for (c, ((out, x), g)) in planes.enumerate() {
                        let (a, b) = (weights[first + c], biases[first + c]);
                        normal_gradient(x, g, out, (mean, scale), (a, b), self.silu);
                        of_grad += sum(
                            out,
                            #[inline(always)]
                            |v| v,
                        );
                        of_both += dot(out, x, mean);
                    }
                    let count = x.len() as f32;
                    let (of_grad, of_both) = (of_grad / count, of_both * scale / count);
                    let last = |o: &mut f32, x: f32| *o = scale * (*o - of_grad - (x - mean) * scale * of_both);
                    out.iter_mut().zip(x).for_each(|(o, &x)| last(o, x));
                },
            );
        });
        Ok((Some(Tensor::from_vec(out, x.dims(), x.device())?), None, None))
    }
}

/// The gradient of the normalised values, before scale, shift and SiLU.
#[inline(always)]
fn normal_gradient(x: &[f32], g: &[f32], out: &mut [f32], (mean, scale): (f32, f32), (a, b): (f32, f32), silu: bool) {
    if silu {
        let (slope, shift) = (a * scale, b - mean * a * scale);
        out.iter_mut().zip(x.iter().zip(g)).for_each(|(o, (&x, &g))| *o = g * a * silu_slope(x * slope + shift));
    } else {
        out.iter_mut().zip(g).for_each(|(o, &g)| *o = g * a);
    }
}

/// Σ g (x − mean).
#[inline(always)]
fn dot(g: &[f32], x: &[f32], mean: f32) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0f32; LANES];
    let (a, b) = (g.chunks_exact(LANES), x.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(&g, &x)| g * (x - mean)).sum();
    a.zip(b).for_each(|(a, b)| sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (&g, &x))| *s += g * (x - mean)));
    sums.iter().sum::<f32>() + rest
}

struct LayerNorm {
    eps: f32,
}

/// Rows that one piece takes.
const ROWS: usize = 64;

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (floats(x, x_layout)?, floats(weight, weight_layout)?, floats(bias, bias_layout)?);
        let width = weight.len();
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width)).for_each(|(out, x)| {
            vectorised(
                #[inline(always)]
                || {
                    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                        let (mean, scale) = moments(x, self.eps);
                        let affine = weight.iter().zip(bias);
                        let row = out.iter_mut().zip(x).zip(affine);
                        row.for_each(|((o, &x), (&a, &b))| *o = (x - mean) * scale * a + b);
                    }
                },
            );
        });
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    /// Of the input alone, as above.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let held = [held(x)?, held(weight)?, held(&grad)?];
        let [values, weight, grads] = [held[0].floats()?, held[1].floats()?, held[2].floats()?];
        let width = weight.len();
        let mut out = vec![0.0; values.len()];
        let pieces = values.par_chunks(ROWS * width).zip(grads.par_chunks(ROWS * width));
        out.par_chunks_mut(ROWS * width).zip(pieces).for_each(|(out, (x, g))| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(width).zip(g.chunks_exact(width));
                    for (out, (x, g)) in out.chunks_exact_mut(width).zip(rows) {
                        let (mean, scale) = moments(x, self.eps);
                        out.iter_mut().zip(g.iter().zip(weight)).for_each(|(o, (&g, &w))| *o = g * w);
                        let of_grad = sum(
                            out,
                            #[inline(always)]
                            |v| v,
                        ) / width as f32;
                        let of_both = dot(out, x, mean) * scale / width as f32;
                        let last = |o: &mut f32, x: f32| *o = scale * (*o - of_grad - (x - mean) * scale * of_both);
                        out.iter_mut().zip(x).for_each(|(o, &x)| last(o, x));
                    }
                },
            );
        });
        Ok((Some(Tensor::from_vec(out, x.dims(), x.device())?), None, None))
    }
}

/// Mean and 1/√(variance + eps), the variance from the differences: a sum of squares would lose digits.
#[inline(always)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = sum(
        x,
        #[inline(always)]
        |v| v,
    ) / count;
    let variance = sum(
        x,
        #[inline(always)]
        |v| (v - mean) * (v - mean),
    ) / count;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[inline(always)]
fn sum(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0f32; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&v| of(v)).sum();
    chunks.for_each(|c| sums.iter_mut().zip(c).for_each(|(s, &v)| *s += of(v)));
    sums.iter().sum::<f32>() + rest
}

#[inline(always)]
fn apply(x: &[f32], out: &mut [f32], a: f32, b: f32, silu: bool) {
    if silu {
        out.iter_mut().zip(x).for_each(|(o, &x)| *o = silu_of(x * a + b));
    } else {
        out.iter_mut().zip(x).for_each(|(o, &x)| *o = x * a + b);
    }
}
