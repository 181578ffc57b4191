//! Rank reduction: the best approximation of each layer's product by one of lower rank (Eckart and Young 1936).
//!
//! The product is never formed: both factors are brought to orthonormal columns, and the small matrix between them is taken
//! apart by one-sided Jacobi rotations (Hestenes 1958), in double precision.

use candle_core::{Device, Tensor};
use greenroom_diffusion::{Adapter, Factors};

use super::{File, LoraError};

/// A shrunk file and what it kept.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The file, every layer of the rank asked for or less.
    pub file: File,
    /// Share of the squared size of all that the adapter adds which is left, 0 to 1.
    pub energy: f64,
}

impl File {
    /// The same adapter at a lower rank.
    ///
    /// # Errors
    /// Where computing failed.
    pub fn shrink(&self, rank: usize) -> Result<Shrunk, LoraError> {
        let (mut adapter, mut kept, mut all) = (Adapter { begin: self.adapter.begin, ..Adapter::default() }, 0.0, 0.0);
        for (place, factors) in &self.adapter.modules {
            let (small, own_kept, own_all) = shrunk(factors, rank.max(1))?;
            kept += own_kept;
            all += own_all;
            adapter.modules.insert(place.clone(), small);
        }
        let energy = if all > 0.0 { kept / all } else { 1.0 };
        let mut header = self.header.clone();
        header.insert("ss_network_dim".into(), rank.to_string());
        header.insert("ss_network_alpha".into(), rank.to_string());
        header.insert("greenroom.shrunk_energy".into(), format!("{energy:.6}"));
        Ok(Shrunk { file: Self { adapter, header }, energy })
    }
}

/// Columns of equal length, double precision.
type Columns = Vec<Vec<f64>>;

/// The factors at a rank, and the squared size that is left and that was there.
fn shrunk(factors: &Factors, rank: usize) -> candle_core::Result<(Factors, f64, f64)> {
    let (up, down) = factors.flat()?;
    let ((output, inner), input) = (up.dims2()?, down.dim(1)?);
    let wide = |t: &Tensor| -> candle_core::Result<Columns> {
        let rows = t.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
        Ok(rows.iter().map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect())
    };
    // up = Q R and downᵀ = P S, so the product is Q (R Sᵀ) Pᵀ.
    let ((q, r), (p, s)) = (orthonormal(wide(&up.t()?.contiguous()?)?), orthonormal(wide(&down)?));
    let between = |i: usize, j: usize| factors.scale() * (0..inner).map(|k| r[k][i] * s[k][j]).sum::<f64>();
    let (left, values, right) = svd((0..inner).map(|j| (0..inner).map(|i| between(i, j)).collect()).collect());
    let count = rank.min(inner);
    let combined = |basis: &Columns, by: &Columns, length: usize| -> Vec<f32> {
        let of = |by: &Vec<f64>, i: usize| by.iter().zip(basis).map(|(b, column)| b * column[i]).sum::<f64>();
        let rows = by.iter().zip(&values).take(count);
        rows.flat_map(|(by, value)| (0..length).map(move |i| (of(by, i) * value.sqrt()) as f32)).collect()
    };
    let up = Tensor::from_vec(combined(&q, &left, output), (count, output), &Device::Cpu)?.t()?.contiguous()?;
    let down = Tensor::from_vec(combined(&p, &right, input), (count, input), &Device::Cpu)?;
    let window = factors.mid.as_ref().unwrap_or(&factors.down).dims().get(2..).unwrap_or(&[]);
    let dims = [&[count, input / window.iter().product::<usize>()], window].concat();
    let up = if window.is_empty() { up } else { up.reshape((output, count, 1, 1))? };
    let magnitude = factors.magnitude.clone();
    let small = Factors { down: down.reshape(dims)?, mid: None, up, alpha: count as f64, magnitude };
    let squares = values.iter().map(|v| v * v);
    Ok((small, squares.clone().take(count).sum(), squares.sum()))
}

/// Columns of length 1 that are at right angles, and the upper triangle (by columns) that makes the given ones of them.
fn orthonormal(mut columns: Columns) -> (Columns, Columns) {
    let count = columns.len();
    let mut triangle = vec![vec![0.0; count]; count];
    for (j, own) in triangle.iter_mut().enumerate() {
        let (before, rest) = columns.split_at_mut(j);
        let column = &mut rest[0];
        // Twice is enough (Kahan and Parlett).
        for _ in 0..2 {
            for (i, other) in before.iter().enumerate() {
                let along = dot(other, column);
                own[i] += along;
                column.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
            }
        }
        let length = dot(column, column).sqrt();
        own[j] = length;
        // A column that lies in the others' span has nothing of its own.
        let share = if length > 1e-30 { 1.0 / length } else { 0.0 };
        column.iter_mut().for_each(|v| *v *= share);
    }
    (columns, triangle)
}

/// Left vectors, values from the largest down, right vectors.
fn svd(mut a: Columns) -> (Columns, Vec<f64>, Columns) {
    const SWEEPS: usize = 60;
    let n = a.len();
    let mut v: Columns = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..SWEEPS {
        let mut turned = false;
        for (i, j) in (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))) {
            let (aa, bb, ab) = (dot(&a[i], &a[i]), dot(&a[j], &a[j]), dot(&a[i], &a[j]));
            if ab == 0.0 || ab.abs() <= 1e-15 * (aa * bb).sqrt() {
                continue;
            }
            turned = true;
            let zeta = (bb - aa) / (2.0 * ab);
            let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
            let c = 1.0 / (1.0 + t * t).sqrt();
            for matrix in [&mut a, &mut v] {
                let (head, tail) = matrix.split_at_mut(j);
                let pairs = head[i].iter_mut().zip(&mut tail[0]);
                pairs.for_each(|(x, y)| (*x, *y) = (c * (*x - t * *y), c * (t * *x + *y)));
            }
        }
        if !turned {
            break;
        }
    }
    let lengths: Vec<f64> = a.iter().map(|column| dot(column, column).sqrt()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| lengths[j].total_cmp(&lengths[i]));
    let unit = |&i: &usize| a[i].iter().map(|v| v / lengths[i].max(f64::MIN_POSITIVE)).collect();
    let left = order.iter().map(unit).collect();
    (left, order.iter().map(|&i| lengths[i]).collect(), order.iter().map(|&i| v[i].clone()).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
