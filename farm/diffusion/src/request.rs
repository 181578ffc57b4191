//! What is asked of the model and what it gives back.

use image::{GrayImage, RgbImage};
use std::sync::Arc;

use crate::{ControlNet, Latent, Region};

/// A picture to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to show, where nobody of `people` is. Longer prompts than the text encoder takes are cut.
    pub prompt: String,
    /// What not to show; used where `guidance` is above 1.
    pub negative: String,
    /// All noise derives from it.
    pub seed: u64,
    /// Pixels, a multiple of the VAE's factor (8).
    pub width: u32,
    /// Pixels, a multiple of the VAE's factor (8).
    pub height: u32,
    /// Sampler steps of a picture from noise.
    pub steps: u32,
    /// How the noise is taken away; none is the way that the model's folder names.
    pub sampler: Option<Sampler>,
    /// Classifier-free guidance scale; 1 and less is none, and half the work.
    pub guidance: f32,
    /// Where to start instead of pure noise.
    pub start: Option<Start>,
    /// What to keep of another picture.
    pub inpaint: Option<Inpaint>,
    /// Whom to show, where nobody of `people` is.
    pub identity: Option<IdentityTokens>,
    /// Whom to show in parts of the picture.
    pub people: Vec<Person>,
    /// What shape to keep to.
    pub control: Option<Control>,
}

impl Request {
    /// A picture of this prompt and size: unguided, with nothing else said. The rest is filled in by field.
    #[must_use]
    pub fn new(prompt: impl Into<String>, seed: u64, (width, height): (u32, u32), steps: u32) -> Self {
        Self {
            prompt: prompt.into(),
            negative: String::new(),
            seed,
            width,
            height,
            steps,
            sampler: None,
            guidance: 1.0,
            start: None,
            inpaint: None,
            identity: None,
            people: Vec::new(),
            control: None,
        }
    }
}

/// A picture of which only a part is made anew. The rest comes out as the VAE shows it, near but not to the bit; who needs it
/// to the bit blends the part back. A start at the picture's own latent keeps more of the part; without one it is all new.
#[derive(Clone, Debug)]
pub struct Inpaint {
    /// Of the size of the picture asked for.
    pub picture: RgbImage,
    /// Of the same size: the part to make anew is 128 and more. Of each of the VAE's cells (8 × 8 pixels) its upper left
    /// pixel counts.
    pub mask: GrayImage,
}

/// A picture that a ControlNet follows: lines, depth, a pose, whatever it was trained on.
#[derive(Clone, Debug)]
pub struct Control {
    /// The net, from [`StableDiffusion::open_control`](crate::StableDiffusion::open_control).
    pub net: Arc<ControlNet>,
    /// Of the size of the picture asked for.
    pub picture: RgbImage,
    /// Weight of what the net adds; 1 as trained, 0 is nothing.
    pub scale: f32,
}

/// Somebody in a part of a picture. Where parts lie over one another, the first counts.
#[derive(Clone, Debug)]
pub struct Person {
    /// What to show there, instead of the picture's prompt.
    pub prompt: String,
    /// Whom to show there.
    pub identity: Option<IdentityTokens>,
    /// Where: a cell of the model's feature maps belongs to the region that holds its centre.
    pub region: Region,
}

/// How noise is taken away step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// Denoising diffusion implicit models, without noise between steps.
    Ddim,
    /// Euler's method, without noise between steps.
    Euler,
    /// Euler's method with fresh noise between steps, drawn from the request's seed.
    EulerAncestral,
    /// DPM-Solver++ of second order over two steps, without noise between steps.
    DpmPlusPlus2M,
}

/// A latent to start from.
#[derive(Clone, Debug)]
pub struct Start {
    /// Of the size of the picture asked for.
    pub latent: Latent,
    /// Share of the steps that are run, the last ones: 0 keeps the latent as it is, 1 leaves almost nothing of it.
    pub strength: f32,
}

/// A face for the IP-Adapter.
#[derive(Clone, Debug)]
pub struct IdentityTokens {
    /// A face embedding of length 1.
    pub embedding: Vec<f32>,
    /// Weight of the identity attention beside the text's; 1 as trained, 0 is none.
    pub scale: f32,
}

/// A made picture.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The picture, sRGB.
    pub picture: RgbImage,
    /// What it was decoded from; a later picture can start from it.
    pub latent: Latent,
}

/// A sampler step was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepDone {
    /// 1 for the first.
    pub step: u32,
    /// Steps that this request runs.
    pub of: u32,
}
