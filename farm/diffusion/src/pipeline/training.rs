//! What a trainer asks of a loaded model: predictions for a batch of noisy latents, and gradients.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};

use super::StableDiffusion;
use super::conditions::Told;
use super::texts::Texts;
use crate::error::Stage;
use crate::scheduler::Prediction;
use crate::{GenerateError, IdentityTokens, Latent};

/// A batch as the UNet is trained on it.
#[derive(Clone, Debug)]
pub struct Noisy<'a> {
    /// (N, C, h, w).
    pub latents: &'a Tensor,
    /// A training step for each row, from 0.
    pub times: &'a [f32],
    /// What the rows are told, N each.
    pub texts: &'a Texts,
    /// For SDXL, of each row: height and width of the picture it was, top and left of the crop, height and width of the crop.
    pub sizes: &'a [[f32; 6]],
    /// Whom the rows show, for a model with an IP-Adapter: none at all, or one for each row.
    pub identities: &'a [IdentityTokens],
}

impl StableDiffusion {
    /// What the UNet predicts for a batch, shaped like its latents. Gradients reach adapters that are being trained.
    ///
    /// # Errors
    /// Where an identity does not fit the model, and where computing failed.
    pub fn predict_batch(&self, batch: &Noisy<'_>) -> Result<Tensor, GenerateError> {
        let rows = batch.times.len();
        let identity = match (&self.adapter, batch.identities) {
            (_, []) => None,
            (None, _) => return Err(GenerateError::NoAdapter),
            (Some(adapter), identities) => {
                identities.iter().try_for_each(|identity| adapter.check(&identity.embedding))?;
                let tokens = identities.iter().map(|identity| adapter.tokens(&identity.embedding, &self.device));
                let scales: Vec<f32> = identities.iter().map(|identity| identity.scale).collect();
                let prepared = || {
                    let tokens = Tensor::cat(&tokens.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
                    Ok((tokens, Tensor::from_vec(scales, (rows, 1, 1), &self.device)?))
                };
                Some(prepared().stage("preparing the identity")?)
            }
        };
        let Texts { hidden, pooled } = batch.texts.clone();
        let told = Told { text: hidden, pooled, identity };
        let predict = || {
            let context = self.unet.context(&self.sight(&told), &[])?;
            let added = told.pooled.as_ref().map(|pooled| self.unet.embed_added(pooled, batch.sizes));
            let times = self.unet.embed_times(batch.times, &self.device)?;
            let time = self.unet.told(&times, added.transpose()?.flatten().as_ref())?;
            self.unet.forward(batch.latents, &time, &context, None)
        };
        predict().stage("predicting a batch")
    }

    /// Gradients of a loss for everything that asks for one, also of what lies inside blocks that are computed again.
    ///
    /// # Errors
    /// Where computing failed.
    pub fn gradients(&self, loss: &Tensor) -> Result<GradStore, GenerateError> {
        let run = || {
            // What an aborted run left.
            drop(self.unet.recompute().take());
            let mut gradients = loss.backward()?;
            for (id, gradient) in self.unet.recompute().take() {
                let sum = match gradients.get_id(id) {
                    Some(other) => (other + &gradient)?,
                    None => gradient,
                };
                gradients.insert_id(id, sum);
            }
            Ok(gradients)
        };
        run().stage("computing gradients")
    }

    /// Whether blocks of the UNet forget what lies inside them and compute it again on the way back: about a third more time
    /// for a fraction of the memory.
    pub fn recompute_blocks(&self, on: bool) {
        self.unet.recompute().switch(on);
    }

    /// Share of the picture's variance that is left at each training step, falling (ᾱ).
    #[must_use]
    pub fn variance_kept(&self) -> &[f64] {
        self.scheduler.kept()
    }

    /// What the UNet is trained to predict.
    #[must_use]
    pub fn prediction(&self) -> Prediction {
        self.scheduler.prediction()
    }

    /// Channels of a latent, and how many times smaller than the picture it is on each side.
    #[must_use]
    pub fn latent_size(&self) -> (usize, usize) {
        (self.vae.channels(), self.vae.factor())
    }

    /// Whether it is told sizes, as SDXL is.
    #[must_use]
    pub fn is_told_sizes(&self) -> bool {
        self.unet.sizes().added.is_some()
    }

    /// The noise that a request of this seed begins with, (1, channels, height, width), the same on every machine.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn noise(seed: u64, shape: (usize, usize, usize, usize)) -> Result<Tensor, GenerateError> {
        crate::latent::noise(seed, shape, &candle_core::Device::Cpu).stage("drawing noise")
    }

    /// What it computes on.
    #[must_use]
    pub fn device(&self) -> &candle_core::Device {
        &self.device
    }
}

impl Latent {
    /// (1, channels, height, width).
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// From a tensor (1, channels, height, width) of unit variance.
    ///
    /// # Errors
    /// Where it has another number of dimensions or no float.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self, GenerateError> {
        let checked = || {
            tensor.dims4()?;
            tensor.to_dtype(DType::F32)
        };
        Ok(Self { tensor: checked().stage("taking a latent")? })
    }
}
