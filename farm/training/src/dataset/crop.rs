//! Which part of a picture is trained on: as much as fits the nearest bucket's shape, around the face.

use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::recipe::Recipe;

/// A face takes at least this share of the crop's area: smaller ones teach little of an identity.
const FACE: f64 = 0.08;
/// The longest bucket is so many times longer than wide.
const LONGEST: f64 = 2.0;

/// A face's box in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Left edge.
    pub x0: f32,
    /// Upper edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Lower edge.
    pub y1: f32,
}

/// A part of a picture, and the size that it is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Left edge, pixels of the picture.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width there.
    pub width: u32,
    /// Height there.
    pub height: u32,
    /// Width and height that it is trained at.
    pub to: (u32, u32),
}

impl Crop {
    /// The crop of a picture of this size, by the recipe's resolution and buckets.
    #[must_use]
    pub fn choose((width, height): (u32, u32), face: Option<Face>, recipe: &Recipe) -> Self {
        let aspect = f64::from(width) / f64::from(height);
        let to = bucket(aspect, recipe.resolution, recipe.bucket_step);
        let shape = f64::from(to.0) / f64::from(to.1);
        // The largest part of that shape, and a smaller one where the face would be lost in it.
        let mut tall = f64::from(height).min(f64::from(width) / shape);
        let (mut x, mut y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        if let Some(face) = face {
            let (wide, high) = (f64::from(face.x1 - face.x0).max(1.0), f64::from(face.y1 - face.y0).max(1.0));
            tall = tall.min((wide * high / FACE / shape).sqrt().max(high * 1.5).max(wide * 1.5 / shape));
            (x, y) = (f64::from(face.x0 + face.x1) / 2.0, f64::from(face.y0 + face.y1) / 2.0);
        }
        let (own_height, own_width) =
            ((tall.round() as u32).clamp(1, height), ((tall * shape).round() as u32).clamp(1, width));
        let place = |centre: f64, own: u32, all: u32| {
            (centre - f64::from(own) / 2.0).round().clamp(0.0, f64::from(all - own)) as u32
        };
        Self {
            x: place(x, own_width, width),
            y: place(y, own_height, height),
            width: own_width,
            height: own_height,
            to,
        }
    }

    /// Cuts it out of a picture.
    #[must_use]
    pub fn cut(&self, image: &RgbImage) -> RgbImage {
        let part = imageops::crop_imm(image, self.x, self.y, self.width, self.height).to_image();
        if part.dimensions() == self.to {
            return part;
        }
        imageops::resize(&part, self.to.0, self.to.1, FilterType::CatmullRom)
    }

    /// Height and width of the picture, top and left of the crop, height and width of the crop, all at the size that is
    /// trained at: what SDXL is told.
    #[must_use]
    pub fn sizes(&self, (width, height): (u32, u32)) -> [f32; 6] {
        let scale = self.to.1 as f32 / self.height as f32;
        let scaled = |v: u32| (v as f32 * scale).round();
        [scaled(height), scaled(width), scaled(self.y), scaled(self.x), self.to.1 as f32, self.to.0 as f32]
    }
}

/// The bucket nearest to a shape: sides are multiples of `step`, with no more pixels than a square of `side`.
fn bucket(aspect: f64, side: u32, step: u32) -> (u32, u32) {
    let area = u64::from(side) * u64::from(side);
    let mut best = (side, side);
    let far = |(w, h): (u32, u32)| (f64::from(w) / f64::from(h) / aspect).ln().abs();
    let mut width = step;
    while f64::from(width) <= f64::from(side) * LONGEST {
        let height = (area / u64::from(width)) as u32 / step * step;
        let own = (width, height.min(2 * side));
        let shape = f64::from(own.0) / f64::from(own.1.max(1));
        if own.1 >= step && (1.0 / LONGEST..=LONGEST).contains(&shape) && far(own) < far(best) {
            best = own;
        }
        width += step;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{Crop, Face, bucket};
    use crate::recipe::Recipe;

    fn recipe() -> Recipe {
        Recipe { resolution: 512, bucket_step: 64, ..Recipe::default() }
    }

    #[test]
    fn every_shape_gets_a_bucket_of_whole_steps_that_is_no_larger_than_the_square() {
        for (aspect, expected) in [(1.0, (512, 512)), (1.5, (640, 384)), (0.5, (320, 768)), (16.0 / 9.0, (704, 320))] {
            let found = bucket(aspect, 512, 64);
            assert!(
                found.0.is_multiple_of(64) && found.1.is_multiple_of(64) && found.0 * found.1 <= 512 * 512,
                "{found:?}"
            );
            assert!(
                (f64::from(found.0) / f64::from(found.1) / aspect).ln().abs() < 0.3,
                "{aspect} {found:?} {expected:?}"
            );
        }
        assert_eq!(bucket(1.0, 128, 16), (128, 128));
        assert_eq!(bucket(100.0, 512, 64), (640, 384));
    }

    #[test]
    fn a_crop_lies_around_the_face_and_inside_the_picture() {
        let face = Face { x0: 900.0, y0: 100.0, x1: 1100.0, y1: 350.0 };
        let crop = Crop::choose((1200, 1200), Some(face), &recipe());
        assert!(crop.x + crop.width <= 1200 && crop.y + crop.height <= 1200);
        assert!(
            f64::from(crop.x) < 900.0 && crop.x + crop.width >= 1100 && crop.y <= 100 && crop.y + crop.height >= 350
        );
        let share = 200.0 * 250.0 / (f64::from(crop.width) * f64::from(crop.height));
        assert!((0.07..0.13).contains(&share), "{share}");
    }

    #[test]
    fn without_a_face_the_crop_is_the_middle() {
        let crop = Crop::choose((1000, 600), None, &Recipe { resolution: 512, bucket_step: 512, ..recipe() });
        assert_eq!((crop.x, crop.y, crop.width, crop.height, crop.to), (200, 0, 600, 600, (512, 512)));
        assert_eq!(crop.sizes((1000, 600)), [512.0, 853.0, 0.0, 171.0, 512.0, 512.0]);
    }
}
