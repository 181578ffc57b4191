//! A picture in a frame of another shape, smaller: how takes show people.

use image::RgbImage;
use image::imageops::{self, FilterType};

/// Of the height that is left, so much is above the picture: heads are a little above the middle of pictures.
const ABOVE: f32 = 0.4;

/// How a picture is set into a frame: heads stay about as high in it as they are in the picture. All around it its edge goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Width and height of the frame, pixels.
    pub frame: (u32, u32),
    /// Share of the frame's height that the picture fills, 0 to 1.
    pub height: f32,
    /// Where its middle lies in the frame's width, 0 to 1; it is moved until all of it is in the frame.
    pub at: f32,
    /// What the frame shows.
    pub caption: String,
}

impl View {
    /// The frame with the picture in it.
    #[must_use]
    pub fn show(&self, picture: &RgbImage) -> RgbImage {
        let (width, height) = self.frame;
        let scale = self.height * height as f32 / picture.height().max(1) as f32;
        // Nothing of it is cut off, so a wide one may fill less of the height.
        let scale = scale.min(width as f32 / picture.width().max(1) as f32);
        let side = |pixels: u32, most: u32| ((pixels as f32 * scale).round() as u32).clamp(1, most.max(1));
        let (wide, high) = (side(picture.width(), width), side(picture.height(), height));
        let small = imageops::resize(picture, wide, high, FilterType::CatmullRom);
        let left = (width as f32 * self.at - wide as f32 / 2.0).round().clamp(0.0, (width - wide) as f32) as u32;
        let top = ((height - high) as f32 * ABOVE).round() as u32;
        RgbImage::from_fn(width, height, |x, y| {
            *small.get_pixel(x.saturating_sub(left).min(wide - 1), y.saturating_sub(top).min(high - 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn view(height: f32, at: f32) -> View {
        View { frame: (192, 112), height, at, caption: String::new() }
    }

    #[test]
    fn a_picture_lies_where_it_is_asked_and_goes_on_around_it() {
        let picture = RgbImage::from_fn(100, 100, |x, _| if x < 50 { Rgb([200, 0, 0]) } else { Rgb([0, 0, 200]) });
        let shown = view(0.5, 1.0).show(&picture);
        assert_eq!(shown.dimensions(), (192, 112));
        // It is 56 pixels wide and high, and is moved in until it ends at the right edge, so its middle is at 164.
        let row = |y: u32| (0..192).map(|x| shown.get_pixel(x, y).0[0] > 100).collect::<Vec<_>>();
        assert_eq!(row(50).iter().filter(|red| **red).count(), 164);
        assert!(row(0) == row(50) && row(111) == row(50), "what is above and below goes on as its edges");
        assert_eq!(
            view(0.5, 0.5).show(&picture).enumerate_pixels().filter(|(_, y, p)| *y == 9 && p.0[0] > 100).count(),
            96
        );
        assert_eq!(view(1.0, 0.0).show(&picture).get_pixel(0, 0).0[0], 200);
    }

    #[test]
    fn pictures_of_any_shape_fit() {
        for size in [(1, 1), (1000, 10), (10, 1000), (192, 112)] {
            for (height, at) in [(1.0, 0.0), (0.75, 0.5), (0.001, 2.0)] {
                assert_eq!(view(height, at).show(&RgbImage::new(size.0, size.1)).dimensions(), (192, 112));
            }
        }
    }
}
