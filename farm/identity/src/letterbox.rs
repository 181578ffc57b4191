//! A picture of any size becomes the detector's input.

use image::RgbImage;

use crate::norm::Norm;

/// A picture scaled into the input's top left corner, the rest black.
pub(crate) struct Letterbox {
    /// (1, 3, H, W) as the model wants its pixels.
    pub(crate) planes: Vec<f32>,
    /// Input pixels per picture pixel.
    pub(crate) scale: f32,
}

/// Scales with the ratio kept, bilinear without smoothing, as the reference implementation does (its numbers depend on it).
///
/// The picture must not be empty.
pub(crate) fn letterbox(picture: &RgbImage, width: u32, height: u32, norm: &Norm) -> Letterbox {
    let (w, h) = picture.dimensions();
    let ratio = f64::from(h) / f64::from(w);
    let (new_w, new_h) = if ratio > f64::from(height) / f64::from(width) {
        ((f64::from(height) / ratio) as u32, height)
    } else {
        (width, (f64::from(width) * ratio) as u32)
    };
    let (new_w, new_h) = (new_w.clamp(1, width), new_h.clamp(1, height));
    // The reference takes one scale from the heights. For a strip under a pixel high that says nothing, so the longer side.
    let scale = if h >= w || new_h > 1 { f64::from(new_h) / f64::from(h) } else { f64::from(new_w) / f64::from(w) };
    let area = (width * height) as usize;
    let mut planes: Vec<f32> =
        norm.pixel([0.0; 3]).into_iter().flat_map(|black| std::iter::repeat_n(black, area)).collect();
    let (columns, rows) = (taps(w, new_w), taps(h, new_h));
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            let pixel = |x: u32, y: u32| picture.get_pixel(x, y).0.map(f32::from);
            let (a, b) = (pixel(column.0, row.0), pixel(column.1, row.0));
            let (c, d) = (pixel(column.0, row.1), pixel(column.1, row.1));
            let mixed = std::array::from_fn(|channel| {
                let top = a[channel] + (b[channel] - a[channel]) * column.2;
                let bottom = c[channel] + (d[channel] - c[channel]) * column.2;
                (top + (bottom - top) * row.2).round()
            });
            for (plane, value) in norm.pixel(mixed).into_iter().enumerate() {
                planes[plane * area + y * width as usize + x] = value;
            }
        }
    }
    Letterbox { planes, scale: scale as f32 }
}

/// For each target pixel its two source pixels and the second one's share; pixel centres lie at halves, edges repeat.
pub(crate) fn taps(from: u32, to: u32) -> Vec<(u32, u32, f32)> {
    let step = f64::from(from) / f64::from(to);
    let tap = |i: u32| {
        let at = ((f64::from(i) + 0.5) * step - 0.5).clamp(0.0, f64::from(from - 1));
        let first = at.floor() as u32;
        (first, (first + 1).min(from - 1), (at - at.floor()) as f32)
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn scrfd() -> Norm {
        Norm::even(127.5, 128.0)
    }

    fn normalised(value: f32) -> f32 {
        (value - 127.5) / 128.0
    }

    #[test]
    fn a_wide_picture_fills_the_width_and_leaves_black_below() {
        let picture = RgbImage::from_pixel(200, 100, Rgb([255, 0, 127]));
        let fitted = letterbox(&picture, 64, 64, &scrfd());
        assert!((fitted.scale - 0.32).abs() < 1e-6);
        let red = &fitted.planes[..64 * 64];
        assert!((red[31 * 64 + 63] - (255.0 - 127.5) / 128.0).abs() < 1e-6);
        assert!((red[32 * 64] - normalised(0.0)).abs() < 1e-6);
    }

    #[test]
    fn halving_averages_neighbours() {
        let picture = RgbImage::from_fn(4, 4, |x, _| Rgb([if x % 2 == 0 { 0 } else { 100 }; 3]));
        let fitted = letterbox(&picture, 2, 2, &scrfd());
        assert!(fitted.planes.iter().all(|v| (v - normalised(50.0)).abs() < 1e-6));
    }

    #[test]
    fn a_strip_of_one_pixel_keeps_its_length() {
        let fitted = letterbox(&RgbImage::new(1000, 1), 64, 64, &scrfd());
        assert!((fitted.scale - 0.064).abs() < 1e-6);
    }
}
