//! Pictures of one size become a model's input, as many at once as it takes.

use image::RgbImage;

use crate::norm::Norm;

/// More pictures at once gain nothing on a CPU and take memory.
pub(crate) const LARGEST_BATCH: usize = 16;

/// How many pictures one run takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Batch {
    /// Any number up to this.
    UpTo(usize),
    /// Always this many; zeros stand for those that are missing.
    Fixed(usize),
}

impl Batch {
    /// From the first dimension of a model's input, none where the model leaves it open.
    pub(crate) fn of(dimension: Option<u32>) -> Self {
        dimension.map_or(Self::UpTo(LARGEST_BATCH), |n| Self::Fixed(n as usize))
    }

    pub(crate) const fn most(self) -> usize {
        match self {
            Self::UpTo(n) | Self::Fixed(n) => n,
        }
    }

    /// Shape and values of the input (N, 3, size, size) for pictures of `size` × `size`.
    pub(crate) fn input(self, pictures: &[RgbImage], size: u32, norm: &Norm) -> ([usize; 4], Vec<f32>) {
        let count = match self {
            Self::UpTo(_) => pictures.len(),
            Self::Fixed(count) => count,
        };
        let side = size as usize;
        let area = side * side;
        // Zeros stand for pictures that are missing.
        let mut planes = vec![0.0; count * 3 * area];
        for (picture, planes) in pictures.iter().zip(planes.chunks_mut(3 * area)) {
            norm.write(picture.pixels(), planes);
        }
        ([count, 3, side, side], planes)
    }
}
