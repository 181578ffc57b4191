//! Group normalisation, its scale and shift and an optional SiLU in one operation.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::activation::silu_of;
use super::{floats, vectorised};

/// Normalises (N, C, …) over each of `groups` channel groups (Wu and He 2018, arXiv:1803.08494); `silu` follows at once.
pub(crate) fn group_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: usize,
    eps: f64,
    silu: bool,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3_no_bwd(weight, bias, &GroupNorm { groups, eps: eps as f32, silu })
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
