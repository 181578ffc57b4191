//! A clip with several faces in every frame: the demo's cast before a wall, moving.

use greenroom_domain::{Fps, Pixels};
use greenroom_media::{TakeWriter, load_picture};
use image::{Rgb, RgbImage, imageops};
use std::path::Path;

use crate::Fault;

/// Square like the detector's input: made-up weights like the black bars of wide pictures best, and all of those look alike.
const SIZE: Pixels = Pixels { width: 960, height: 960 };
/// How large a picture of the cast is shown, pixels.
const SIDE: u32 = 300;

/// Films the pictures of every character, as a take: lossless, so that both sides decode the same pixels.
pub(crate) fn film(cast: &Path, out: &Path, frames: u64) -> Result<(), Fault> {
    let mut folders: Vec<_> = std::fs::read_dir(cast)?.collect::<Result<_, _>>()?;
    folders.sort_by_key(std::fs::DirEntry::file_name);
    let mut pictures = Vec::new();
    for folder in folders {
        for number in 1..=3 {
            let file = folder.path().join(format!("{number}.png"));
            let picture = load_picture(&std::fs::read(&file)?, &file.display().to_string())?;
            pictures.push(imageops::resize(&picture, SIDE, SIDE, imageops::FilterType::Triangle));
        }
    }
    let mut writer = TakeWriter::create(out, SIZE, Fps::FILM)?;
    (0..frames).try_for_each(|number| writer.write(&frame(&pictures, number)))?;
    writer.finish()?;
    Ok(())
}

/// Each picture swings about a place of its own, three beside each other in two rows.
fn frame(pictures: &[RgbImage], number: u64) -> RgbImage {
    let mut frame = RgbImage::from_fn(SIZE.width, SIZE.height, |x, y| {
        Rgb([(40 + x / 16) as u8, (60 + y / 12) as u8, (90 + (x + y + number as u32) / 25) as u8])
    });
    for (i, picture) in pictures.iter().enumerate() {
        let phase = number as f32 / 14.0 + i as f32 * 1.7;
        let (column, row) = (i as f32 % 3.0, (i as f32 / 3.0).floor());
        let (x, y) = (10.0 + 320.0 * column + 40.0 * phase.sin(), 100.0 + 450.0 * row + 25.0 * phase.cos());
        imageops::replace(&mut frame, picture, x as i64, y as i64);
    }
    frame
}
