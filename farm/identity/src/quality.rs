//! How usable a face is as a reference.

use greenroom_domain::ReferenceQuality;
use image::RgbImage;

use crate::Face;

/// Faces of this short side fill the embedder's input; a larger one adds nothing.
const FULL_SIZE: f32 = 112.0;
/// Variance of the Laplacian at which a face counts half: under about 100 a photo is called blurred.
const SHARP: f32 = 100.0;
/// However poor a reference is, somebody chose it.
const LEAST_WEIGHT: f32 = 0.05;

/// Measures a face. `aligned` is the same face as the embedder sees it. Agreement comes with the profile.
///
/// The weight is detection × size (to 112 pixels) × pose (half at full profile) × sharpness (half at a variance of 100), at
/// least 0.05.
#[must_use]
pub fn quality(picture: &RgbImage, face: &Face, aligned: &RgbImage) -> ReferenceQuality {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let inside = |from: f32, to: f32, end: f32| to.clamp(0.0, end) - from.clamp(0.0, end);
    let face_size = inside(face.bbox.x0, face.bbox.x1, width).min(inside(face.bbox.y0, face.bbox.y1, height)).max(0.0);
    let (yaw, sharpness) = (face.yaw(), sharpness(aligned));
    let weight = face.score.clamp(0.0, 1.0)
        * (face_size / FULL_SIZE).min(1.0)
        * (1.0 - yaw.abs() / 2.0)
        * (sharpness / (sharpness + SHARP));
    let weight = weight.clamp(LEAST_WEIGHT, 1.0);
    ReferenceQuality { detection: face.score, face_size, yaw, sharpness, weight, agreement: None }
}

/// Variance of the Laplacian (four neighbours) of the grey picture, edges left out; 0 for pictures under 3×3.
fn sharpness(picture: &RgbImage) -> f32 {
    let (width, height) = picture.dimensions();
    if width < 3 || height < 3 {
        return 0.0;
    }
    let grey = |x: u32, y: u32| {
        let [r, g, b] = picture.get_pixel(x, y).0.map(f64::from);
        0.299 * r + 0.587 * g + 0.114 * b
    };
    let (mut sum, mut squares) = (0.0, 0.0);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let around = grey(x - 1, y) + grey(x + 1, y) + grey(x, y - 1) + grey(x, y + 1);
            let edge = around - 4.0 * grey(x, y);
            sum += edge;
            squares += edge * edge;
        }
    }
    let count = f64::from((width - 2) * (height - 2));
    (squares / count - (sum / count).powi(2)).max(0.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Point, align::TEMPLATE};
    use greenroom_domain::Box2;
    use image::Rgb;

    fn face(size: f32) -> Face {
        Face { bbox: Box2 { x0: 0.0, y0: 0.0, x1: size, y1: size }, score: 0.9, landmarks: TEMPLATE }
    }

    fn checks() -> RgbImage {
        RgbImage::from_fn(112, 112, |x, y| Rgb([if (x / 4 + y / 4) % 2 == 0 { 40 } else { 200 }; 3]))
    }

    #[test]
    fn a_blurred_small_or_turned_face_weighs_less() {
        let picture = RgbImage::new(300, 300);
        let weight = |face: &Face, aligned: &RgbImage| quality(&picture, face, aligned).weight;
        let good = weight(&face(150.0), &checks());
        assert!(good > 0.8, "{good}");
        assert!(weight(&face(40.0), &checks()) < good / 2.0);
        assert!(weight(&face(150.0), &image::imageops::blur(&checks(), 4.0)) < good / 2.0);
        let mut turned = face(150.0);
        turned.landmarks[2] = Point { x: 74.0, y: 72.0 };
        assert!(weight(&turned, &checks()) < good * 0.6);
    }

    #[test]
    fn only_the_part_inside_the_picture_counts() {
        let mut half_out = face(150.0);
        half_out.bbox.x0 = -100.0;
        half_out.bbox.x1 = 50.0;
        assert!((quality(&RgbImage::new(300, 300), &half_out, &checks()).face_size - 50.0).abs() < 1e-6);
    }

    #[test]
    fn a_flat_picture_has_no_edges_and_still_the_least_weight() {
        let flat = quality(&RgbImage::new(9, 9), &face(9.0), &RgbImage::from_pixel(112, 112, Rgb([90; 3])));
        assert!(flat.sharpness < 1e-6);
        assert!((flat.weight - LEAST_WEIGHT).abs() < 1e-6);
    }
}
