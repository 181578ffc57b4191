//! A picture in the VAE's latent space, and the noise that generation starts from.

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::GenerateError;
use crate::error::Stage;

/// A picture as the UNet sees it: about 8 times smaller on each side, unit variance.
#[derive(Clone, Debug)]
pub struct Latent {
    /// (1, channels, height, width).
    pub(crate) tensor: Tensor,
}

impl Latent {
    /// Goes from this latent (t = 0) to the other (t = 1) in a straight line.
    ///
    /// # Errors
    /// Where the two differ in shape.
    pub fn lerp(&self, other: &Self, t: f32) -> Result<Self, GenerateError> {
        self.same_shape(&other.tensor)?;
        let mix = || (&self.tensor * f64::from(1.0 - t))? + (&other.tensor * f64::from(t))?;
        Ok(Self { tensor: mix().stage("mixing latents")? })
    }

    pub(crate) fn same_shape(&self, other: &Tensor) -> Result<(), GenerateError> {
        let (left, right) = (self.tensor.dims(), other.dims());
        if left == right {
            return Ok(());
        }
        let without_batch = |dims: &[usize]| dims.iter().skip(1).copied().collect();
        Err(GenerateError::LatentShape { left: without_batch(left), right: without_batch(right) })
    }
}

/// Standard normal noise of this shape, the same on every machine: drawn on the CPU in row-major order.
pub(crate) fn noise(seed: u64, shape: (usize, usize, usize, usize), device: &Device) -> candle_core::Result<Tensor> {
    noise_of(seed, 0, shape, device)
}

/// The same from one of a seed's streams, of which [`noise`] is the first.
pub(crate) fn noise_of(
    seed: u64,
    stream: u64,
    shape: (usize, usize, usize, usize),
    device: &Device,
) -> candle_core::Result<Tensor> {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let count = shape.0 * shape.1 * shape.2 * shape.3;
    let values: Vec<f32> = (0..count).map(|_| StandardNormal.sample(&mut random)).collect();
    Tensor::from_vec(values, shape, device)
}
