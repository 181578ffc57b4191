//! SCRFD's output maps become candidates: sort the outputs, decode distances, drop overlaps.

use greenroom_domain::Box2;

use crate::{Point, model::Output};

/// Boxes that share more than this part of their union are one face; the better one stays.
const SAME_FACE_IOU: f32 = 0.4;

/// A box above the threshold, in pixels of the picture, with landmarks where the model has them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) bbox: Box2,
    pub(crate) score: f32,
    pub(crate) landmarks: Option<[Point; 5]>,
}

/// What the number of a model's outputs says of it, as the reference implementation reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    strides: &'static [u32],
    anchors: u32,
    pub(crate) landmarks: bool,
}

/// One stride's outputs. Rows are cells, row by row, each repeated for its anchors.
pub(crate) struct Head<'a> {
    stride: u32,
    anchors: u32,
    columns: u32,
    scores: &'a [f32],
    boxes: &'a [f32],
    landmarks: Option<&'a [f32]>,
}

/// What a detector's outputs must look like for an input of this size.
pub(crate) fn expected(width: u32, height: u32) -> String {
    format!(
        "6 or 9 outputs for strides 8, 16, 32 (two anchors) or 10 or 15 for strides 8 to 128 (one anchor), each of shape \
         (rows, 1), (rows, 4) or (rows, 10) for an input of {width}×{height}"
    )
}

impl Layout {
    /// None where SCRFD has no such number.
    pub(crate) const fn of(outputs: usize) -> Option<Self> {
        let (strides, anchors, landmarks): (&[u32], u32, bool) = match outputs {
            6 => (&[8, 16, 32], 2, false),
            9 => (&[8, 16, 32], 2, true),
            10 => (&[8, 16, 32, 64, 128], 1, false),
            15 => (&[8, 16, 32, 64, 128], 1, true),
            _ => return None,
        };
        Some(Self { strides, anchors, landmarks })
    }

    pub(crate) const fn outputs(self) -> usize {
        self.strides.len() * if self.landmarks { 3 } else { 2 }
    }

    /// Tells outputs apart by shape, with or without a batch axis; none where they are not this layout's for such an input.
    pub(crate) fn heads(self, outputs: &[Output], width: u32, height: u32) -> Option<Vec<Head<'_>>> {
        let mut left: Vec<&Output> = outputs.iter().collect();
        // Small inputs give several strides the same number of rows; then the model's order decides.
        let mut take = |rows: u32, values: usize| {
            let at = left.iter().position(|o| matches(o, rows as usize, values))?;
            Some(left.remove(at).values.as_slice())
        };
        let head = |&stride: &u32| {
            let columns = width.div_ceil(stride);
            let rows = columns * height.div_ceil(stride) * self.anchors;
            let (scores, boxes) = (take(rows, 1)?, take(rows, 4)?);
            let landmarks = if self.landmarks { Some(take(rows, 10)?) } else { None };
            Some(Head { stride, anchors: self.anchors, columns, scores, boxes, landmarks })
        };
        self.strides.iter().map(head).collect()
    }
}

/// What has at least this score and lies on nothing better, best first, in pixels of the input divided by `scale`.
pub(crate) fn candidates(heads: &[Head<'_>], threshold: f32, scale: f32) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = heads.iter().flat_map(|head| head.candidates(threshold, scale)).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Candidate> = Vec::new();
    for one in found {
        if kept.iter().all(|better| iou(&better.bbox, &one.bbox) <= SAME_FACE_IOU) {
            kept.push(one);
        }
    }
    kept
}

impl Head<'_> {
    fn candidates(&self, threshold: f32, scale: f32) -> impl Iterator<Item = Candidate> {
        let sure = self.scores.iter().enumerate().filter(move |(_, score)| **score >= threshold);
        sure.map(move |(row, &score)| self.candidate(row, score, scale)).filter(is_finite)
    }

    fn candidate(&self, row: usize, score: f32, scale: f32) -> Candidate {
        let (stride, cell) = (self.stride as f32, row as u32 / self.anchors);
        let centre = Point { x: (cell % self.columns) as f32 * stride, y: (cell / self.columns) as f32 * stride };
        let at = |dx: f32, dy: f32| Point { x: (centre.x + dx * stride) / scale, y: (centre.y + dy * stride) / scale };
        let distances = &self.boxes[4 * row..4 * row + 4];
        let (near, far) = (at(-distances[0], -distances[1]), at(distances[2], distances[3]));
        let bbox = Box2 { x0: near.x, y0: near.y, x1: far.x, y1: far.y };
        let point = |all: &[f32], i: usize| at(all[10 * row + 2 * i], all[10 * row + 2 * i + 1]);
        let landmarks = self.landmarks.map(|all| std::array::from_fn(|i| point(all, i)));
        Candidate { bbox, score, landmarks }
    }
}

fn matches(output: &Output, rows: usize, values: usize) -> bool {
    let dims = match output.dims.as_slice() {
        [1, rest @ ..] if rest.len() == 2 => rest,
        dims => dims,
    };
    dims == [rows, values]
}

fn is_finite(one: &Candidate) -> bool {
    let b = &one.bbox;
    let points = one.landmarks.iter().flatten().flat_map(|p| [p.x, p.y]);
    [b.x0, b.y0, b.x1, b.y1].into_iter().chain(points).all(f32::is_finite)
}

/// Intersection over union, sides counted as pixels (last − first + 1) as the reference does.
fn iou(a: &Box2, b: &Box2) -> f32 {
    let side = |from: f32, to: f32| (to - from + 1.0).max(0.0);
    let area = |b: &Box2| side(b.x0, b.x1) * side(b.y0, b.y1);
    let both = side(a.x0.max(b.x0), a.x1.min(b.x1)) * side(a.y0.max(b.y0), a.y1.min(b.y1));
    both / (area(a) + area(b) - both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(dims: &[usize]) -> Output {
        Output { dims: dims.to_vec(), values: vec![0.0; dims.iter().product()] }
    }

    fn heads(outputs: &[Output], width: u32, height: u32) -> Option<Vec<Head<'_>>> {
        Layout::of(outputs.len())?.heads(outputs, width, height)
    }

    /// Outputs of a 64×64 input with `values` numbers per row, in the order of the strides.
    fn maps(strides: &[usize], anchors: usize, values: &[usize], batch: bool) -> Vec<Output> {
        let of = |v: usize| {
            strides.iter().map(move |s| {
                let rows = 64usize.div_ceil(*s).pow(2) * anchors;
                if batch { output(&[1, rows, v]) } else { output(&[rows, v]) }
            })
        };
        values.iter().flat_map(|&v| of(v)).collect()
    }

    #[test]
    fn every_known_layout_is_told_apart_by_count_and_shapes() {
        let (three, five) = ([8, 16, 32], [8, 16, 32, 64, 128]);
        for batch in [false, true] {
            assert_eq!(heads(&maps(&three, 2, &[1, 4, 10], batch), 64, 64).map(|h| h.len()), Some(3));
            assert_eq!(heads(&maps(&three, 2, &[1, 4], batch), 64, 64).map(|h| h.len()), Some(3));
            assert_eq!(heads(&maps(&five, 1, &[1, 4, 10], batch), 64, 64).map(|h| h.len()), Some(5));
            assert_eq!(heads(&maps(&five, 1, &[1, 4], batch), 64, 64).map(|h| h.len()), Some(5));
        }
        let mut mixed = maps(&three, 2, &[1, 4, 10], false);
        mixed.reverse();
        assert!(heads(&mixed, 64, 64).is_some());
        assert!(heads(&maps(&three, 1, &[1, 4, 10], false), 64, 64).is_none());
        assert!(heads(&maps(&three, 2, &[1, 4, 10], false), 96, 64).is_none());
    }

    /// A 64×64 input where both anchors of one cell of stride 16 see a face.
    fn two_anchors_of_one_cell() -> Vec<Output> {
        let mut maps = maps(&[8, 16, 32], 2, &[1, 4, 10], false);
        let row = 2 * (4 + 2); // second row, third column: centre (32, 16)
        for (anchor, score) in [(0, 0.7), (1, 0.9)] {
            maps[1].values[row + anchor] = score;
            maps[4].values[4 * (row + anchor)..][..4].copy_from_slice(&[0.5, 0.25, 1.0, 1.0]);
            maps[7].values[10 * (row + anchor)..][..2].copy_from_slice(&[-0.25, 0.5]);
        }
        maps
    }

    #[test]
    fn distances_are_counted_from_the_cell_in_strides() {
        let maps = two_anchors_of_one_cell();
        let found = candidates(&heads(&maps, 64, 64).unwrap(), 0.5, 0.5);
        assert_eq!(found.len(), 1, "two anchors of one face are one face");
        assert_eq!(found[0].score, 0.9);
        assert_eq!(found[0].bbox, Box2 { x0: 48.0, y0: 24.0, x1: 96.0, y1: 64.0 });
        assert_eq!(found[0].landmarks.unwrap()[0], Point { x: 56.0, y: 48.0 });
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_face() {
        let mut maps = two_anchors_of_one_cell();
        maps[4].values.fill(f32::NAN);
        assert!(candidates(&heads(&maps, 64, 64).unwrap(), 0.5, 1.0).is_empty());
    }

    #[test]
    fn faces_that_overlap_little_are_two_faces() {
        let of = |x0: f32| Box2 { x0, y0: 0.0, x1: x0 + 9.0, y1: 9.0 };
        assert!((iou(&of(0.0), &of(5.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert!((iou(&of(0.0), &of(20.0))).abs() < 1e-6);
    }
}
