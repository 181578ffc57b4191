//! Attention over all heads, and its gradients with the softmax computed again.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;

use super::activation::softmax_row;
use super::matrix::{View, add_product};
use super::{SHARES, floats, held, vectorised};

/// Queries whose scores are held at once, for one head.
const QUERIES: usize = 256;

/// softmax(q kᵀ / √d) v for each head: (N, L, heads · d), (N, M, heads · d) twice → (N, L, heads · d).
pub(crate) fn attention(query: &Tensor, key: &Tensor, value: &Tensor, heads: usize) -> Result<Tensor> {
    query.contiguous()?.apply_op3(&key.contiguous()?, &value.contiguous()?, Attention { heads })
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

    fn bwd(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (batch, length, width) = query.dims3()?;
        let (memory, grad) = (key.dim(1)?, grad.contiguous()?);
        let held = [held(query)?, held(key)?, held(value)?, held(&grad)?];
        let [q, k, v, g] = [held[0].floats()?, held[1].floats()?, held[2].floats()?, held[3].floats()?];
        let heads: Vec<HeadGradients> = (0..batch * self.heads)
            .into_par_iter()
            .map(|i| {
                let (n, head) = (i / self.heads, i % self.heads * (width / self.heads));
                let of = |rows: usize| n * rows * width + head..(n + 1) * rows * width;
                let view = |values| View { values, row: width, column: 1 };
                let views = [&q[of(length)], &k[of(memory)], &v[of(memory)], &g[of(length)]].map(view);
                HeadGradients::new(views, (length, memory, width / self.heads), key.track_op() || value.track_op())
            })
            .collect();
        let gather = |tensor: &Tensor, rows: usize, of: fn(&HeadGradients) -> &[f32]| {
            if !tensor.track_op() {
                return Ok(None);
            }
            let depth = width / self.heads;
            let mut out = vec![0.0; batch * rows * width];
            for (i, head) in heads.iter().enumerate() {
                let (n, first) = (i / self.heads, i % self.heads * depth);
                let rows = out[n * rows * width..].chunks_exact_mut(width).zip(of(head).chunks_exact(depth));
                rows.for_each(|(out, row)| out[first..first + depth].copy_from_slice(row));
            }
            Tensor::from_vec(out, (batch, rows, width), tensor.device()).map(Some)
        };
        Ok((
            gather(query, length, |h| &h.query)?,
            gather(key, memory, |h| &h.key)?,
            gather(value, memory, |h| &h.value)?,
        ))
    }
}

/// The gradients of one head of one picture: (L, d), (M, d), (M, d).
struct HeadGradients {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
}

impl HeadGradients {
    fn new(
        [query, key, value, grad]: [View<'_>; 4],
        (length, memory, depth): (usize, usize, usize),
        of_memory: bool,
    ) -> Self {
        let kept = |rows| if of_memory { vec![0.0; rows] } else { Vec::new() };
        let mut this =
            Self { query: vec![0.0; length * depth], key: kept(memory * depth), value: kept(memory * depth) };
        let scale = (depth as f32).sqrt().recip();
        SCORES.with_borrow_mut(|[raw, soft]| {
            for start in (0..length).step_by(QUERIES) {
                let rows = QUERIES.min(length - start);
                let (query, grad) = (query.starting(start), grad.starting(start));
                raw.clear();
                raw.resize(rows * memory, 0.0);
                soft.resize(rows * memory, 0.0);
                add_product(raw, memory, query, key.across(), (rows, depth, memory));
                for (soft, raw) in soft.chunks_exact_mut(memory).zip(raw.chunks_exact(memory)) {
                    vectorised(
                        #[inline(always)]
                        || softmax_row(raw, soft, scale),
                    );
                }
                let shares = |values| View { values, row: memory, column: 1 };
                if of_memory {
                    add_product(&mut this.value, depth, shares(soft).across(), grad, (memory, rows, depth));
                }
                raw.fill(0.0);
                add_product(raw, memory, grad, value.across(), (rows, depth, memory));
                for (soft, raw) in soft.chunks_exact(memory).zip(raw.chunks_exact_mut(memory)) {
                    vectorised(
                        #[inline(always)]
                        || softmax_gradient(soft, raw, scale),
                    );
                }
                add_product(&mut this.query[start * depth..], depth, shares(raw), key, (rows, memory, depth));
                if of_memory {
                    add_product(&mut this.key, depth, shares(raw).across(), query, (memory, rows, depth));
                }
            }
        });
        this
    }
}

/// From the gradient of a softmax's row to that of what went in, scaled.
#[inline(always)]
fn softmax_gradient(soft: &[f32], grad: &mut [f32], scale: f32) {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a, b) = (soft.chunks_exact(LANES), grad.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    a.zip(b).for_each(|(a, b)| sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b));
    let dot = sums.iter().sum::<f32>() + rest;
    grad.iter_mut().zip(soft).for_each(|(g, &p)| *g = p * (*g - dot) * scale);
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
