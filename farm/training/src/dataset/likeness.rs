//! Doubles: the same pixels, or nearly the same picture by its difference hash.

use image::RgbImage;
use image::imageops::{self, FilterType};
use std::collections::BTreeSet;

/// Hashes that differ in no more bits are of the same picture.
const NEAR: u32 = 6;

/// Whether two pictures are nearly the same.
#[must_use]
pub fn look_alike(a: &RgbImage, b: &RgbImage) -> bool {
    (hash(a) ^ hash(b)).count_ones() <= NEAR
}

/// The looks of the pictures so far.
#[derive(Default)]
pub(super) struct Looks {
    digests: BTreeSet<String>,
    hashes: Vec<u64>,
}

impl Looks {
    /// Why a picture is a double, if it is one.
    pub(super) fn double(&self, digest: &str, image: &RgbImage) -> Option<String> {
        if self.digests.contains(digest) {
            return Some("the same picture twice".into());
        }
        let own = hash(image);
        let near = self.hashes.iter().any(|other| (other ^ own).count_ones() <= NEAR);
        near.then(|| "nearly the same picture twice".into())
    }

    pub(super) fn add(&mut self, digest: &str, image: &RgbImage) {
        self.digests.insert(digest.into());
        self.hashes.push(hash(image));
    }
}

/// Whether each of 8 × 8 cells is brighter than the one right of it.
fn hash(image: &RgbImage) -> u64 {
    let small = imageops::resize(&imageops::grayscale(image), 9, 8, FilterType::Triangle);
    let cell = |i: u32| small.get_pixel(i % 8, i / 8).0[0] > small.get_pixel(i % 8 + 1, i / 8).0[0];
    (0..64).fold(0, |bits, i| bits << 1 | u64::from(cell(i)))
}
