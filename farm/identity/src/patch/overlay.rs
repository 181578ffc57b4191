//! Lays one patch over another, turned, scaled and shifted until they agree best.

use super::{COUNT, MIDDLE, RADII, SIDE};

/// The highest correlation of what stands still, the middle of one patch, with the other patch in any near pose.
pub(super) fn best(still: &Centred, other: &[u8]) -> f32 {
    let surface = Surface::of(other);
    let (mut pose, mut best) = (Pose::default(), 0.0_f32);
    for step in 0..STEPS {
        let Some((alike, next)) = surface.climb(still, pose) else { break };
        best = if step == 0 { alike } else { best.max(alike) };
        let small = (next.x - pose.x).abs().max((next.y - pose.y).abs()) < 0.02;
        pose = next;
        if small || pose.is_far() {
            break;
        }
    }
    best
}

/// More climb no higher.
const STEPS: usize = 12;

/// The pixels that are compared.
pub(super) fn places() -> impl Iterator<Item = (usize, usize)> {
    (0..SIDE).flat_map(|y| {
        let half = RADII.0 * (1.0 - ((y as f32 - MIDDLE.1) / RADII.1).powi(2)).max(0.0).sqrt();
        let row = (MIDDLE.0 - half).ceil() as usize..=(MIDDLE.0 + half).floor() as usize;
        row.map(move |x| (x, y))
    })
}

/// Values around their mean.
pub(super) struct Centred {
    pub(super) values: Vec<f32>,
    pub(super) length: f32,
}

impl Centred {
    /// None where nothing is to be seen: values that scatter by less than a level.
    pub(super) fn of(mut values: Vec<f32>) -> Option<Self> {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        values.iter_mut().for_each(|v| *v -= mean);
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        (length > (values.len() as f32).sqrt()).then_some(Self { values, length })
    }
}

/// z → (1 + a + ib) · z + (x + iy), around the middle of a patch.
#[derive(Clone, Copy, Default)]
struct Pose {
    a: f32,
    b: f32,
    x: f32,
    y: f32,
}

impl Pose {
    /// Further than landmarks are ever off.
    fn is_far(self) -> bool {
        self.a.abs() > 0.25
            || self.b.abs() > 0.25
            || self.x.abs() > SIDE as f32 / 6.0
            || self.y.abs() > SIDE as f32 / 6.0
    }
}

/// A patch that can be looked at between its pixels, and how it rises to the right and downwards.
struct Surface {
    height: Vec<f32>,
    across: Vec<f32>,
    down: Vec<f32>,
}

impl Surface {
    fn of(values: &[u8]) -> Self {
        let height: Vec<f32> = values.iter().map(|v| f32::from(*v)).collect();
        let near = |i: usize, step: isize| (i as isize + step).clamp(0, SIDE as isize - 1) as usize;
        let slope = |dx: isize, dy: isize| {
            let rise = |i: usize| {
                let (x, y) = (i % SIDE, i / SIDE);
                let at = |sign: isize| height[near(y, sign * dy) * SIDE + near(x, sign * dx)];
                (at(1) - at(-1)) / 2.0
            };
            (0..COUNT).map(rise).collect()
        };
        let (across, down) = (slope(1, 0), slope(0, 1));
        Self { height, across, down }
    }

    /// The correlation in a pose, and a better pose.
    fn climb(&self, still: &Centred, pose: Pose) -> Option<(f32, Pose)> {
        let middle = (SIDE as f32 - 1.0) / 2.0;
        let (mut seen, mut slopes) = (Vec::with_capacity(still.values.len()), Vec::with_capacity(still.values.len()));
        for (x, y) in places() {
            let (x, y) = (x as f32 - middle, y as f32 - middle);
            let at = Between::of(
                (1.0 + pose.a) * x - pose.b * y + pose.x + middle,
                pose.b * x + (1.0 + pose.a) * y + pose.y + middle,
            );
            let (across, down) = (at.read(&self.across), at.read(&self.down));
            seen.push(at.read(&self.height));
            slopes.push([across * x + down * y, down * x - across * y, across, down]);
        }
        let seen = Centred::of(seen)?;
        let product: f32 = still.values.iter().zip(&seen.values).map(|(a, b)| a * b).sum();
        let count = slopes.len() as f32;
        let mean = slopes.iter().fold([0.0; 4], |m, s| [0, 1, 2, 3].map(|i| m[i] + s[i] / count));
        // The normal equations of the step that brings the patch nearest to the other, held back a little so that flat ones
        // do not fly away.
        let (mut matrix, mut right) = ([[0.0_f32; 4]; 4], [0.0_f32; 4]);
        for (i, slope) in slopes.iter().enumerate() {
            let slope = [0, 1, 2, 3].map(|k| slope[k] - mean[k]);
            let error = still.values[i] * seen.length / still.length - seen.values[i];
            for row in 0..4 {
                right[row] += slope[row] * error;
                (0..4).for_each(|column| matrix[row][column] += slope[row] * slope[column]);
            }
        }
        (0..4).for_each(|i| matrix[i][i] += if i < 2 { 50.0 } else { 0.5 });
        let step = solve(matrix, right)?;
        let bound = |value: f32, most: f32| value.clamp(-most, most);
        let next = Pose {
            a: pose.a + bound(step[0], 0.05),
            b: pose.b + bound(step[1], 0.05),
            x: pose.x + bound(step[2], 1.0),
            y: pose.y + bound(step[3], 1.0),
        };
        Some((product / (still.length * seen.length), next))
    }
}

/// A place between four pixels; outside the patch its edge goes on.
struct Between {
    at: [usize; 4],
    weights: [f32; 4],
}

impl Between {
    fn of(x: f32, y: f32) -> Self {
        let last = SIDE as f32 - 1.0;
        let (x, y) = (x.clamp(0.0, last), y.clamp(0.0, last));
        let (left, top, fx, fy) = (x as usize, y as usize, x.fract(), y.fract());
        let (right, low) = ((left + 1).min(SIDE - 1), (top + 1).min(SIDE - 1));
        Self {
            at: [top * SIDE + left, top * SIDE + right, low * SIDE + left, low * SIDE + right],
            weights: [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy],
        }
    }

    fn read(&self, values: &[f32]) -> f32 {
        self.at.iter().zip(self.weights).map(|(at, weight)| values[*at] * weight).sum()
    }
}

/// Four linear equations, by Gaussian elimination with pivots; none where they say too little.
fn solve(mut matrix: [[f32; 4]; 4], mut right: [f32; 4]) -> Option<[f32; 4]> {
    for column in 0..4 {
        let pivot = (column..4).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let head = matrix[column][column];
        if head.abs() < 1e-9 {
            return None;
        }
        for row in column + 1..4 {
            let factor = matrix[row][column] / head;
            (column..4).for_each(|k| matrix[row][k] -= factor * matrix[column][k]);
            right[row] -= factor * right[column];
        }
    }
    let mut solution = [0.0; 4];
    for row in (0..4).rev() {
        let known: f32 = (row + 1..4).map(|k| matrix[row][k] * solution[k]).sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    Some(solution)
}
