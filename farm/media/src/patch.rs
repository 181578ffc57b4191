//! A square cut out of a picture, and put back with a soft edge.

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{Rgb, RgbImage};
use std::sync::LazyLock;

use crate::inbetween::cubic;

/// A square in a picture, in pixels and fractions of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Length of a side, above 0.
    pub side: f64,
}

/// An oval in a window, in shares of its side: wholly inside 1, outside 0, softly in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oval {
    /// Centre from the left and from the top.
    pub centre: (f32, f32),
    /// Half its width and half its height.
    pub radii: (f32, f32),
    /// Where the soft edge ends, in radii, above 1.
    pub edge: f32,
}

impl Window {
    /// A square around a centre that lies inside a picture of this size: moved, and made smaller, as far as that needs.
    #[must_use]
    pub fn inside((x, y): (f64, f64), side: f64, (width, height): (u32, u32)) -> Self {
        let (width, height) = (f64::from(width), f64::from(height));
        let side = side.min(width).min(height);
        let at = |centre: f64, room: f64| (centre - side / 2.0).clamp(0.0, room - side);
        Self { left: at(x, width), top: at(y, height), side }
    }

    /// What the window shows of a picture, scaled to a square of `size` pixels.
    ///
    /// # Panics
    /// If the window does not lie inside the picture, or `size` is 0.
    #[must_use]
    pub fn cut(&self, picture: &RgbImage, size: u32) -> RgbImage {
        let crop = ResizeOptions::new().crop(self.left, self.top, self.side, self.side);
        resized(picture, size, &crop)
    }

    /// Puts a square picture into the window, weighed by an oval times `share` (0 to 1) and mixed in linear light. Where the
    /// weight is 0 the picture stays as it is, to the bit.
    ///
    /// # Panics
    /// If the patch is empty.
    pub fn paste(&self, picture: &mut RgbImage, patch: &RgbImage, oval: &Oval, share: f32) {
        // A patch that is made smaller is first scaled well; reading between its pixels would skip some.
        let size = (self.side.ceil() as u32).max(1);
        let smaller;
        let patch = if size < patch.width() {
            smaller = resized(patch, size, &ResizeOptions::new());
            &smaller
        } else {
            patch
        };
        let end = |from: f64, room: u32| ((from + self.side).ceil() as u32).min(room);
        let (width, height) = picture.dimensions();
        for y in self.top as u32..end(self.top, height) {
            for x in self.left as u32..end(self.left, width) {
                let at = |pixel: u32, from: f64| ((f64::from(pixel) + 0.5 - from) / self.side) as f32;
                let (u, v) = (at(x, self.left), at(y, self.top));
                let weight = oval.weight(u, v) * share;
                if weight > 0.0 {
                    let place = |share: f32| share * patch.width() as f32 - 0.5;
                    let new = cubic(patch, place(u), place(v));
                    let pixel = picture.get_pixel_mut(x, y);
                    *pixel = Rgb(std::array::from_fn(|c| mixed(pixel.0[c], new[c].clamp(0.0, 255.0), weight)));
                }
            }
        }
    }
}

impl Oval {
    /// How much counts at a place, 0 to 1.
    #[must_use]
    pub fn weight(&self, u: f32, v: f32) -> f32 {
        let t = ((self.edge - self.distance(u, v)) / (self.edge - 1.0)).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    }

    /// How far a place lies from the centre, in radii.
    #[must_use]
    pub fn distance(&self, u: f32, v: f32) -> f32 {
        ((u - self.centre.0) / self.radii.0).hypot((v - self.centre.1) / self.radii.1)
    }
}

fn resized(picture: &RgbImage, size: u32, options: &ResizeOptions) -> RgbImage {
    let mut out = RgbImage::new(size, size);
    let options = options.resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(picture, &mut out, &options).expect("the window lies inside the picture");
    out
}

/// `weight` of the new value and the rest of the old one, as light adds up.
fn mixed(old: u8, new: f32, weight: f32) -> u8 {
    let (below, above) = (LIGHT[new as usize], LIGHT[(new.ceil()) as usize]);
    let new = below + (above - below) * new.fract();
    srgb(LIGHT[usize::from(old)] + (new - LIGHT[usize::from(old)]) * weight)
}

/// Linear light of every sRGB code, 0 to 1 (IEC 61966-2-1).
static LIGHT: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|code| {
        let v = code as f32 / 255.0;
        if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
});

fn srgb(light: f32) -> u8 {
    let v = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (v * 255.0).round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVAL: Oval = Oval { centre: (0.5, 0.5), radii: (0.25, 0.3), edge: 1.4 };

    fn slope() -> RgbImage {
        RgbImage::from_fn(160, 120, |x, y| Rgb([x as u8, 2 * y as u8, 90]))
    }

    #[test]
    fn outside_the_oval_nothing_changes_and_inside_the_patch_is_seen() {
        let window = Window { left: 30.3, top: 20.6, side: 70.0 };
        let mut picture = slope();
        window.paste(&mut picture, &RgbImage::from_pixel(32, 32, Rgb([255, 0, 0])), &OVAL, 1.0);
        for (x, y, pixel) in picture.enumerate_pixels() {
            let place = |pixel: u32, from: f64| ((f64::from(pixel) + 0.5 - from) / 70.0) as f32;
            let (u, v) = (place(x, window.left), place(y, window.top));
            match OVAL.distance(u, v) {
                far if far >= OVAL.edge => assert_eq!(pixel, slope().get_pixel(x, y), "{x} {y}"),
                near if near <= 1.0 => assert_eq!(pixel.0, [255, 0, 0], "{x} {y}"),
                // At the outermost the weight is too little to change a value.
                middle if middle < 1.3 => assert_ne!(pixel, slope().get_pixel(x, y), "{x} {y}"),
                _ => {}
            }
        }
    }

    #[test]
    fn a_cut_that_is_put_back_changes_nothing_that_can_be_seen() {
        let window = Window::inside((80.0, 60.0), 64.0, (160, 120));
        let mut picture = slope();
        window.paste(&mut picture, &window.cut(&slope(), 64), &OVAL, 1.0);
        let worst = picture.as_raw().iter().zip(slope().as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{worst:?}");
    }

    #[test]
    fn half_of_black_and_half_of_white_is_half_the_light_and_not_half_the_code() {
        assert_eq!(mixed(0, 255.0, 0.5), 188);
        assert_eq!(mixed(77, 0.0, 0.0), 77);
        assert!((0..=255).all(|code| mixed(0, f32::from(code), 1.0) == code));
    }

    #[test]
    fn a_window_stays_inside_the_picture() {
        assert_eq!(Window::inside((5.0, 60.0), 40.0, (160, 120)), Window { left: 0.0, top: 40.0, side: 40.0 });
        assert_eq!(Window::inside((80.0, 60.0), 400.0, (160, 120)), Window { left: 20.0, top: 0.0, side: 120.0 });
    }
}
