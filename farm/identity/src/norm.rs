//! How a model wants its pixels: order of the channels, mean and deviation.

use greenroom_domain::{Channels, DetectorInput, EmbedderInput};
use image::Rgb;

/// (value − mean) / std for each of the planes that a model takes.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    /// For each plane the picture's channel that goes there.
    from: [usize; 3],
    mean: [f32; 3],
    std: [f32; 3],
}

impl Norm {
    /// RGB planes with the same mean and deviation.
    pub(crate) fn even(mean: f32, std: f32) -> Self {
        Self { from: [0, 1, 2], mean: [mean; 3], std: [std; 3] }
    }

    /// The planes' values of one pixel, 0 to 255 each.
    pub(crate) fn pixel(&self, rgb: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|plane| (rgb[self.from[plane]] - self.mean[plane]) / self.std[plane])
    }

    /// Writes the pixels of a picture, row by row, into three planes one after the other.
    pub(crate) fn write<'a>(&self, pixels: impl Iterator<Item = &'a Rgb<u8>>, planes: &mut [f32]) {
        let area = planes.len() / 3;
        for (at, pixel) in pixels.enumerate() {
            for (plane, value) in self.pixel(pixel.0.map(f32::from)).into_iter().enumerate() {
                planes[plane * area + at] = value;
            }
        }
    }
}

impl From<&DetectorInput> for Norm {
    fn from(input: &DetectorInput) -> Self {
        Self { from: order(input.channels), mean: input.mean, std: input.std }
    }
}

impl From<&EmbedderInput> for Norm {
    fn from(input: &EmbedderInput) -> Self {
        Self { from: order(input.channels), mean: input.mean, std: input.std }
    }
}

const fn order(channels: Channels) -> [usize; 3] {
    match channels {
        Channels::Rgb => [0, 1, 2],
        Channels::Bgr => [2, 1, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blue_goes_first_where_the_model_wants_it_so_and_means_follow_the_models_order() {
        let (mean, std) = ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]);
        let norm = Norm::from(&EmbedderInput { mean, std, channels: Channels::Bgr, ..EmbedderInput::default() });
        let mut planes = [0.0; 6];
        norm.write([Rgb([11, 22, 33]), Rgb([3, 2, 1])].iter(), &mut planes);
        assert_eq!(planes, [32.0, 0.0, 10.0, 0.0, 2.0, 0.0]);
        assert_eq!(Norm::even(127.5, 127.5).pixel([0.0, 127.5, 255.0]), [-1.0, 0.0, 1.0]);
    }
}
