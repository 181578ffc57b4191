//! Fused f32 operations for the CPU, for inference alone.
//!
//! None of them has a backward pass, so [`usable`] is asked first, in one place per layer: wherever a gradient is wanted
//! (or another device holds the tensors) the layers take candle's own operations instead, and nothing is cut silently.
//!
//! Beside fusing, they keep away from candle's CPU thread pool, whose threads spin while they wait (a third of all time
//! on two busy cores), and from its matrix product, which reads the processor's description before every call.

mod activation;
mod convolution;
mod matrix;
mod normalisation;

use candle_core::{CpuStorage, DType, Layout, Result, Tensor};

pub(crate) use activation::{add, geglu, silu};
pub(crate) use convolution::conv2d;
pub(crate) use matrix::{attention, linear, linear_with_bias};
pub(crate) use normalisation::group_norm;

/// Pieces that an operation is cut into at least, where they stay useful: work for a few threads. It does not follow the
/// number of threads, so that results do not either.
const SHARES: usize = 4;

/// Whether the fused operations may stand in for candle's: f32 on the CPU, and no gradient runs through any operand.
pub(crate) fn usable(operands: &[&Tensor]) -> bool {
    operands.iter().all(|t| t.device().is_cpu() && t.dtype() == DType::F32 && !t.track_op())
}

/// The floats of a contiguous tensor.
fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => candle_core::bail!("a fused operation takes contiguous f32 tensors"),
    }
}

/// Runs a loop with the widest vectors that the processor has. The closure's body must be inlined into it to profit.
fn vectorised<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

/// eˣ by range reduction and a polynomial of degree 6, so that loops over it become vector code. Relative error under
/// 3e-7 from −87 to 88; clamped outside.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to a whole number, which then stands in the sum's low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = (p * r + 1.0) * r + 1.0;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn the_exponential_is_right_to_single_precision() {
        for i in -86_000..87_000 {
            let x = i as f32 * 1e-3;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "at {x}");
        }
    }
}
