//! Files that were damaged by chance: whatever happens, it is an answer or one error, and never a crash.
#![allow(clippy::unwrap_used, missing_docs)] // tests

mod film;

use ffmpeg_next::format::Pixel;
use film::{Film, quarters};
use greenroom_media::{MediaError, Sampling, VideoReader, VideoSampler, load_picture};
use image::ImageFormat;
use std::{fs, io::Cursor, path::Path};

/// A generator that is the same everywhere (xorshift64, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Cuts the end off, or changes a few bytes, or both.
    fn damage(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        if self.below(3) == 0 {
            bytes.truncate(self.below(whole.len()));
        }
        for _ in 0..self.below(12) {
            if let Some(last) = bytes.len().checked_sub(1) {
                let at = self.below(last + 1);
                bytes[at] = self.below(256) as u8;
            }
        }
        bytes
    }
}

/// An error that a person can use.
fn is_told(error: &MediaError) {
    let problem = error.problem();
    let parts = [&problem.step, &problem.subject, &problem.cause, &problem.remedy];
    assert!(parts.iter().all(|part| !part.is_empty()), "{problem:?}");
}

fn look(file: &Path) -> Result<usize, MediaError> {
    let mut reader = VideoReader::open(file)?;
    let mut frames = 0;
    while frames < 64 && reader.next_frame()?.is_some() {
        frames += 1;
    }
    let mut sampler = VideoSampler::open(file, &Sampling { fewest: 4, per_second: 1, most: 8 })?;
    while sampler.next_sample()?.is_some() {}
    Ok(frames)
}

#[test]
fn damaged_pictures_are_read_or_refused() {
    let (mut chance, mut refused) = (Chance(7), 0);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let mut whole = Cursor::new(Vec::new());
        quarters().write_to(&mut whole, format).unwrap();
        for _ in 0..200 {
            if let Err(error) = load_picture(&chance.damage(whole.get_ref()), "mara") {
                is_told(&error);
                refused += 1;
            }
        }
    }
    assert!(refused > 200, "{refused} were refused");
}

#[test]
fn damaged_videos_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut chance, mut refused) = (Chance(11), 0);
    let ways = [("ffv1", "matroska", Pixel::BGRZ), ("libx264", "mp4", Pixel::YUV420P), ("gif", "gif", Pixel::RGB8)];
    for (codec, container, pixel) in ways {
        let file = folder.path().join("film");
        Film::new(codec, container, pixel).write(&file, &[0, 1, 2, 3, 4, 5]);
        let whole = fs::read(&file).unwrap();
        assert_eq!(look(&file).unwrap(), 6);
        for _ in 0..60 {
            fs::write(&file, chance.damage(&whole)).unwrap();
            if let Err(error) = look(&file) {
                is_told(&error);
                refused += 1;
            }
        }
    }
    assert!(refused > 40, "{refused} were refused");
}
