//! 2-D convolution as matrix products over strips of the picture.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;

use super::matrix::{View, add_product};
use super::{SHARES, floats, held, wanted};

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
    x.contiguous()?.apply_op3(weight, bias, Conv2d { stride, padding })
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
        let s = self.sizes((height, width), kernel);
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

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let for_x = wanted(x, || self.input_gradient(x, weight, &grad))?;
        let for_weight = wanted(weight, || self.weight_gradient(x, weight, &grad))?;
        let for_bias = wanted(bias, || {
            let (g, area) = (held(&grad)?, grad.dim(2)? * grad.dim(3)?);
            let mut sum = vec![0.0; bias.elem_count()];
            for picture in g.floats()?.chunks_exact(sum.len() * area) {
                sum.iter_mut().zip(picture.chunks_exact(area)).for_each(|(s, plane)| *s += plane.iter().sum::<f32>());
            }
            Tensor::from_vec(sum, bias.elem_count(), x.device())
        })?;
        Ok((for_x, for_weight, for_bias))
    }
}

impl Conv2d {
    fn sizes(&self, (height, width): (usize, usize), kernel: usize) -> Sizes {
        let side = |n: usize| (n + 2 * self.padding - kernel) / self.stride + 1;
        Sizes { height, width, kernel, out_height: side(height), out_width: side(width) }
    }

    /// Channels that one piece of a gradient takes: enough pieces for the threads, and bounded memory in each.
    fn group(channels: usize, floats_per_channel: usize) -> usize {
        channels.div_ceil(SHARES).min((UNFOLDED / floats_per_channel).max(1)).max(1)
    }

    /// The kernel's transpose times the gradient, every tap's pixels put back where they came from.
    fn input_gradient(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let (depth, _, kernel, _) = weight.dims4()?;
        let s = self.sizes((height, width), kernel);
        let (g, w) = (held(grad)?, held(weight)?);
        let (grad_values, weights) = (g.floats()?, w.floats()?);
        let (area, out_area, window) = (height * width, s.out_height * s.out_width, kernel * kernel);
        let group = Self::group(channels, window * out_area);
        let mut out = vec![0.0; batch * channels * area];
        out.par_chunks_mut(channels * area).enumerate().for_each(|(n, out)| {
            let from = &grad_values[n * depth * out_area..][..depth * out_area];
            out.par_chunks_mut(group * area).enumerate().for_each(|(i, out)| {
                let taps = out.len() / area * window;
                COLUMNS.with_borrow_mut(|columns| {
                    columns.clear();
                    columns.resize(taps * out_area, 0.0);
                    let kernels = View { values: &weights[i * group * window..], row: 1, column: channels * window };
                    let grads = View { values: from, row: out_area, column: 1 };
                    add_product(columns, out_area, kernels, grads, (taps, depth, out_area));
                    self.fold(columns, &s, out);
                });
            });
        });
        Tensor::from_vec(out, (batch, channels, height, width), x.device())
    }

    /// The gradient times every tap's pixels, summed over the pictures.
    fn weight_gradient(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let (depth, _, kernel, _) = weight.dims4()?;
        let s = self.sizes((height, width), kernel);
        let (g, x) = (held(grad)?, held(x)?);
        let (grad_values, pixels) = (g.floats()?, x.floats()?);
        let (area, out_area, window) = (height * width, s.out_height * s.out_width, kernel * kernel);
        let group = Self::group(channels, window * out_area);
        let pieces: Vec<Vec<f32>> = (0..channels.div_ceil(group))
            .into_par_iter()
            .map(|i| {
                let count = group.min(channels - i * group);
                let mut out = vec![0.0; depth * count * window];
                COLUMNS.with_borrow_mut(|columns| {
                    columns.resize(columns.len().max(count * window * out_area), 0.0);
                    let columns = &mut columns[..count * window * out_area];
                    for n in 0..batch {
                        let picture = &pixels[(n * channels + i * group) * area..][..count * area];
                        self.unfold(picture, &s, 0..s.out_height, columns);
                        let grads = View { values: &grad_values[n * depth * out_area..], row: out_area, column: 1 };
                        let taps = View { values: columns, row: 1, column: out_area };
                        add_product(&mut out, count * window, grads, taps, (depth, out_area, count * window));
                    }
                });
                out
            })
            .collect();
        let mut out = Vec::with_capacity(depth * channels * window);
        for d in 0..depth {
            for piece in &pieces {
                let row = piece.len() / depth;
                out.extend_from_slice(&piece[d * row..(d + 1) * row]);
            }
        }
        Tensor::from_vec(out, weight.dims(), weight.device())
    }

    /// Adds what [`Self::unfold`] would have written for each tap back to the pixel that it came from.
    fn fold(&self, columns: &[f32], s: &Sizes, picture: &mut [f32]) {
        let (stride, padding) = (self.stride, self.padding);
        let pixels = s.out_height * s.out_width;
        for (tap, column) in columns.chunks_exact(pixels).enumerate() {
            let (channel, ky, kx) = (tap / (s.kernel * s.kernel), tap / s.kernel % s.kernel, tap % s.kernel);
            let plane = &mut picture[channel * s.height * s.width..][..s.height * s.width];
            let (first, last) = self.columns_inside(s, kx);
            for (y, line) in column.chunks_exact(s.out_width).enumerate() {
                let Some(y) = (y * stride + ky).checked_sub(padding).filter(|&y| y < s.height) else { continue };
                if first == last {
                    continue;
                }
                let to = &mut plane[y * s.width + first * stride + kx - padding..(y + 1) * s.width];
                if stride == 1 {
                    to[..last - first].iter_mut().zip(&line[first..last]).for_each(|(o, &v)| *o += v);
                } else {
                    to.iter_mut().step_by(stride).zip(&line[first..last]).for_each(|(o, &v)| *o += v);
                }
            }
        }
    }

    /// Output columns whose input lies inside the picture, for a tap's column.
    fn columns_inside(&self, s: &Sizes, kx: usize) -> (usize, usize) {
        let (stride, padding) = (self.stride, self.padding);
        let first = padding.saturating_sub(kx).div_ceil(stride).min(s.out_width);
        (first, (s.width + padding).saturating_sub(kx).div_ceil(stride).clamp(first, s.out_width))
    }

    /// Writes for each channel and kernel tap the pixels that it meets, (C·k·k, rows·W′), zeros outside the picture.
    fn unfold(&self, picture: &[f32], s: &Sizes, rows: std::ops::Range<usize>, columns: &mut [f32]) {
        let (stride, padding) = (self.stride, self.padding);
        let pixels = rows.len() * s.out_width;
        for (tap, column) in columns.chunks_exact_mut(pixels).enumerate() {
            let (channel, ky, kx) = (tap / (s.kernel * s.kernel), tap / s.kernel % s.kernel, tap % s.kernel);
            let plane = &picture[channel * s.height * s.width..][..s.height * s.width];
            let (first, last) = self.columns_inside(s, kx);
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
