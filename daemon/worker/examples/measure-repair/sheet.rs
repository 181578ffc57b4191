//! Frames before and after their repair, side by side, to be looked at.

use greenroom_domain::Verdict;
use image::{RgbImage, imageops};
use std::path::Path;

use crate::Fault;

/// Width of a frame on the sheet, pixels.
const WIDTH: u32 = 384;
/// Pairs in a row.
const ROW: u32 = 2;
/// A bar below a pair: green where the repair was accepted.
const BAR: u32 = 4;

/// A picture that grows by pairs.
#[derive(Default)]
pub(crate) struct Sheet {
    pairs: Vec<RgbImage>,
}

impl Sheet {
    pub(crate) fn add(&mut self, before: &RgbImage, after: &RgbImage, verdict: &Verdict) {
        let height = WIDTH * before.height() / before.width().max(1);
        let small = |frame| imageops::resize(frame, WIDTH, height, imageops::FilterType::CatmullRom);
        let colour = if verdict.decision.is_accept() { [40, 200, 60] } else { [220, 50, 40] };
        let mut pair = RgbImage::from_pixel(2 * WIDTH + BAR, height + BAR, image::Rgb(colour));
        imageops::replace(&mut pair, &small(before), 0, 0);
        imageops::replace(&mut pair, &small(after), i64::from(WIDTH), 0);
        self.pairs.push(pair);
    }

    pub(crate) fn save(&self, file: &Path) -> Result<(), Fault> {
        let Some((width, height)) = self.pairs.first().map(RgbImage::dimensions) else { return Ok(()) };
        let rows = (self.pairs.len() as u32).div_ceil(ROW);
        let mut sheet = RgbImage::new(width * ROW, height * rows);
        for (number, pair) in (0..).zip(&self.pairs) {
            let (x, y) = (number % ROW * width, number / ROW * height);
            imageops::replace(&mut sheet, pair, i64::from(x), i64::from(y));
        }
        Ok(sheet.save(file)?)
    }
}
