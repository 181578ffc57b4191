//! Stable-Diffusion-shaped models on candle: text encoder, UNet, VAE, samplers, IP-Adapter, ControlNet.
//!
//! A [`StableDiffusion`] is read from a folder in diffusers' layout (Stable Diffusion 1.5 or anything of its shape, of any
//! width) and makes pictures from text, from a latent to start from, from face embeddings, along a picture that a ControlNet
//! follows, and into a part of a picture, also with the wider UNets that are trained for that. Weights are f32. The same
//! request with the same seed gives the same bytes on the same kind of processor.
//!
//! Absent by design: downloads, a terminal, the environment, other randomness than the request's seed.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod adapter;
mod attention;
mod blocks;
mod config;
mod control;
mod error;
mod ip_adapter;
mod kernels;
mod latent;
mod layers;
mod linked;
mod pipeline;
mod region;
mod request;
mod scheduler;
mod text;
mod tokenizer;
mod unet;
mod vae;
mod weights;

pub use adapter::{Adapter, AdapterError, Factors, Part, Place, Site};
pub use candle_core::{Device, DeviceLocation};
pub use control::ControlNet;
pub use error::{GenerateError, LoadError};
pub use latent::Latent;
pub use pipeline::{Noisy, StableDiffusion, Texts};
pub use region::Region;
pub use request::{Control, Generated, IdentityTokens, Inpaint, Person, Request, Sampler, Start, StepDone};
pub use scheduler::Prediction;
