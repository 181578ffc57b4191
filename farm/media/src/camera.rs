//! The shot's camera move: a crop window that glides over the picture, then one resize to the output size.

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use greenroom_domain::{CameraMove, Pixels};
use image::RgbImage;

/// One frame of a shot as the camera sees it: `at` of `total` frames, scaled to `out`. The window moves in fractions of a
/// pixel, so a slow move does not judder. `Static` shows the whole picture; another shape than `out`'s is cut at the
/// centre, never stretched.
///
/// # Panics
/// If either size has a side of zero pixels.
#[must_use]
pub fn camera_frame(picture: &RgbImage, camera: CameraMove, at: u64, total: u64, out: Pixels) -> RgbImage {
    let (left, top, width, height) = window(picture, camera, at, total, out);
    // Catmull-Rom: as sharp as Lanczos here, with a third of its ringing around the outlines of drawings.
    let options =
        ResizeOptions::new().crop(left, top, width, height).resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let mut frame = RgbImage::new(out.width, out.height);
    Resizer::new().resize(picture, &mut frame, &options).expect("the window lies inside the picture");
    frame
}

/// Where a window of a given size lies: its scale (1 shows everything) and its offset from the centre, in shares of the
/// room that is left (−1 at the left edge, 1 at the right).
const fn ends(camera: CameraMove) -> [(f64, f64); 2] {
    match camera {
        CameraMove::Static => [(1.0, 0.0), (1.0, 0.0)],
        CameraMove::PushIn => [(1.0, 0.0), (0.84, 0.0)],
        CameraMove::PullOut => [(0.84, 0.0), (1.0, 0.0)],
        CameraMove::PanLeft => [(0.84, 1.0), (0.84, -1.0)],
        CameraMove::PanRight => [(0.84, -1.0), (0.84, 1.0)],
        CameraMove::Tracking => [(0.92, -0.8), (0.92, 0.8)],
    }
}

/// The window in source pixels: left, top, width, height.
fn window(picture: &RgbImage, camera: CameraMove, at: u64, total: u64, out: Pixels) -> (f64, f64, f64, f64) {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let shape = f64::from(out.width) / f64::from(out.height);
    let (full_width, full_height) =
        if width / height > shape { (height * shape, height) } else { (width, width / shape) };
    let t = if total > 1 { ease(at.min(total - 1) as f64 / (total - 1) as f64) } else { 0.0 };
    let [from, to] = ends(camera);
    // Zooms are even in the logarithm: the picture grows by the same factor each frame.
    let scale = from.0 * (to.0 / from.0).powf(t);
    let aside = from.1 + (to.1 - from.1) * t;
    let (w, h) = (full_width * scale, full_height * scale);
    // Heads stand above the middle, so a window that closes in rises a little.
    let left = (width - w) / 2.0 + aside * (full_width - w) / 2.0;
    let top = (height - h) / 2.0 - 0.3 * (full_height - h) / 2.0;
    (left.clamp(0.0, width - w), top.clamp(0.0, height - h), w, h)
}

/// Starts and ends softly, and is even in between: a constant speed with a quarter of the time to gather and to lose it.
fn ease(t: f64) -> f64 {
    const RAMP: f64 = 0.25;
    let speed = 1.0 / (1.0 - RAMP);
    if t < RAMP {
        speed * t * t / (2.0 * RAMP)
    } else if t > 1.0 - RAMP {
        1.0 - speed * (1.0 - t) * (1.0 - t) / (2.0 * RAMP)
    } else {
        speed * (t - RAMP / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    const OUT: Pixels = Pixels { width: 96, height: 56 };

    /// Brighter to the right.
    fn slope() -> RgbImage {
        RgbImage::from_fn(192, 112, |x, _| Rgb([x as u8; 3]))
    }

    fn left_edge(camera: CameraMove, at: u64) -> u8 {
        camera_frame(&slope(), camera, at, 48, OUT).get_pixel(0, 28).0[0]
    }

    #[test]
    fn a_pan_to_the_left_uncovers_the_left() {
        assert!(left_edge(CameraMove::PanLeft, 0) > 28);
        assert!(left_edge(CameraMove::PanLeft, 47) < 3);
        assert_eq!(left_edge(CameraMove::PanRight, 0), left_edge(CameraMove::PanLeft, 47));
    }

    #[test]
    fn a_push_in_ends_where_a_pull_out_begins() {
        let [push, pull] = [CameraMove::PushIn, CameraMove::PullOut];
        assert_eq!(camera_frame(&slope(), push, 47, 48, OUT), camera_frame(&slope(), pull, 0, 48, OUT));
        assert!(left_edge(CameraMove::PushIn, 47) > left_edge(CameraMove::PushIn, 0));
    }

    #[test]
    fn a_slow_move_goes_on_in_every_frame_by_less_than_a_pixel() {
        let left = |at| window(&slope(), CameraMove::Tracking, at, 96, OUT).0;
        assert!((0..95).all(|at| (0.0..1.0).contains(&(left(at + 1) - left(at))) && left(at + 1) > left(at)));
    }

    #[test]
    fn another_shape_is_cut_at_the_centre() {
        let (left, top, width, height) =
            window(&RgbImage::new(200, 100), CameraMove::Static, 0, 1, Pixels { width: 50, height: 50 });
        assert_eq!((left, top, width, height), (50.0, 0.0, 100.0, 100.0));
    }
}
