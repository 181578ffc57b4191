//! Tells a cut from motion by what two frames look like from afar.

use ffmpeg_next::{Error, format::Pixel, frame::Video, software::scaling};

/// Cells across and down, and the points of a cell's side: few enough to cost nothing beside decoding, and enough that a
/// moving edge changes a cell only a little.
const CELLS: (usize, usize) = (16, 9);
const POINTS: usize = 4;
const GRID: (usize, usize) = (CELLS.0 * POINTS, CELLS.1 * POINTS);

/// Mean colour of each cell of a frame, red, green and blue from 0 to 255.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signature(Vec<[f32; 3]>);

impl Signature {
    /// Between neighbouring frames, a larger distance is a cut. Neighbours within our own takes differ by 1 at the median
    /// and 6 at most, the last and first frames of different takes by 30 at the median.
    pub(crate) const CUT: f32 = 12.0;

    /// Mean absolute difference of the cells' colours, 0 to 255.
    pub(crate) fn distance(&self, other: &Self) -> f32 {
        let sum: f32 = self.0.iter().flatten().zip(other.0.iter().flatten()).map(|(a, b)| (a - b).abs()).sum();
        sum / (self.0.len() * 3) as f32
    }

    /// From the colours at the points of the grid, row by row.
    fn of_points(at: impl Fn(usize, usize) -> [u8; 3]) -> Self {
        let cell = |column: usize, row: usize| {
            let points = (0..POINTS * POINTS).map(|i| at(column * POINTS + i % POINTS, row * POINTS + i / POINTS));
            let sum = points.fold([0_u32; 3], |sum, rgb| std::array::from_fn(|c| sum[c] + u32::from(rgb[c])));
            sum.map(|total| total as f32 / (POINTS * POINTS) as f32)
        };
        Self(
            (0..CELLS.1)
                .flat_map(|row| (0..CELLS.0).map(move |column| (column, row)))
                .map(|(c, r)| cell(c, r))
                .collect(),
        )
    }
}

/// Makes signatures of one video's frames.
#[derive(Default)]
pub(crate) struct Signer {
    shrink: Option<scaling::Context>,
}

impl Signer {
    /// The signature of a frame of any size and pixel format; size and format must not change.
    pub(crate) fn sign(&mut self, frame: &Video) -> Result<Signature, Error> {
        if frame.format() == Pixel::BGRZ {
            return Ok(of_bgr0(frame));
        }
        let shrink = match &mut self.shrink {
            Some(shrink) => shrink,
            none => none.insert(scaling::Context::get(
                frame.format(),
                frame.width(),
                frame.height(),
                Pixel::RGB24,
                GRID.0 as u32,
                GRID.1 as u32,
                scaling::Flags::POINT | scaling::Flags::BITEXACT,
            )?),
        };
        let mut small = Video::empty();
        shrink.run(frame, &mut small)?;
        let (data, stride) = (small.data(0), small.stride(0));
        Ok(Signature::of_points(|x, y| std::array::from_fn(|c| data[y * stride + x * 3 + c])))
    }
}

/// Reads the points themselves: no frame is converted for it.
fn of_bgr0(frame: &Video) -> Signature {
    let (data, stride) = (frame.data(0), frame.stride(0));
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let middle = |i: usize, of: usize, size: usize| (2 * i + 1) * size / (2 * of);
    Signature::of_points(|x, y| {
        let at = middle(y, GRID.1, height) * stride + middle(x, GRID.0, width) * 4;
        [data[at + 2], data[at + 1], data[at]]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colour::rgb_to_bgr0;
    use image::{Rgb, RgbImage};

    fn frame(picture: &RgbImage) -> Video {
        let mut frame = Video::new(Pixel::BGRZ, picture.width(), picture.height());
        rgb_to_bgr0(picture, &mut frame);
        frame
    }

    /// A bright disc on a slope of grey, at so many pixels from the left.
    fn disc(left: i64) -> RgbImage {
        RgbImage::from_fn(320, 180, |x, y| {
            let (dx, dy) = (i64::from(x) - left, i64::from(y) - 90);
            if dx * dx + dy * dy < 1600 { Rgb([230, 180, 150]) } else { Rgb([40 + (x / 8) as u8; 3]) }
        })
    }

    #[test]
    fn motion_is_no_cut_and_another_picture_is_one() {
        let sign = |picture: &RgbImage| Signer::default().sign(&frame(picture)).unwrap();
        let still = sign(&disc(100));
        assert!(still.distance(&still) < 1e-6);
        let moved = still.distance(&sign(&disc(110)));
        assert!(moved > 0.1 && moved < Signature::CUT / 2.0, "{moved}");
        let other = RgbImage::from_fn(320, 180, |_, y| Rgb([y as u8, 90, 200]));
        assert!(still.distance(&sign(&other)) > 2.0 * Signature::CUT);
    }

    #[test]
    fn a_frame_smaller_than_the_grid_has_a_signature_too() {
        let dot = frame(&RgbImage::from_pixel(1, 1, Rgb([10, 20, 30])));
        assert_eq!(of_bgr0(&dot).0[0], [10.0, 20.0, 30.0]);
    }
}
