//! SiLU, GEGLU, a row's softmax and addition in one pass each.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{exp, floats, held, vectorised, wanted};

/// Values per parallel piece: large enough to be worth a thread's while.
const PIECE: usize = 1 << 14;

/// x · σ(x).
pub(crate) fn silu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Silu)
}

/// The first half of the last dimension times GELU (by the error function) of the second: (…, 2n) → (…, n).
pub(crate) fn geglu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Geglu)
}

/// a + b, of equal shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.contiguous()?.apply_op2(&b.contiguous()?, Add)
}

#[inline(always)]
pub(super) fn silu_of(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The derivative of SiLU.
#[inline(always)]
pub(super) fn silu_slope(x: f32) -> f32 {
    let s = 1.0 / (1.0 + exp(-x));
    s * (1.0 + x * (1.0 - s))
}

/// GELU.
#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    x * normal_below(x)
}

/// The derivative of GELU.
#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    const DENSITY: f32 = 0.398_942_3;
    normal_below(x) + x * DENSITY * exp(-0.5 * x * x)
}

/// The share of a normal distribution that lies below x, with the error function of Abramowitz and Stegun 7.1.26, absolute
/// error under 2e-7.
#[inline(always)]
fn normal_below(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = ((((1.061_405_4 * t - 1.453_152_1) * t + 1.421_413_8) * t - 0.284_496_72) * t + 0.254_829_6) * t;
    let tail = 0.5 * p * exp(-z * z);
    if x < 0.0 { tail } else { 1.0 - tail }
}

struct Silu;

impl CustomOp1 for Silu {
    fn name(&self) -> &'static str {
        "silu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, layout)?;
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(out, x)| {
            vectorised(
                #[inline(always)]
                || out.iter_mut().zip(x).for_each(|(o, &x)| *o = silu_of(x)),
            );
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (held_x, held_grad) = (held(x)?, held(&grad)?);
        let (values, grads) = (held_x.floats()?, held_grad.floats()?);
        let mut out = vec![0.0; values.len()];
        out.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE).zip(grads.par_chunks(PIECE))).for_each(
            |(out, (x, g))| {
                vectorised(
                    #[inline(always)]
                    || out.iter_mut().zip(x.iter().zip(g)).for_each(|(o, (&x, &g))| *o = g * silu_slope(x)),
                );
            },
        );
        Tensor::from_vec(out, x.dims(), x.device()).map(Some)
    }
}

struct Geglu;

impl CustomOp1 for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut dims = layout.dims().to_vec();
        let Some(last) = dims.last_mut() else { candle_core::bail!("geglu takes at least one dimension") };
        *last /= 2;
        let width = *last;
        let x = floats(x, layout)?;
        let mut out = vec![0.0; x.len() / 2];
        let rows = PIECE.div_ceil(width);
        out.par_chunks_mut(rows * width).zip(x.par_chunks(rows * width * 2)).for_each(|(out, x)| {
            for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width * 2)) {
                let (value, gate) = x.split_at(width);
                vectorised(
                    #[inline(always)]
                    || out.iter_mut().zip(value).zip(gate).for_each(|((o, &v), &g)| *o = v * gelu_of(g)),
                );
            }
        });
        Ok((CpuStorage::F32(out), dims.into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (held_x, held_grad) = (held(x)?, held(&grad)?);
        let (values, grads, width) = (held_x.floats()?, held_grad.floats()?, grad.dim(candle_core::D::Minus1)?);
        let mut out = vec![0.0; values.len()];
        let rows = PIECE.div_ceil(width);
        let pieces = values.par_chunks(rows * width * 2).zip(grads.par_chunks(rows * width));
        out.par_chunks_mut(rows * width * 2).zip(pieces).for_each(|(out, (x, g))| {
            let rows = x.chunks_exact(width * 2).zip(g.chunks_exact(width));
            for (out, (x, g)) in out.chunks_exact_mut(width * 2).zip(rows) {
                let ((for_value, for_gate), (value, gate)) = (out.split_at_mut(width), x.split_at(width));
                vectorised(
                    #[inline(always)]
                    || {
                        let of_value = for_value.iter_mut().zip(gate.iter().zip(g));
                        of_value.for_each(|(o, (&gate, &g))| *o = g * gelu_of(gate));
                        let of_gate = for_gate.iter_mut().zip(value.iter().zip(gate.iter().zip(g)));
                        of_gate.for_each(|(o, (&value, (&gate, &g)))| *o = g * value * gelu_slope(gate));
                    },
                );
            }
        });
        Tensor::from_vec(out, x.dims(), x.device()).map(Some)
    }
}

struct Add;

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, b) = (floats(a, a_layout)?, floats(b, b_layout)?);
        let mut out = vec![0.0; a.len()];
        out.par_chunks_mut(PIECE).zip(a.par_chunks(PIECE).zip(b.par_chunks(PIECE))).for_each(|(out, (a, b))| {
            vectorised(
                #[inline(always)]
                || out.iter_mut().zip(a.iter().zip(b)).for_each(|(o, (&a, &b))| *o = a + b),
            );
        });
        Ok((CpuStorage::F32(out), a_layout.shape().clone()))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((wanted(a, || Ok(grad.clone()))?, wanted(b, || Ok(grad.clone()))?))
    }
}

/// softmax(scale · x).
#[inline(always)]
pub(super) fn softmax_row(x: &[f32], out: &mut [f32], scale: f32) {
    const LANES: usize = 16;
    let top = x.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    out.iter_mut().zip(x).for_each(|(o, &x)| *o = exp((x - top) * scale));
    // Sixteen partial sums: a single one would keep the loop from becoming vector code.
    let mut sums = [0.0f32; LANES];
    let chunks = out.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    chunks.for_each(|c| sums.iter_mut().zip(c).for_each(|(s, &v)| *s += v));
    let scale = 1.0 / (sums.iter().sum::<f32>() + rest);
    out.iter_mut().for_each(|o| *o *= scale);
}
