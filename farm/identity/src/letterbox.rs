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

/// Scales with the ratio kept, bilinear without smoothing, to the very bytes of OpenCV's `resize`: what a detector sees decides
/// at the threshold.
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
    let (columns, rows) = (taps(w, new_w, true), taps(h, new_h, false));
    for (y, row) in rows.iter().enumerate() {
        for (x, column) in columns.iter().enumerate() {
            for (plane, value) in norm.pixel(mixed(picture, column, row)).into_iter().enumerate() {
                planes[plane * area + y * width as usize + x] = value;
            }
        }
    }
    Letterbox { planes, scale: scale as f32 }
}

/// Two neighbours along one axis, and their shares in 2048ths.
struct Tap {
    at: [u32; 2],
    share: [i32; 2],
}

/// For each target pixel its two source pixels; pixel centres lie at halves.
///
/// OpenCV counts in single precision, and gives the last pixel of a row one neighbour, the last row of a picture itself twice.
fn taps(from: u32, to: u32, within_rows: bool) -> Vec<Tap> {
    let (step, last) = (1.0 / (f64::from(to) / f64::from(from)), i64::from(from) - 1);
    let tap = |i: u32| {
        let at = ((f64::from(i) + 0.5) * step - 0.5) as f32;
        let first = at.floor() as i64;
        let alone = within_rows && !(0..last).contains(&first);
        let second = if alone { 0.0 } else { at - at.floor() };
        let share = [1.0 - second, second].map(|share| (share * 2048.0).round_ties_even() as i32);
        Tap { at: [first, first + 1].map(|it| it.clamp(0, last) as u32), share }
    };
    (0..to).map(tap).collect()
}

/// The mean of four pixels, rounded as OpenCV's vector code rounds it, bit by bit.
fn mixed(picture: &RgbImage, column: &Tap, row: &Tap) -> [f32; 3] {
    let [upper, lower] = row.at.map(|y| {
        let [left, right] = column.at.map(|x| picture.get_pixel(x, y).0.map(i32::from));
        [0, 1, 2].map(|channel| left[channel] * column.share[0] + right[channel] * column.share[1])
    });
    let part = |value: i32, share: i32| ((value >> 4) * share) >> 16;
    [0, 1, 2].map(|channel| {
        let sum = part(upper[channel], row.share[0]) + part(lower[channel], row.share[1]);
        ((sum + 2) >> 2) as f32
    })
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
    fn rounding_is_opencvs_and_no_better() {
        // cv2.resize(numpy.array([[0, 9], [200, 255]], numpy.uint8), (5, 3)), by OpenCV 5.0.
        let picture = RgbImage::from_fn(2, 2, |x, y| Rgb([[[0, 9], [200, 255]][y as usize][x as usize]; 3]));
        let (columns, rows) = (taps(2, 5, true), taps(2, 3, false));
        let scaled =
            rows.iter().map(|row| columns.iter().map(|column| mixed(&picture, column, row)[0]).collect::<Vec<_>>());
        let by_opencv =
            [[0.0, 1.0, 4.0, 8.0, 9.0], [100.0, 103.0, 116.0, 129.0, 132.0], [200.0, 205.0, 227.0, 249.0, 255.0]];
        assert_eq!(scaled.collect::<Vec<_>>(), by_opencv);
    }

    #[test]
    fn a_strip_of_one_pixel_keeps_its_length() {
        let fitted = letterbox(&RgbImage::new(1000, 1), 64, 64, &scrfd());
        assert!((fitted.scale - 0.064).abs() < 1e-6);
    }
}
