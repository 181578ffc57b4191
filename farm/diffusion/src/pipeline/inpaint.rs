//! A part of a picture made anew, as diffusers' inpainting pipelines do it, except that a picture's latent is the mean of what
//! the VAE gives and not a draw from it. <https://huggingface.co/docs/diffusers/using-diffusers/inpaint>

use candle_core::Tensor;
use image::GrayImage;

use super::StableDiffusion;
use crate::error::Stage;
use crate::scheduler::Run;
use crate::{GenerateError, Inpaint, Request};

/// From here on a mask's pixel belongs to the part that is made anew.
const MASKED: u8 = 128;

/// What stays of a picture, for UNets that know nothing of masks: it is put back after every step.
pub(super) struct Kept {
    /// (1, 1, h, w): 1 where the picture is made anew.
    mask: Tensor,
    /// (1, C, h, w).
    clean: Tensor,
}

impl Kept {
    /// The latent that goes into step `next`, with what stays as noisy as it is then.
    pub(super) fn put_back(
        &self,
        latent: &Tensor,
        run: &Run,
        noise: &Tensor,
        next: usize,
    ) -> candle_core::Result<Tensor> {
        let clean = &self.clean;
        let stays = if next < run.times().len() { run.add_noise(clean, noise, next)? } else { clean.clone() };
        latent.broadcast_mul(&self.mask)? + stays.broadcast_mul(&self.mask.affine(-1.0, 1.0)?)?
    }
}

impl StableDiffusion {
    /// What is put back after every step, if anything.
    pub(super) fn kept(&self, request: &Request) -> Result<Option<Kept>, GenerateError> {
        match &request.inpaint {
            Some(Inpaint { picture, mask }) if !self.unet.sees_mask() => {
                let clean = self.encode(picture)?.tensor;
                Ok(Some(Kept { mask: self.cells(mask)?, clean }))
            }
            _ => Ok(None),
        }
    }

    /// What a UNet for inpainting sees beside the latent: mask and masked picture. A picture that is not painted into is new
    /// all over.
    pub(super) fn beside(&self, request: &Request) -> Result<Option<Tensor>, GenerateError> {
        if !self.unet.sees_mask() {
            return Ok(None);
        }
        let (width, height) = (request.width, request.height);
        let (mask, values) = match &request.inpaint {
            Some(Inpaint { picture, mask }) => {
                let pixels = picture.pixels().zip(mask.as_raw());
                let value = |covered: bool, v: u8| if covered { 0.0 } else { f32::from(v) / 127.5 - 1.0 };
                let values = pixels.flat_map(|(p, &m)| p.0.map(|v| value(m >= MASKED, v))).collect();
                (self.cells(mask)?, values)
            }
            None => {
                let all = GrayImage::from_pixel(width, height, image::Luma([u8::MAX]));
                (self.cells(&all)?, vec![0.0; width as usize * height as usize * 3])
            }
        };
        let masked = self.encode_values(values, (width, height))?.tensor;
        Ok(Some(Tensor::cat(&[&mask, &masked], 1).stage("preparing the mask")?))
    }

    /// The mask as the latent's cells have it: (1, 1, h, w), of 0 and 1.
    fn cells(&self, mask: &GrayImage) -> Result<Tensor, GenerateError> {
        let (_, _, height, width) = self.latent_shape(mask.width(), mask.height())?;
        let factor = self.vae.factor() as u32;
        let cell = |i: usize| {
            let (x, y) = ((i % width) as u32 * factor, (i / width) as u32 * factor);
            f32::from(u8::from(mask.get_pixel(x, y).0[0] >= MASKED))
        };
        let cells: Vec<f32> = (0..height * width).map(cell).collect();
        Tensor::from_vec(cells, (1, 1, height, width), &self.device).stage("preparing the mask")
    }
}
