//! Chooses the frames of a video to look at, by time and by cut.

use greenroom_domain::Frames;
use image::RgbImage;
use std::path::Path;

use crate::{
    MediaError, VideoInfo, VideoReader,
    cut::Signature,
    source::{Clock, Decoded, Source},
};

/// How many frames to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// At least so many, two or more, if the video has them.
    pub fewest: u32,
    /// So many for each second.
    pub per_second: u32,
    /// At most so many, however long the video is; at cuts as many again.
    pub most: u32,
}

impl Sampling {
    /// How many frames of a video to look at, cuts aside.
    fn count(&self, span: f64) -> u64 {
        let by_time = (span * f64::from(self.per_second)).ceil() as u64 + 1;
        by_time.max(u64::from(self.fewest)).min(u64::from(self.most)).max(2)
    }
}

/// A frame to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its number, from 0.
    pub number: u64,
    /// When it is shown, in seconds from the first.
    pub seconds: f64,
    /// It is the first after a cut: nothing of the frame before it goes on in it.
    pub after_cut: bool,
    /// What it shows.
    pub picture: RgbImage,
}

/// Gives the frames of a video to look at, in order, each once: the first, the last, those nearest to evenly spaced times,
/// and the last before and the first after every cut, so that between two cuts at least two are looked at (one, where there
/// is but one).
///
/// Holds a handful of frames. Only the frames that are given are converted to pictures, and of takes, whose frames stand
/// alone, only those are decoded that are needed to be sure where the cuts are. A cut is missed where the picture is back
/// within half a second and its packets are as large as their neighbours.
pub struct VideoSampler {
    source: Source,
    held: Option<(Decoded, bool)>,
    cuts_left: u32,
    length: Frames,
}

impl VideoSampler {
    /// Opens a video. One whose header does not say its length is read twice, the first time without decoding.
    ///
    /// # Errors
    /// If the file cannot be read or has no video in it.
    pub fn open(file: &Path, sampling: &Sampling) -> Result<Self, MediaError> {
        let reader = VideoReader::open(file)?;
        let (fps, frames) = (reader.info().fps, reader.info().frames);
        let length = frames.map_or_else(|| packets(file), Ok)?;
        let even = fps.seconds(Frames(length.0.saturating_sub(1)));
        // Frames of uneven length last longer together than their number says.
        let span = reader.lasts().map_or(even, |lasts| lasts - fps.seconds(Frames(1)));
        let span = if span > even * UNEVEN + fps.seconds(Frames(2)) { span } else { even };
        let clock = Clock::new(span, sampling.count(span));
        Ok(Self { source: Source::new(reader, clock), held: None, cuts_left: sampling.most / 2, length })
    }

    /// What the header says.
    #[must_use]
    pub const fn info(&self) -> &VideoInfo {
        self.source.reader.info()
    }

    /// How much of the video lies before a frame of it, 0 to 1.
    #[must_use]
    pub fn part(&self, sample: &Sample) -> f32 {
        (sample.number as f32 / self.length.0.max(1) as f32).min(1.0)
    }

    /// The next frame to look at; none after the last.
    ///
    /// # Errors
    /// If a frame cannot be decoded, or the file ends before its header says.
    pub fn next_sample(&mut self) -> Result<Option<Sample>, MediaError> {
        while let Some(mut next) = self.source.next()? {
            let Some((mut before, after_cut)) = self.held.take() else {
                self.held = Some((next, false));
                continue;
            };
            let cut = self.cuts_left > 0 && before.signature.distance(&next.signature) > Signature::CUT;
            if cut {
                self.cuts_left -= 1;
                before.wanted = true;
                next.wanted = true;
            }
            self.held = Some((next, cut));
            if before.wanted {
                return self.sample(&before, after_cut).map(Some);
            }
        }
        let last = self.held.take();
        last.map(|(last, after_cut)| self.sample(&last, after_cut)).transpose()
    }

    fn sample(&mut self, of: &Decoded, after_cut: bool) -> Result<Sample, MediaError> {
        Ok(Sample { number: of.number, seconds: of.time, after_cut, picture: self.source.reader.picture(&of.frame)? })
    }
}

/// A video that lasts so many times as long as its frames do at their mean rate has frames of uneven length.
const UNEVEN: f64 = 1.05;

/// How many packets the video has: a packet is a frame, in all but oddities.
fn packets(file: &Path) -> Result<Frames, MediaError> {
    let mut reader = VideoReader::open(file)?;
    let mut count = 0;
    while reader.next_packet()?.is_some() {
        count += 1;
    }
    Ok(Frames(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_domain::Fps;

    #[test]
    fn short_videos_get_the_fewest_and_long_ones_the_most() {
        let sampling = Sampling { fewest: 16, per_second: 4, most: 96 };
        let count = |frames: u64| sampling.count(Fps::FILM.seconds(Frames(frames.saturating_sub(1))));
        assert_eq!([0, 1, 24, 97, 241, 100_000].map(count), [16, 16, 16, 17, 41, 96]);
    }
}
