//! What a trainer and its files do, on tiny random models.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod files;
mod refused;
mod training;

use greenroom_diffusion::{Device, Site, StableDiffusion};
use greenroom_training::dataset::{Dataset, Kind, Origin, Picture};
use greenroom_training::recipe::Recipe;
use image::{Rgb, RgbImage};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn folder(name: &str) -> PathBuf {
    if name == "puppet" {
        golden(name)
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../diffusion/tests/golden").join(name)
    }
}

fn model(name: &str) -> StableDiffusion {
    StableDiffusion::open(&folder(name), None, &Device::Cpu).unwrap()
}

fn sites(name: &str) -> Vec<Site> {
    model(name).sites()
}

/// Pictures that differ, of somebody told by a caption.
fn picture(number: u32, caption: &str) -> Picture {
    let cell = |x: u32, y: u32| {
        let bits = (number + 1).wrapping_mul(2_654_435_761).rotate_left(x / 8 * 5 + y / 8 * 11);
        Rgb([(bits & 255) as u8, (bits >> 8 & 255) as u8, (bits >> 16 & 255) as u8])
    };
    let (width, height) = if number.is_multiple_of(3) { (64, 32) } else { (48, 48) };
    Picture {
        image: RgbImage::from_fn(width, height, cell),
        caption: caption.into(),
        origin: Origin::Real,
        kind: Kind::Character,
        face: None,
        identity: None,
        views: vec![],
    }
}

/// A recipe with everything in it that has chance or memory.
fn recipe() -> Recipe {
    Recipe {
        references: 3,
        rank: 2,
        alpha: 1.0,
        steps: 12,
        resolution: 48,
        bucket_step: 8,
        batch: 2,
        unet_rate: 5e-3,
        text_rate: 5e-3,
        warm_up: 3,
        caption_dropout: 0.3,
        noise_offset: 0.1,
        average: 0.9,
        seed: 7,
        ..Recipe::default()
    }
}

fn dataset(model: &StableDiffusion, recipe: &Recipe) -> Dataset {
    let class = |number| Picture { kind: Kind::Class, ..picture(number, "hair") };
    let pictures = (0..5).map(|n| picture(n, "a man")).chain((20..22).map(class));
    Dataset::build(model, recipe, pictures, &mut |_| None).unwrap()
}
