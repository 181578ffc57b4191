//! SCRFD's output maps become faces: sort the outputs, decode distances, drop overlaps.

use greenroom_domain::Box2;

use crate::{Face, Point, align::TEMPLATE, model::Output};

/// Boxes that share more than this part of their union are one face; the better one stays.
const SAME_FACE_IOU: f32 = 0.4;

/// How many outputs a detector can have.
pub(crate) const LAYOUTS: [usize; 4] = [6, 9, 10, 15];

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

/// Tells outputs apart by count and shape, with or without a batch axis; none where they are not SCRFD's.
pub(crate) fn heads(outputs: &[Output], width: u32, height: u32) -> Option<Vec<Head<'_>>> {
    let (strides, anchors, landmarks): (&[u32], u32, bool) = match outputs.len() {
        6 => (&[8, 16, 32], 2, false),
        9 => (&[8, 16, 32], 2, true),
        10 => (&[8, 16, 32, 64, 128], 1, false),
        15 => (&[8, 16, 32, 64, 128], 1, true),
        _ => return None,
    };
    let mut left: Vec<&Output> = outputs.iter().collect();
    // Small inputs give several strides the same number of rows; then the model's order decides.
    let mut take = |rows: u32, values: usize| {
        let at = left.iter().position(|o| matches(o, rows as usize, values))?;
        Some(left.remove(at).values.as_slice())
    };
    let head = |&stride: &u32| {
        let columns = width.div_ceil(stride);
        let rows = columns * height.div_ceil(stride) * anchors;
        let (scores, boxes) = (take(rows, 1)?, take(rows, 4)?);
        let landmarks = if landmarks { Some(take(rows, 10)?) } else { None };
        Some(Head { stride, anchors, columns, scores, boxes, landmarks })
    };
    strides.iter().map(head).collect()
}

/// Faces with at least this score, best first, in pixels of the input divided by `scale`.
pub(crate) fn faces(heads: &[Head<'_>], threshold: f32, scale: f32) -> Vec<Face> {
    let mut found: Vec<Face> = heads.iter().flat_map(|head| head.faces(threshold, scale)).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Face> = Vec::new();
    for face in found {
        if kept.iter().all(|better| iou(&better.bbox, &face.bbox) <= SAME_FACE_IOU) {
            kept.push(face);
        }
    }
    kept
}

impl Head<'_> {
    fn faces(&self, threshold: f32, scale: f32) -> impl Iterator<Item = Face> {
        let sure = self.scores.iter().enumerate().filter(move |(_, score)| **score >= threshold);
        sure.map(move |(row, &score)| self.face(row, score, scale)).filter(is_finite)
    }

    fn face(&self, row: usize, score: f32, scale: f32) -> Face {
        let (stride, cell) = (self.stride as f32, row as u32 / self.anchors);
        let centre = Point { x: (cell % self.columns) as f32 * stride, y: (cell / self.columns) as f32 * stride };
        let at = |dx: f32, dy: f32| Point { x: (centre.x + dx * stride) / scale, y: (centre.y + dy * stride) / scale };
        let distances = &self.boxes[4 * row..4 * row + 4];
        let (near, far) = (at(-distances[0], -distances[1]), at(distances[2], distances[3]));
        let bbox = Box2 { x0: near.x, y0: near.y, x1: far.x, y1: far.y };
        let landmarks = match self.landmarks {
            Some(all) => std::array::from_fn(|i| at(all[10 * row + 2 * i], all[10 * row + 2 * i + 1])),
            None => template_in(&bbox),
        };
        Face { bbox, score, landmarks }
    }
}

fn matches(output: &Output, rows: usize, values: usize) -> bool {
    let dims = match output.dims.as_slice() {
        [1, rest @ ..] if rest.len() == 2 => rest,
        dims => dims,
    };
    dims == [rows, values]
}

fn is_finite(face: &Face) -> bool {
    let b = &face.bbox;
    let points = face.landmarks.iter().flat_map(|p| [p.x, p.y]);
    [b.x0, b.y0, b.x1, b.y1].into_iter().chain(points).all(f32::is_finite)
}

/// Landmarks of a model that has none: a frontal face fills its box as the template fills its landmarks' surroundings.
fn template_in(bbox: &Box2) -> [Point; 5] {
    // The face in the 112-pixel template: brows to chin, ear to ear.
    const FACE: Box2 = Box2 { x0: 22.0, y0: 20.0, x1: 90.0, y1: 112.0 };
    let (sx, sy) = ((bbox.x1 - bbox.x0) / (FACE.x1 - FACE.x0), (bbox.y1 - bbox.y0) / (FACE.y1 - FACE.y0));
    TEMPLATE.map(|p| Point { x: bbox.x0 + (p.x - FACE.x0) * sx, y: bbox.y0 + (p.y - FACE.y0) * sy })
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
        let found = faces(&heads(&maps, 64, 64).unwrap(), 0.5, 0.5);
        assert_eq!(found.len(), 1, "two anchors of one face are one face");
        assert_eq!(found[0].score, 0.9);
        assert_eq!(found[0].bbox, Box2 { x0: 48.0, y0: 24.0, x1: 96.0, y1: 64.0 });
        assert_eq!(found[0].landmarks[0], Point { x: 56.0, y: 48.0 });
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_face() {
        let mut maps = two_anchors_of_one_cell();
        maps[4].values.fill(f32::NAN);
        assert!(faces(&heads(&maps, 64, 64).unwrap(), 0.5, 1.0).is_empty());
    }

    #[test]
    fn faces_that_overlap_little_are_two_faces() {
        let of = |x0: f32| Box2 { x0, y0: 0.0, x1: x0 + 9.0, y1: 9.0 };
        assert!((iou(&of(0.0), &of(5.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert!((iou(&of(0.0), &of(20.0))).abs() < 1e-6);
    }
}
