//! Turns a face upright into the square that embedders were trained on.

use image::{Rgb, RgbImage};

use crate::Point;

/// Where ArcFace's training crops have the five landmarks, in a square of 112 pixels.
pub(crate) const TEMPLATE: [Point; 5] = [
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
];

/// Cuts a face out: `size` × `size` pixels with the landmarks where ArcFace expects them.
///
/// The similarity (rotation, scale, shift, no reflection) has the least squared landmark error (Umeyama 1991); pixels are
/// bilinear, black outside the picture. A size that divides by 128 and not by 112 uses the template of 128-pixel models,
/// every other one the template of 112 scaled. Landmarks that all lie in one place, or are not finite, give black.
#[must_use]
pub fn align(picture: &RgbImage, landmarks: &[Point; 5], size: u32) -> RgbImage {
    let mut out = RgbImage::new(size, size);
    let Some(map) = Similarity::fit(&template(size), landmarks) else { return out };
    for (x, y, pixel) in out.enumerate_pixels_mut() {
        let from = map.apply(Point { x: x as f32, y: y as f32 });
        *pixel = bilinear(picture, from);
    }
    out
}

/// The template for crops of `size` pixels.
fn template(size: u32) -> [Point; 5] {
    let wide = !size.is_multiple_of(112) && size.is_multiple_of(128);
    let (unit, shift) = if wide { (128.0, 8.0) } else { (112.0, 0.0) };
    let scale = size as f32 / unit;
    TEMPLATE.map(|p| Point { x: (p.x + shift) * scale, y: p.y * scale })
}

/// z → a·z + b on the complex plane: every rotation with scale and shift, and no reflection.
#[derive(Clone, Copy, Debug)]
struct Similarity {
    a: (f64, f64),
    b: (f64, f64),
}

impl Similarity {
    /// The one that carries picture points to template points with the least squared error, inverted.
    fn fit(template: &[Point; 5], picture: &[Point; 5]) -> Option<Self> {
        let (to, from) = (mean(template), mean(picture));
        let (mut re, mut im, mut norm) = (0.0, 0.0, 0.0);
        for (t, p) in template.iter().zip(picture) {
            let (tx, ty) = (f64::from(t.x) - to.0, f64::from(t.y) - to.1);
            let (px, py) = (f64::from(p.x) - from.0, f64::from(p.y) - from.1);
            re += px * tx + py * ty;
            im += px * ty - py * tx;
            norm += px * px + py * py;
        }
        // Forward: t − to = (re + i·im) / norm · (p − from). Its inverse multiplies by norm / (re + i·im).
        let size2 = re * re + im * im;
        let usable = norm.is_finite() && size2.is_finite() && norm > 1e-6 && size2 > 1e-12;
        usable.then(|| {
            let a = (norm * re / size2, -norm * im / size2);
            let b = (from.0 - (a.0 * to.0 - a.1 * to.1), from.1 - (a.1 * to.0 + a.0 * to.1));
            Self { a, b }
        })
    }

    fn apply(&self, p: Point) -> (f64, f64) {
        let (x, y) = (f64::from(p.x), f64::from(p.y));
        (self.a.0 * x - self.a.1 * y + self.b.0, self.a.1 * x + self.a.0 * y + self.b.1)
    }
}

fn mean(points: &[Point; 5]) -> (f64, f64) {
    let sum = points.iter().fold((0.0, 0.0), |s, p| (s.0 + f64::from(p.x), s.1 + f64::from(p.y)));
    (sum.0 / 5.0, sum.1 / 5.0)
}

/// Whole coordinates are pixels; what lies outside counts as black.
fn bilinear(picture: &RgbImage, (x, y): (f64, f64)) -> Rgb<u8> {
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = ((x - x0) as f32, (y - y0) as f32);
    let (x0, y0) = (x0 as i64, y0 as i64);
    let at = |x: i64, y: i64| {
        let inside = (0..width).contains(&x) && (0..height).contains(&y);
        if inside { picture.get_pixel(x as u32, y as u32).0.map(f32::from) } else { [0.0; 3] }
    };
    let (a, b, c, d) = (at(x0, y0), at(x0 + 1, y0), at(x0, y0 + 1), at(x0 + 1, y0 + 1));
    Rgb([0, 1, 2].map(|i| {
        let top = a[i] + (b[i] - a[i]) * fx;
        let bottom = c[i] + (d[i] - c[i]) * fx;
        (top + (bottom - top) * fy).round() as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn landmarks_at_the_template_leave_the_picture_as_it_is() {
        let picture = RgbImage::from_fn(112, 112, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
        assert_eq!(align(&picture, &TEMPLATE, 112), picture);
    }

    #[test]
    fn a_face_turned_upside_down_comes_back_upright() {
        let picture = RgbImage::from_fn(112, 112, |x, y| Rgb([x as u8, y as u8, 7]));
        let turned = image::imageops::rotate180(&picture);
        let landmarks = TEMPLATE.map(|p| Point { x: 111.0 - p.x, y: 111.0 - p.y });
        let upright = align(&turned, &landmarks, 112);
        let off = |a: &Rgb<u8>, b: &Rgb<u8>| a.0.iter().zip(b.0).any(|(a, b)| a.abs_diff(b) > 1);
        assert!(!upright.pixels().zip(picture.pixels()).any(|(a, b)| off(a, b)));
    }

    #[test]
    fn models_of_128_pixels_have_the_face_in_the_middle() {
        assert!((template(128)[0].x - 46.2946).abs() < 1e-4);
        assert!((template(224)[0].x - 76.5892).abs() < 1e-4);
    }

    #[test]
    fn landmarks_in_one_place_give_black_and_nothing_worse() {
        let picture = RgbImage::from_pixel(20, 20, Rgb([200; 3]));
        for p in [Point { x: 3.0, y: 3.0 }, Point { x: f32::NAN, y: 0.0 }] {
            assert!(align(&picture, &[p; 5], 112).pixels().all(|p| p.0 == [0; 3]));
        }
    }
}
