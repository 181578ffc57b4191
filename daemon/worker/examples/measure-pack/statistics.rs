//! Rates and curves over many measured numbers.

use greenroom_domain::Box2;
use greenroom_identity::Face;

/// A face counts as found where the boxes share at least this part of their union.
const FOUND_IOU: f32 = 0.5;

/// The area under the ROC curve: how often a genuine value is above an impostor's, ties counted half. None without both.
pub(crate) fn area_under_curve(genuine: &[f32], impostors: &[f32]) -> Option<f64> {
    if genuine.is_empty() || impostors.is_empty() {
        return None;
    }
    let mut impostors = impostors.to_vec();
    impostors.sort_by(f32::total_cmp);
    let below = |value: f32| impostors.partition_point(|&i| i < value) + impostors.partition_point(|&i| i <= value);
    let twice: usize = genuine.iter().map(|&g| below(g)).sum();
    Some(twice as f64 / 2.0 / genuine.len() as f64 / impostors.len() as f64)
}

/// The lowest of the values that at most this share of them exceeds; none where they are too few to say.
pub(crate) fn exceeded_by(share: f64, values: &[f32]) -> Option<f32> {
    let mut values = values.to_vec();
    values.sort_by(|a, b| b.total_cmp(a));
    let allowed = (values.len() as f64 * share).floor() as usize;
    if allowed == 0 { None } else { values.get(allowed).copied() }
}

/// Share of the values for which this holds; none without values.
pub(crate) fn share<T>(values: &[T], holds: impl Fn(&T) -> bool) -> Option<f64> {
    let count = values.iter().filter(|value| holds(value)).count();
    (!values.is_empty()).then(|| count as f64 / values.len() as f64)
}

/// None without values.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The middle value, the upper one of two; none without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// For each true face the one that was found for it: the best detection first takes the face that it overlaps most.
pub(crate) fn matched<'a>(truth: &[Face], found: &'a [Face]) -> Vec<Option<&'a Face>> {
    let mut matches = vec![None; truth.len()];
    for face in found {
        let free = (0..truth.len()).filter(|&i| matches[i].is_none());
        let best = free.map(|i| (i, iou(&truth[i].bbox, &face.bbox))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((i, _)) = best.filter(|&(_, iou)| iou >= FOUND_IOU) {
            matches[i] = Some(face);
        }
    }
    matches
}

/// Mean distance of the landmarks from the true ones, in true eye distances.
pub(crate) fn landmark_error(truth: &Face, found: &Face) -> f64 {
    let apart = |a: greenroom_identity::Point, b: greenroom_identity::Point| f64::from((a.x - b.x).hypot(a.y - b.y));
    let [left, right, ..] = truth.landmarks;
    let sum: f64 = truth.landmarks.iter().zip(found.landmarks).map(|(a, b)| apart(*a, b)).sum();
    sum / truth.landmarks.len() as f64 / apart(left, right).max(1.0)
}

fn iou(a: &Box2, b: &Box2) -> f32 {
    let area = |b: &Box2| (b.x1 - b.x0).max(0.0) * (b.y1 - b.y0).max(0.0);
    let (x0, y0, x1, y1) = (a.x0.max(b.x0), a.y0.max(b.y0), a.x1.min(b.x1), a.y1.min(b.y1));
    let both = area(&Box2 { x0, y0, x1, y1 });
    both / (area(a) + area(b) - both).max(f32::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_identity::Point;

    fn face(x: f32, score: f32) -> Face {
        let landmarks = [0.0, 4.0, 2.0, 1.0, 3.0].map(|dx| Point { x: x + dx, y: dx });
        Face { bbox: Box2 { x0: x, y0: 0.0, x1: x + 10.0, y1: 10.0 }, score, landmarks }
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_the_right_order() {
        assert_eq!(area_under_curve(&[0.9, 0.8], &[0.1, 0.2]), Some(1.0));
        assert_eq!(area_under_curve(&[0.9, 0.1], &[0.5, 0.1]), Some((2.0 + 0.5) / 4.0));
        assert_eq!(area_under_curve(&[], &[0.5]), None);
    }

    #[test]
    fn one_in_a_thousand_needs_a_thousand() {
        let values: Vec<f32> = (0..2000).map(|i| i as f32).collect();
        let limit = exceeded_by(0.001, &values).unwrap();
        assert_eq!(share(&values, |v| *v > limit), Some(0.001));
        assert_eq!(exceeded_by(0.001, &values[..999]), None);
    }

    #[test]
    fn a_face_is_found_once_and_only_where_it_is() {
        let (truth, found) = ([face(0.0, 1.0), face(50.0, 1.0)], [face(1.0, 0.9), face(2.0, 0.8), face(90.0, 0.7)]);
        let matches = matched(&truth, &found);
        assert_eq!(matches, [Some(&found[0]), None]);
        assert!(matched(&[], &found).is_empty());
    }

    #[test]
    fn landmarks_are_off_in_eye_distances() {
        assert!((landmark_error(&face(0.0, 1.0), &face(1.0, 1.0)) - 1.0 / 32.0_f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn the_middle_of_nothing_is_none() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[]), mean(&[])), (Some(2.0), None, None));
    }
}
