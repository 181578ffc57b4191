//! The linear layer and its gradients.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::matrix::{View, add_product};
use super::{SHARES, floats, held, wanted};

/// x Wᵀ: (…, input) and (output, input) → (…, output).
pub(crate) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(weight, Linear)
}

/// x Wᵀ + b.
pub(crate) fn linear_with_bias(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, Linear)
}

/// base + x Wᵀ: what an adapter adds to a layer.
pub(crate) fn linear_onto(base: &Tensor, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    base.contiguous()?.apply_op3(&x.contiguous()?, weight, Onto)
}

struct Linear;

/// What each row starts from before the product is added.
#[derive(Clone, Copy)]
enum Base<'a> {
    Nothing,
    Bias(&'a [f32]),
    Rows(&'a [f32]),
}

/// Adds x Wᵀ to the base: (rows, input), (output, input) → (rows, output).
fn product(x: &[f32], weight: &[f32], (output, input): (usize, usize), base: Base<'_>) -> Vec<f32> {
    let rows = x.len() / input;
    let piece = rows.div_ceil(SHARES).max(16);
    let mut out = match base {
        Base::Rows(rows) => rows.to_vec(),
        _ => vec![0.0; rows * output],
    };
    out.par_chunks_mut(piece * output).zip(x.par_chunks(piece * input)).for_each(|(out, x)| {
        if let Base::Bias(bias) = base {
            out.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(bias));
        }
        let (left, right) = (View { values: x, row: input, column: 1 }, View { values: weight, row: 1, column: input });
        add_product(out, output, left, right, (x.len() / input, input, output));
    });
    out
}

fn with_last(dims: &[usize], last: usize) -> Shape {
    let mut dims = dims.to_vec();
    if let Some(place) = dims.last_mut() {
        *place = last;
    }
    dims.into()
}

/// g W: the gradient of the input.
fn input_gradient(grad: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (output, input) = weight.dims2()?;
    let (g, w) = (held(grad)?, held(weight)?);
    let (grad_values, weights) = (g.floats()?, w.floats()?);
    let rows = grad_values.len() / output;
    let piece = rows.div_ceil(SHARES).max(16);
    let mut out = vec![0.0; rows * input];
    out.par_chunks_mut(piece * input).zip(grad_values.par_chunks(piece * output)).for_each(|(out, g)| {
        let (left, right) =
            (View { values: g, row: output, column: 1 }, View { values: weights, row: input, column: 1 });
        add_product(out, input, left, right, (g.len() / output, output, input));
    });
    Tensor::from_vec(out, with_last(grad.dims(), input), grad.device())
}

/// gᵀ x: the gradient of the matrix, summed over rows in shares whose number does not follow the threads.
fn weight_gradient(grad: &Tensor, x: &Tensor, (output, input): (usize, usize)) -> Result<Tensor> {
    let (g, x) = (held(grad)?, held(x)?);
    let (grad_values, x) = (g.floats()?, x.floats()?);
    let piece = (grad_values.len() / output).div_ceil(SHARES).max(16);
    let shares: Vec<Vec<f32>> = grad_values
        .par_chunks(piece * output)
        .zip(x.par_chunks(piece * input))
        .map(|(g, x)| {
            let mut out = vec![0.0; output * input];
            let (left, right) = (View { values: g, row: 1, column: output }, View { values: x, row: input, column: 1 });
            add_product(&mut out, input, left, right, (output, g.len() / output, input));
            out
        })
        .collect();
    Tensor::from_vec(sum_of(shares, output * input), (output, input), grad.device())
}

/// Sums equal vectors in their order.
pub(super) fn sum_of(shares: Vec<Vec<f32>>, length: usize) -> Vec<f32> {
    let mut shares = shares.into_iter();
    let mut sum = shares.next().unwrap_or_else(|| vec![0.0; length]);
    for share in shares {
        sum.iter_mut().zip(share).for_each(|(s, v)| *s += v);
    }
    sum
}

fn bias_gradient(grad: &Tensor, output: usize) -> Result<Tensor> {
    let g = held(grad)?;
    let mut sum = vec![0.0; output];
    g.floats()?.chunks_exact(output).for_each(|row| sum.iter_mut().zip(row).for_each(|(s, v)| *s += v));
    Tensor::from_vec(sum, output, grad.device())
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = weight_layout.shape().dims2()?;
        let out = product(floats(x, x_layout)?, floats(weight, weight_layout)?, shape, Base::Nothing);
        Ok((CpuStorage::F32(out), with_last(x_layout.dims(), shape.0)))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let for_x = wanted(x, || input_gradient(&grad, weight))?;
        let for_weight = wanted(weight, || weight_gradient(&grad, x, weight.dims2()?))?;
        Ok((for_x, for_weight))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let (shape, bias) = (weight_layout.shape().dims2()?, floats(bias, bias_layout)?);
        let out = product(floats(x, x_layout)?, floats(weight, weight_layout)?, shape, Base::Bias(bias));
        Ok((CpuStorage::F32(out), with_last(x_layout.dims(), shape.0)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let for_x = wanted(x, || input_gradient(&grad, weight))?;
        let for_weight = wanted(weight, || weight_gradient(&grad, x, weight.dims2()?))?;
        let for_bias = wanted(bias, || bias_gradient(&grad, weight.dims2()?.0))?;
        Ok((for_x, for_weight, for_bias))
    }
}

struct Onto;

impl CustomOp3 for Onto {
    fn name(&self) -> &'static str {
        "linear_onto"
    }

    fn cpu_fwd(
        &self,
        base: &CpuStorage,
        base_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (shape, base) = (weight_layout.shape().dims2()?, floats(base, base_layout)?);
        let out = product(floats(x, x_layout)?, floats(weight, weight_layout)?, shape, Base::Rows(base));
        Ok((CpuStorage::F32(out), base_layout.shape().clone()))
    }

    fn bwd(
        &self,
        base: &Tensor,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let for_base = wanted(base, || Ok(grad.clone()))?;
        let for_x = wanted(x, || input_gradient(&grad, weight))?;
        let for_weight = wanted(weight, || weight_gradient(&grad, x, weight.dims2()?))?;
        Ok((for_base, for_x, for_weight))
    }
}
