//! A small grey picture of an aligned face: enough to tell whether two pictures are one.

mod overlay;

use image::{Rgb, RgbImage};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt::Write as _;

use overlay::{Centred, places};

/// Pixels across and down.
const SIDE: usize = 48;
const COUNT: usize = SIDE * SIDE;

/// Middle and radii of the ellipse that is compared, from the brows to the chin: hair and background, which the corners of a
/// rectangle would show, change when the face does not, and the other way round.
const MIDDLE: (f32, f32) = (23.5, 29.0);
const RADII: (f32, f32) = (15.5, 18.0);

/// Patches are softened by so much (a Gaussian's deviation, in their pixels): grain and compression are no difference.
const SOFT: f32 = 1.5;

/// 48 × 48 grey values of an aligned face, a row after the other. As text two hexadecimal digits each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch(Vec<u8>);

impl Patch {
    /// Each value is the mean of what it covers, 0 to 255 (luma of BT.601), softened.
    #[must_use]
    pub fn of(aligned: &RgbImage) -> Self {
        let span = |i: usize, length: u32| {
            let at = |i: usize| (i as f32 * length as f32 / SIDE as f32).round() as u32;
            let first = at(i).min(length - 1);
            first..at(i + 1).max(first + 1)
        };
        let value = |i: usize| {
            let (mut sum, mut count) = (0.0_f32, 0.0_f32);
            for y in span(i / SIDE, aligned.height()) {
                for x in span(i % SIDE, aligned.width()) {
                    sum += luma(*aligned.get_pixel(x, y));
                    count += 1.0;
                }
            }
            sum / count
        };
        if aligned.width() == 0 || aligned.height() == 0 {
            return Self(vec![0; COUNT]);
        }
        let sharp: Vec<f32> = (0..COUNT).map(value).collect();
        let soft = soften(&soften(&sharp, 1), SIDE);
        Self(soft.into_iter().map(|v| v.round() as u8).collect())
    }

    /// How much alike the middles of two faces are as they lie, −1 to 1, whatever their brightness and contrast. Cheap: for
    /// frames that are shown again, whose landmarks are found where they were.
    #[must_use]
    pub fn same(&self, other: &Self) -> f32 {
        let (Some(a), Some(b)) = (Centred::of(self.middle()), Centred::of(other.middle())) else { return 0.0 };
        a.values.iter().zip(&b.values).map(|(a, b)| a * b).sum::<f32>() / (a.length * b.length)
    }

    /// How much alike the middles of two faces are, −1 to 1, whatever their brightness and contrast, and wherever the detector's
    /// landmarks are a little off: the highest correlation while one is turned, scaled and shifted over the other, by up to a
    /// sixth of its side. 0 where one is flat.
    ///
    /// The enhanced correlation coefficient (Evangelidis and Psarakis 2008), climbed by Gauss–Newton steps.
    #[must_use]
    pub fn alike(&self, other: &Self) -> f32 {
        if self == other {
            return if Centred::of(self.middle()).is_some() { 1.0 } else { 0.0 };
        }
        Centred::of(self.middle()).map_or(0.0, |still| overlay::best(&still, &other.0))
    }

    fn middle(&self) -> Vec<f32> {
        places().map(|(x, y)| f32::from(self.0[y * SIDE + x])).collect()
    }
}

/// One direction of the Gaussian; neighbours lie `step` values apart, and edges go on.
fn soften(values: &[f32], step: usize) -> Vec<f32> {
    let reach = (3.0 * SOFT).ceil() as isize;
    let weight = |d: isize| (-(d * d) as f32 / (2.0 * SOFT * SOFT)).exp();
    let sum: f32 = (-reach..=reach).map(weight).sum();
    let near = |i: usize, d: isize| {
        let place = (i / step % SIDE) as isize;
        let to = (place + d).clamp(0, SIDE as isize - 1);
        (i as isize + (to - place) * step as isize) as usize
    };
    (0..values.len()).map(|i| (-reach..=reach).map(|d| weight(d) * values[near(i, d)]).sum::<f32>() / sum).collect()
}

fn luma(pixel: Rgb<u8>) -> f32 {
    let [r, g, b] = pixel.0.map(f32::from);
    0.299 * r + 0.587 * g + 0.114 * b
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * COUNT);
        for value in &self.0 {
            let _ = write!(text, "{value:02x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Patch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let values: Option<Vec<u8>> = digits.collect();
        values
            .filter(|v| v.len() == COUNT)
            .map(Self)
            .ok_or_else(|| D::Error::custom("a patch is 4608 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A face of waves, drawn as a similarity shows it.
    fn face(turn: f32, scale: f32, shift: f32, light: f32, mood: f32) -> Patch {
        let (sin, cos) = turn.to_radians().sin_cos();
        Patch::of(&RgbImage::from_fn(112, 112, |x, y| {
            let (x, y) = (x as f32 - 55.5, y as f32 - 55.5);
            let (u, v) = ((cos * x - sin * y) * scale + shift, (sin * x + cos * y) * scale - shift);
            let wave = (u / 9.0).sin() + (v / 7.0).cos() + mood * (v / 5.0 + u / 11.0).sin();
            Rgb([((110.0 + 35.0 * wave) * light) as u8; 3])
        }))
    }

    #[test]
    fn light_and_landmarks_that_are_a_little_off_do_not_change_a_face() {
        let still = face(0.0, 1.0, 0.0, 1.0, 0.0);
        assert!((still.alike(&still) - 1.0).abs() < 1e-6);
        for moved in [face(0.0, 1.0, 0.0, 0.6, 0.0), face(6.0, 1.07, 3.0, 0.9, 0.0), face(-5.0, 0.94, -4.0, 1.1, 0.0)] {
            assert!(still.alike(&moved) > 0.99, "{}", still.alike(&moved));
        }
    }

    #[test]
    fn another_expression_is_another_picture() {
        let still = face(0.0, 1.0, 0.0, 1.0, 0.0);
        for mood in [0.6, 0.9, -0.6] {
            let other = face(0.0, 1.0, 0.0, 1.0, mood);
            assert!(still.alike(&other) < 0.98, "{mood}: {}", still.alike(&other));
        }
    }

    #[test]
    fn a_flat_picture_is_like_nothing() {
        let flat = Patch::of(&RgbImage::from_pixel(112, 112, Rgb([90; 3])));
        assert!(flat.alike(&flat).abs() < 1e-6);
        let still = face(0.0, 1.0, 0.0, 1.0, 0.0);
        assert!(flat.alike(&still).abs() < 1e-6 && still.alike(&flat).abs() < 1e-6);
        assert_eq!(Patch::of(&RgbImage::new(0, 0)), Patch::of(&RgbImage::new(1, 1)));
    }

    #[test]
    fn a_patch_is_written_and_read_again_and_a_short_one_is_refused() {
        let patch = face(0.0, 1.0, 0.0, 1.0, 0.3);
        let text = serde_json::to_string(&patch).unwrap();
        assert_eq!(serde_json::from_str::<Patch>(&text).unwrap(), patch);
        assert!(serde_json::from_str::<Patch>("\"00ff\"").is_err());
        assert!(serde_json::from_str::<Patch>(&text.replace('"', "\"x")).is_err());
    }
}
