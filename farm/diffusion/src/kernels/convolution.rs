//! 2-D convolution as matrix products over strips of the picture.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;

use super::matrix::{View, add_product};
use super::{SHARES, floats};

/// Output pixels per strip: enough for the matrix product to run at full speed.
const STRIP: usize = 1024;
/// Floats that a strip's unfolded input may take (16 MB a thread).
const UNFOLDED: usize = 1 << 22;

thread_local! {
    /// The unfolded strip, kept from one convolution to the next.
    static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// (N, C, H, W) ∗ (D, C, k, k) + (D) → (N, D, H′, W′), zeros around the picture.
pub(crate) fn conv2d(x: &Tensor, weight: &Tensor, bias: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    x.contiguous()?.apply_op3_no_bwd(weight, bias, &Conv2d { stride, padding })
}

struct Conv2d {
    stride: usize,
    padding: usize,
}

/// Sizes of one convolution.
struct Sizes {
    height: usize,
    width: usize,
    kernel: usize,
    out_height: usize,
    out_width: usize,
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let (batch, channels, height, width) = x_layout.shape().dims4()?;
        let (depth, _, kernel, _) = weight_layout.shape().dims4()?;
        let (x, weight, bias) = (floats(x, x_layout)?, floats(weight, weight_layout)?, floats(bias, bias_layout)?);
        let side = |n: usize| (n + 2 * self.padding - kernel) / self.stride + 1;
        let s = Sizes { height, width, kernel, out_height: side(height), out_width: side(width) };
        let (taps, area) = (channels * kernel * kernel, s.out_height * s.out_width);
        let strip = (batch * area / SHARES).clamp(64, STRIP).min(UNFOLDED / taps);
        let rows = (strip / s.out_width).clamp(1, s.out_height);
        let strips = s.out_height.div_ceil(rows);
        let products: Vec<Vec<f32>> = (0..batch * strips)
            .into_par_iter()
            .map(|i| {
                let picture = &x[i / strips * channels * height * width..][..channels * height * width];
                let top = i % strips * rows;
                let bottom = (top + rows).min(s.out_height);
                COLUMNS.with_borrow_mut(|columns| {
                    let pixels = (bottom - top) * s.out_width;
                    columns.resize(columns.len().max(taps * pixels), 0.0);
                    let columns = &mut columns[..taps * pixels];
                    self.unfold(picture, &s, top..bottom, columns);
                    let mut product = vec![0.0; depth * pixels];
                    let kernels = View { values: weight, row: taps, column: 1 };
                    let columns = View { values: columns, row: pixels, column: 1 };
                    add_product(&mut product, pixels, kernels, columns, (depth, taps, pixels));
                    product
                })
            })
            .collect();
        let mut out = vec![0.0; batch * depth * area];
        out.par_chunks_mut(area).enumerate().for_each(|(i, out)| {
            let (n, d) = (i / depth, i % depth);
            for (out, product) in out.chunks_mut(rows * s.out_width).zip(&products[n * strips..]) {
                let from = &product[d * out.len()..][..out.len()];
                out.iter_mut().zip(from).for_each(|(o, &v)| *o = v + bias[d]);
            }
        });
        Ok((CpuStorage::F32(out), (batch, depth, s.out_height, s.out_width).into()))
    }
}

impl Conv2d {
    /// Writes for each channel and kernel tap the pixels that it meets, (C·k·k, rows·W′), zeros outside the picture.
    fn unfold(&self, picture: &[f32], s: &Sizes, rows: std::ops::Range<usize>, columns: &mut [f32]) {
        let (stride, padding) = (self.stride, self.padding);
        let pixels = rows.len() * s.out_width;
        for (tap, column) in columns.chunks_exact_mut(pixels).enumerate() {
            let (channel, ky, kx) = (tap / (s.kernel * s.kernel), tap / s.kernel % s.kernel, tap % s.kernel);
            let plane = &picture[channel * s.height * s.width..][..s.height * s.width];
            // Output columns whose input lies inside the picture.
            let first = padding.saturating_sub(kx).div_ceil(stride).min(s.out_width);
            let last = (s.width + padding).saturating_sub(kx).div_ceil(stride).clamp(first, s.out_width);
            for (y, line) in rows.clone().zip(column.chunks_exact_mut(s.out_width)) {
                let Some(y) = (y * stride + ky).checked_sub(padding).filter(|&y| y < s.height) else {
                    line.fill(0.0);
                    continue;
                };
                line[..first].fill(0.0);
                line[last..].fill(0.0);
                if first == last {
                    continue;
                }
                let from = &plane[y * s.width + first * stride + kx - padding..(y + 1) * s.width];
                if stride == 1 {
                    line[first..last].copy_from_slice(&from[..last - first]);
                } else {
                    line[first..last].iter_mut().zip(from.iter().step_by(stride)).for_each(|(o, &v)| *o = v);
                }
            }
        }
    }
}
