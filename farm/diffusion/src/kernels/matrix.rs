//! Matrix products: the one door to `gemm`, the linear layer, and attention over all heads.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;

use super::activation::softmax_row;
use super::{SHARES, floats, vectorised};

/// Queries whose scores are held at once, for one head.
const QUERIES: usize = 256;

/// x Wᵀ: (…, input) and (output, input) → (…, output).
pub(crate) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2_no_bwd(weight, &Linear)
}

/// x Wᵀ + b.
pub(crate) fn linear_with_bias(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3_no_bwd(weight, bias, &Linear)
}

/// softmax(q kᵀ / √d) v for each head: (N, L, heads · d), (N, M, heads · d) twice → (N, L, heads · d).
pub(crate) fn attention(query: &Tensor, key: &Tensor, value: &Tensor, heads: usize) -> Result<Tensor> {
    query.contiguous()?.apply_op3_no_bwd(key, value, &Attention { heads })
}

/// A matrix in a slice: the element of row `i` and column `j` stands at `i · row + j · column`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

/// Adds (m, k) × (k, n) to `out`, whose rows are `stride` apart, on this thread alone.
pub(super) fn add_product(
    out: &mut [f32],
    stride: usize,
    left: View<'_>,
    right: View<'_>,
    (m, k, n): (usize, usize, usize),
) {
    if m == 0 || k == 0 || n == 0 {
        return;
    }
    let fits =
        |v: View<'_>, rows: usize, columns: usize| (rows - 1) * v.row + (columns - 1) * v.column < v.values.len();
    assert!(fits(left, m, k) && fits(right, k, n), "a factor is smaller than its sizes say");
    assert!(stride >= n && (m - 1) * stride + n <= out.len(), "the product does not fit");
    #[expect(unsafe_code, reason = "the matrix product's only interface takes pointers")]
    // SAFETY: every index that these sizes and strides reach was just checked to lie inside its slice; `out` is borrowed
    // alone, and its rows do not overlap.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride as isize,
            true,
            left.values.as_ptr(),
            left.column as isize,
            left.row as isize,
            right.values.as_ptr(),
            right.column as isize,
            right.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

struct Linear;

impl Linear {
    fn run(
        x: &[f32],
        dims: &[usize],
        weight: &[f32],
        shape: (usize, usize),
        bias: Option<&[f32]>,
    ) -> (CpuStorage, Shape) {
        let (output, input) = shape;
        let rows = x.len() / input;
        let piece = rows.div_ceil(SHARES).max(16);
        let mut out = vec![0.0; rows * output];
        out.par_chunks_mut(piece * output).zip(x.par_chunks(piece * input)).for_each(|(out, x)| {
            if let Some(bias) = bias {
                out.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(bias));
            }
            let (left, right) =
                (View { values: x, row: input, column: 1 }, View { values: weight, row: 1, column: input });
            add_product(out, output, left, right, (x.len() / input, input, output));
        });
        let mut dims = dims.to_vec();
        if let Some(last) = dims.last_mut() {
            *last = output;
        }
        (CpuStorage::F32(out), dims.into())
    }
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
        Ok(Self::run(floats(x, x_layout)?, x_layout.dims(), floats(weight, weight_layout)?, shape, None))
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
        Ok(Self::run(floats(x, x_layout)?, x_layout.dims(), floats(weight, weight_layout)?, shape, Some(bias)))
    }
}

struct Attention {
    heads: usize,
}

thread_local! {
    /// Scores of some queries before and after the softmax, kept from one attention to the next.
    static SCORES: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        query_layout: &Layout,
        key: &CpuStorage,
        key_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (batch, length, width) = query_layout.shape().dims3()?;
        let (_, memory, _) = key_layout.shape().dims3()?;
        let query = floats(query, query_layout)?;
        let (key, value) = (floats(key, key_layout)?, floats(value, value_layout)?);
        let piece = (batch * length).div_ceil(SHARES).clamp(1, QUERIES).min(length);
        let mut out = vec![0.0; query.len()];
        out.par_chunks_mut(length * width).enumerate().for_each(|(n, out)| {
            let of = |rows: usize| n * rows * width..(n + 1) * rows * width;
            let (query, key, value) = (&query[of(length)], &key[of(memory)], &value[of(memory)]);
            out.par_chunks_mut(piece * width).zip(query.par_chunks(piece * width)).for_each(|(out, query)| {
                SCORES.with_borrow_mut(|scores| self.attend(query, key, value, width, scores, out));
            });
        });
        Ok((CpuStorage::F32(out), query_layout.shape().clone()))
    }
}

impl Attention {
    /// Some queries of one picture against all of its keys and values.
    fn attend(
        &self,
        query: &[f32],
        key: &[f32],
        value: &[f32],
        width: usize,
        [raw, soft]: &mut [Vec<f32>; 2],
        out: &mut [f32],
    ) {
        let (rows, memory, depth) = (query.len() / width, key.len() / width, width / self.heads);
        let scale = (depth as f32).sqrt().recip();
        soft.resize(rows * memory, 0.0);
        for head in (0..width).step_by(depth) {
            raw.clear();
            raw.resize(rows * memory, 0.0);
            let queries = View { values: &query[head..], row: width, column: 1 };
            let keys = View { values: &key[head..], row: 1, column: width };
            add_product(raw, memory, queries, keys, (rows, depth, memory));
            for (soft, raw) in soft.chunks_exact_mut(memory).zip(raw.chunks_exact(memory)) {
                vectorised(
                    #[inline(always)]
                    || softmax_row(raw, soft, scale),
                );
            }
            let weights = View { values: soft, row: memory, column: 1 };
            let values = View { values: &value[head..], row: width, column: 1 };
            add_product(&mut out[head..], width, weights, values, (rows, memory, depth));
        }
    }
}
