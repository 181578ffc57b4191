//! Fused f32 operations for the CPU, each with its gradients.
//!
//! A gradient is computed for what asks for one: the input of a layer, an adapter's matrices, but not a frozen weight, for
//! which candle's own operations would compute it too. Where [`usable`] says no (another device or type, or a gradient is
//! wanted of a normalisation's scale) the layers take candle's operations, and nothing is cut silently.
//!
//! Beside fusing, they keep away from candle's CPU thread pool, whose threads spin while they wait (a third of all time
//! on two busy cores), and from its matrix product, which reads the processor's description before every call.

mod activation;
mod attention;
mod convolution;
#[cfg(test)]
mod gradients;
mod layout;
mod linear;
mod matrix;
mod normalisation;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor};
use std::ops::Deref;

pub(crate) use activation::{add, geglu, silu};
pub(crate) use attention::attention;
pub(crate) use convolution::conv2d;
pub(crate) use layout::{join, shift, swap, upsample};
pub(crate) use linear::{linear, linear_onto, linear_with_bias};
pub(crate) use normalisation::{group_norm, layer_norm};

/// Pieces that an operation is cut into at least, where they stay useful: work for a few threads. It does not follow the
/// number of threads, so that results do not either.
const SHARES: usize = 4;

/// Whether the fused operations may stand in for candle's: f32 on the CPU.
pub(crate) fn usable(operands: &[&Tensor]) -> bool {
    operands.iter().all(|t| t.device().is_cpu() && t.dtype() == DType::F32)
}

/// Whether no gradient of these is wanted.
pub(crate) fn frozen(operands: &[&Tensor]) -> bool {
    !operands.iter().any(|t| t.track_op())
}

/// A gradient, where the operand asks for one.
fn wanted(operand: &Tensor, gradient: impl FnOnce() -> Result<Tensor>) -> Result<Option<Tensor>> {
    operand.track_op().then(gradient).transpose()
}

/// A tensor's storage, while its floats are read.
struct Held<'a, S>(S, &'a Layout);

/// Holds the storage of a contiguous tensor on the CPU.
fn held(tensor: &Tensor) -> Result<Held<'_, impl Deref<Target = Storage>>> {
    let (storage, layout) = tensor.storage_and_layout();
    Ok(Held(storage, layout))
}

impl<S: Deref<Target = Storage>> Held<'_, S> {
    fn floats(&self) -> Result<&[f32]> {
        match &*self.0 {
            Storage::Cpu(storage) => floats(storage, self.1),
            _ => candle_core::bail!("a fused operation takes tensors on the CPU"),
        }
    }
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
