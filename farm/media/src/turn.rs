//! How a video's frames lie: cameras that are held sideways say so instead of turning every frame.

use ffmpeg_next::{codec::packet::side_data::Type, format::stream::Stream};
use image::metadata::Orientation;

/// From the stream's display matrix, to the nearest quarter turn; upright where there is none.
pub(crate) fn of(stream: &Stream<'_>) -> Orientation {
    let matrix = stream.side_data().find(|data| data.kind() == Type::DisplayMatrix);
    matrix.and_then(|data| orientation(data.data())).unwrap_or(Orientation::NoTransforms)
}

/// Whether width and height change places.
pub(crate) const fn lies(turn: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(turn, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Nine numbers of the machine's byte order: x' = m0·x + m3·y, y' = m1·x + m4·y, with y downwards.
fn orientation(bytes: &[u8]) -> Option<Orientation> {
    let number = |i: usize| Some(i32::from_ne_bytes(bytes.get(4 * i..4 * i + 4)?.try_into().ok()?));
    let (xx, xy, yx, yy) = (number(0)?, number(1)?, number(3)?, number(4)?);
    let along = xx.unsigned_abs() >= xy.unsigned_abs();
    Some(match (along, xx < 0, yy < 0, yx < 0, xy < 0) {
        (true, false, false, ..) => Orientation::NoTransforms,
        (true, true, true, ..) => Orientation::Rotate180,
        (true, true, false, ..) => Orientation::FlipHorizontal,
        (true, false, true, ..) => Orientation::FlipVertical,
        (false, _, _, true, false) => Orientation::Rotate90,
        (false, _, _, false, true) => Orientation::Rotate270,
        (false, _, _, false, false) => Orientation::Rotate90FlipH,
        (false, _, _, true, true) => Orientation::Rotate270FlipH,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, Rgb, RgbImage};

    /// Where a matrix puts the pixel at (x, y) of a picture of 3 × 2.
    fn by_matrix([xx, xy, yx, yy]: [i32; 4], x: i32, y: i32) -> (u32, u32) {
        let at = |x: i32, y: i32| (xx * x + yx * y, xy * x + yy * y);
        let corners = [at(0, 0), at(2, 0), at(0, 1), at(2, 1)];
        let least = |of: fn(&(i32, i32)) -> i32| corners.iter().map(of).min().unwrap();
        let (shown_x, shown_y) = at(x, y);
        ((shown_x - least(|c| c.0)) as u32, (shown_y - least(|c| c.1)) as u32)
    }

    #[test]
    fn every_turn_and_mirror_puts_pixels_where_its_matrix_says() {
        let picture = RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 9]));
        for matrix in [[1, 0, 0, 1], [-1, 0, 0, -1], [-1, 0, 0, 1], [1, 0, 0, -1]].into_iter().chain([
            [0, 1, -1, 0],
            [0, -1, 1, 0],
            [0, 1, 1, 0],
            [0, -1, -1, 0],
        ]) {
            let [xx, xy, yx, yy] = matrix;
            let numbers = [xx, xy, 0, yx, yy, 0, 0, 0, 1].map(|n| n * 65_536);
            let turn = orientation(&numbers.map(i32::to_ne_bytes).concat()).unwrap();
            let mut turned = DynamicImage::ImageRgb8(picture.clone());
            turned.apply_orientation(turn);
            for (x, y, pixel) in picture.enumerate_pixels() {
                let (to_x, to_y) = by_matrix(matrix, x as i32, y as i32);
                assert_eq!(turned.to_rgb8().get_pixel(to_x, to_y), pixel, "{matrix:?}");
            }
        }
    }

    #[test]
    fn a_matrix_that_is_cut_off_is_none() {
        assert_eq!(orientation(&[0; 16]), None);
    }
}
