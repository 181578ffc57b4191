//! A face in a picture.

use greenroom_domain::Box2;

/// A place in a picture, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// From the left.
    pub x: f32,
    /// From the top.
    pub y: f32,
}

/// A face that the detector found, in pixels of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// Where; may reach over the picture's edge.
    pub bbox: Box2,
    /// How sure, 0 to 1.
    pub score: f32,
    /// Image-left eye, image-right eye, nose, image-left and image-right corner of the mouth.
    pub landmarks: [Point; 5],
}

impl Face {
    /// Shorter side of the box, pixels.
    #[must_use]
    pub fn short_side(&self) -> f32 {
        (self.bbox.x1 - self.bbox.x0).min(self.bbox.y1 - self.bbox.y0)
    }

    /// Head turn, −1 (to the picture's left) to 1 (right): how far the nose lies from the middle of the eyes, along the line
    /// through them, in half eye distances. 0 faces the camera; independent of roll and size.
    #[must_use]
    pub fn yaw(&self) -> f32 {
        let [left, right, nose, ..] = self.landmarks;
        let axis = (right.x - left.x, right.y - left.y);
        let offset = (nose.x - (left.x + right.x) / 2.0, nose.y - (left.y + right.y) / 2.0);
        let length2 = (axis.0 * axis.0 + axis.1 * axis.1).max(f32::EPSILON);
        (2.0 * (offset.0 * axis.0 + offset.1 * axis.1) / length2).clamp(-1.0, 1.0)
    }
}

/// Leaves out faces that lie on a better face: of the ones given (best first), each of which at least 70 % of the area is
/// inside an earlier one's box.
///
/// Detectors find eyes and mouths as small faces on a close-up. Non-maximum suppression keeps those, because a small box
/// shares little of the union; two people do not stand so that one face covers another's box.
#[must_use]
pub fn distinct(faces: &[Face]) -> Vec<Face> {
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if !kept.iter().any(|better| share_inside(&face.bbox, &better.bbox) >= ON_A_FACE) {
            kept.push(face.clone());
        }
    }
    kept
}

/// Less would join people who stand one before the other; more lets a mouth with chin pass for a face.
const ON_A_FACE: f32 = 0.7;

/// Which share of `small` lies inside `large`, 0 to 1.
pub(crate) fn share_inside(small: &Box2, large: &Box2) -> f32 {
    let both = |from: f32, to: f32| (to - from).max(0.0);
    let width = both(small.x0.max(large.x0), small.x1.min(large.x1));
    let height = both(small.y0.max(large.y0), small.y1.min(large.y1));
    let area = both(small.x0, small.x1) * both(small.y0, small.y1);
    if area > 0.0 { width * height / area } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(nose: Point) -> Face {
        let at = |x, y| Point { x, y };
        let landmarks = [at(10.0, 10.0), at(30.0, 10.0), nose, at(12.0, 30.0), at(28.0, 30.0)];
        Face { bbox: Box2 { x0: 0.0, y0: 0.0, x1: 40.0, y1: 50.0 }, score: 1.0, landmarks }
    }

    #[test]
    fn a_mouth_is_no_face_on_a_face_but_a_neighbour_is() {
        let nose = Point { x: 20.0, y: 20.0 };
        let (mut mouth, mut neighbour) = (face(nose), face(nose));
        mouth.bbox = Box2 { x0: 8.0, y0: 25.0, x1: 32.0, y1: 55.0 };
        neighbour.bbox = Box2 { x0: 30.0, y0: 0.0, x1: 70.0, y1: 50.0 };
        assert_eq!(distinct(&[face(nose), mouth, neighbour.clone()]), [face(nose), neighbour]);
    }

    #[test]
    fn a_nose_under_the_middle_of_the_eyes_faces_the_camera() {
        assert!(face(Point { x: 20.0, y: 20.0 }).yaw().abs() < 1e-6);
        assert!((face(Point { x: 25.0, y: 20.0 }).yaw() - 0.5).abs() < 1e-6);
        assert!((face(Point { x: 2.0, y: 20.0 }).yaw() + 1.0).abs() < 1e-6);
    }
}
