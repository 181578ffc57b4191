//! The square around a face that the attribute classifier sees.

use greenroom_domain::{AttributeDefaults, Box2};
use image::{Rgb, RgbImage};

/// A square of whole pixels, which may leave the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Square {
    x0: i64,
    y0: i64,
    side: u32,
}

/// A box that would need a larger square is no face.
const LONGEST_SIDE: f64 = 65_536.0;

impl Square {
    /// As [`AttributeDefaults`] says; none for a box of no size, or of one that is not finite or out of all proportion.
    pub(crate) fn around(bbox: &Box2, how: &AttributeDefaults) -> Option<Self> {
        let [x0, y0, x1, y1] = [bbox.x0, bbox.y0, bbox.x1, bbox.y1].map(f64::from);
        let longer = (x1 - x0).max(y1 - y0);
        let side = (f64::from(how.crop) * longer).round_ties_even().max(1.0);
        let left = f64::midpoint(x0, x1) - side / 2.0;
        let top = f64::midpoint(y0, y1) + f64::from(how.down) * longer - side / 2.0;
        let usable = longer > 0.0 && side <= LONGEST_SIDE && left.is_finite() && top.is_finite();
        usable.then(|| Self { x0: left.round_ties_even() as i64, y0: top.round_ties_even() as i64, side: side as u32 })
    }

    /// The square scaled to `size` pixels, black outside the picture: every pixel the mean of the area that it covers where
    /// the square shrinks, else bilinear with pixel centres at halves. To one level what OpenCV's `INTER_AREA` and
    /// `INTER_LINEAR` give.
    pub(crate) fn cut(self, picture: &RgbImage, size: u32) -> RgbImage {
        let weights = if self.side > size { area(self.side, size) } else { linear(self.side, size) };
        let inside = |start: i64, taps: &[(u32, f32)], end: u32| -> Vec<(u32, f32)> {
            let at = |&(i, weight): &(u32, f32)| Some((u32::try_from(start + i64::from(i)).ok()?, weight));
            taps.iter().filter_map(at).filter(|&(i, _)| i < end).collect()
        };
        let columns: Vec<_> = weights.iter().map(|taps| inside(self.x0, taps, picture.width())).collect();
        let mut out = RgbImage::new(size, size);
        let mut row = vec![[0.0_f32; 3]; size as usize];
        for (y, taps) in weights.iter().enumerate() {
            row.fill([0.0; 3]);
            for (from, share) in inside(self.y0, taps, picture.height()) {
                for (sum, taps) in row.iter_mut().zip(&columns) {
                    for &(x, weight) in taps {
                        let pixel = picture.get_pixel(x, from).0;
                        (0..3).for_each(|c| sum[c] += share * weight * f32::from(pixel[c]));
                    }
                }
            }
            for (x, sum) in row.iter().enumerate() {
                out.put_pixel(x as u32, y as u32, Rgb(sum.map(|v| v.round_ties_even() as u8)));
            }
        }
        out
    }
}

/// For each target pixel the source pixels that it covers and the share of each.
fn area(from: u32, to: u32) -> Vec<Vec<(u32, f32)>> {
    let step = f64::from(from) / f64::from(to);
    let covered = |i: u32| {
        let (start, end) = (f64::from(i) * step, f64::from(i + 1) * step);
        let last = (end.ceil() as u32).min(from);
        let share = |pixel: u32| {
            let shared = end.min(f64::from(pixel) + 1.0) - start.max(f64::from(pixel));
            (pixel, (shared / step) as f32)
        };
        (start.floor() as u32..last).map(share).filter(|(_, share)| *share > 1e-6).collect()
    };
    (0..to).map(covered).collect()
}

fn linear(from: u32, to: u32) -> Vec<Vec<(u32, f32)>> {
    taps(from, to).into_iter().map(|(first, second, share)| vec![(first, 1.0 - share), (second, share)]).collect()
}

/// For each target pixel its two source pixels and the second one's share; pixel centres lie at halves, edges repeat.
fn taps(from: u32, to: u32) -> Vec<(u32, u32, f32)> {
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

    fn how(crop: f32, down: f32) -> AttributeDefaults {
        AttributeDefaults {
            size: 4,
            crop,
            down,
            mean: 0.0,
            std: 1.0,
            labels: Default::default(),
            anchors: Default::default(),
            misplaced: None,
        }
    }

    #[test]
    fn a_square_stands_around_the_face_and_below_it() {
        let bbox = Box2 { x0: 10.0, y0: 20.0, x1: 20.0, y1: 40.0 };
        assert_eq!(Square::around(&bbox, &how(2.0, 0.25)), Some(Square { x0: -5, y0: 15, side: 40 }));
    }

    #[test]
    fn boxes_that_are_none_have_no_square() {
        let of = |x1: f32| Square::around(&Box2 { x0: 0.0, y0: 0.0, x1, y1: x1 }, &how(2.0, 0.0));
        for side in [0.0, -3.0, f32::NAN, f32::INFINITY, 1e9] {
            assert_eq!(of(side), None, "{side}");
        }
        assert!(of(0.001).is_some());
    }

    #[test]
    fn halving_averages_four_pixels_and_what_lies_outside_is_black() {
        let picture = RgbImage::from_fn(4, 4, |x, y| Rgb([if (x + y) % 2 == 0 { 0 } else { 100 }; 3]));
        let cut = Square { x0: -4, y0: 0, side: 8 }.cut(&picture, 4);
        let row = |y: u32| (0..4).map(|x| cut.get_pixel(x, y).0[0]).collect::<Vec<_>>();
        assert_eq!((row(0), row(1), row(2)), (vec![0, 0, 50, 50], vec![0, 0, 50, 50], vec![0; 4]));
    }

    #[test]
    fn a_square_of_the_models_size_is_cut_and_nothing_else() {
        let picture = RgbImage::from_fn(9, 9, |x, y| Rgb([x as u8, y as u8, 7]));
        let cut = Square { x0: 2, y0: 3, side: 4 }.cut(&picture, 4);
        assert_eq!(cut, image::imageops::crop_imm(&picture, 2, 3, 4, 4).to_image());
    }

    #[test]
    fn shares_add_up_to_one_at_every_ratio() {
        for (from, to) in [(129, 128), (333, 128), (640, 128), (7, 3)] {
            for taps in area(from, to).iter().chain(&linear(to, from)) {
                let sum: f32 = taps.iter().map(|(_, share)| share).sum();
                assert!((sum - 1.0).abs() < 1e-4, "{from} to {to}: {sum}");
            }
        }
    }
}
