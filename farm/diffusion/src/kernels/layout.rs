//! Moves values about: exchanged dimensions, joined channels, repeated pixels, a value added to a whole channel.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{floats, held, wanted};

/// Side of the tiles in which a matrix is turned over, so that both sides stay in the cache.
const TILE: usize = 32;

/// (N, A, B) → (N, B, A).
pub(crate) fn swap(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Swap)
}

/// (N, A, …) and (N, B, …) → (N, A + B, …).
pub(crate) fn join(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.contiguous()?.apply_op2(&b.contiguous()?, Join)
}

/// Doubles pixels: (N, C, h, w) → (N, C, height, width), each side twice as large or one less.
pub(crate) fn upsample(x: &Tensor, (height, width): (usize, usize)) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Upsample { height, width })
}

/// Adds (N, C) to every pixel of (N, C, H, W).
pub(crate) fn shift(x: &Tensor, by: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&by.contiguous()?, Shift)
}

struct Swap;

impl CustomOp1 for Swap {
    fn name(&self) -> &'static str {
        "swap"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, rows, columns) = layout.shape().dims3()?;
        let x = floats(x, layout)?;
        let mut out = vec![0.0; x.len()];
        let pieces = columns.div_ceil(TILE);
        let areas = x.par_chunks(rows * columns).zip(out.par_chunks_mut(rows * columns));
        areas.for_each(|(x, out)| {
            out.par_chunks_mut(TILE * rows).take(pieces).enumerate().for_each(|(i, out)| {
                let first = i * TILE;
                for row in (0..rows).step_by(TILE) {
                    for (column, out) in (first..).zip(out.chunks_exact_mut(rows)) {
                        let end = (row + TILE).min(rows);
                        out[row..end].iter_mut().zip(row..).for_each(|(o, r)| *o = x[r * columns + column]);
                    }
                }
            });
        });
        Ok((CpuStorage::F32(out), (batch, columns, rows).into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        swap(&grad.detach()).map(Some)
    }
}

struct Join;

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut dims = a_layout.dims().to_vec();
        let (a, b, batch) = (floats(a, a_layout)?, floats(b, b_layout)?, dims[0]);
        dims[1] += b_layout.dims()[1];
        let mut out = Vec::with_capacity(a.len() + b.len());
        for (a, b) in a.chunks_exact(a.len() / batch).zip(b.chunks_exact(b.len() / batch)) {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
        Ok((CpuStorage::F32(out), dims.into()))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (storage, batch) = (held(&grad)?, a.dim(0)?);
        let values = storage.floats()?;
        let (of_a, of_b) = (a.elem_count() / batch, b.elem_count() / batch);
        let part = |of: &Tensor, from: usize, count: usize| {
            let rows = values.chunks_exact(of_a + of_b).flat_map(|row| &row[from..from + count]);
            Tensor::from_vec(rows.copied().collect::<Vec<f32>>(), of.dims(), of.device())
        };
        Ok((wanted(a, || part(a, 0, of_a))?, wanted(b, || part(b, of_a, of_b))?))
    }
}

struct Upsample {
    height: usize,
    width: usize,
}

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, channels, from_height, from_width) = layout.shape().dims4()?;
        if self.height.div_ceil(2) != from_height || self.width.div_ceil(2) != from_width {
            candle_core::bail!("upsampling doubles a picture, or leaves one row or column less");
        }
        let x = floats(x, layout)?;
        let mut out = vec![0.0; batch * channels * self.height * self.width];
        let planes = out.par_chunks_mut(self.height * self.width).zip(x.par_chunks(from_height * from_width));
        planes.for_each(|(out, x)| {
            for (y, line) in out.chunks_exact_mut(self.width).enumerate() {
                let from = &x[y / 2 * from_width..][..from_width];
                line.chunks_mut(2).zip(from).for_each(|(pair, &v)| pair.fill(v));
            }
        });
        Ok((CpuStorage::F32(out), (batch, channels, self.height, self.width).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let storage = held(&grad)?;
        let (_, _, height, width) = x.dims4()?;
        let mut out = vec![0.0; x.elem_count()];
        let planes = out.par_chunks_mut(height * width).zip(storage.floats()?.par_chunks(self.height * self.width));
        planes.for_each(|(out, grad)| {
            for (y, line) in grad.chunks_exact(self.width).enumerate() {
                let to = &mut out[y / 2 * width..][..width];
                to.iter_mut().zip(line.chunks(2)).for_each(|(o, pair)| *o += pair.iter().sum::<f32>());
            }
        });
        Tensor::from_vec(out, x.dims(), x.device()).map(Some)
    }
}

struct Shift;

impl CustomOp2 for Shift {
    fn name(&self) -> &'static str {
        "shift"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        by: &CpuStorage,
        by_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, by) = (floats(x, layout)?, floats(by, by_layout)?);
        let area = x.len() / by.len();
        let mut out = vec![0.0; x.len()];
        out.par_chunks_mut(area).zip(x.par_chunks(area)).zip(by).for_each(|((out, x), &by)| {
            out.iter_mut().zip(x).for_each(|(o, &x)| *o = x + by);
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, by: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of_by = || {
            let grad = grad.contiguous()?;
            let storage = held(&grad)?;
            let area = x.elem_count() / by.elem_count();
            let sums: Vec<f32> = storage.floats()?.par_chunks(area).map(|plane| plane.iter().sum()).collect();
            Tensor::from_vec(sums, by.dims(), by.device())
        };
        Ok((wanted(x, || Ok(grad.clone()))?, wanted(by, of_by)?))
    }
}
