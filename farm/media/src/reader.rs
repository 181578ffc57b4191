//! Reading any video that libav knows, frame by frame.

use ffmpeg_next::{
    Error, Packet, codec, decoder,
    format::{self, Pixel},
    frame, media,
    software::scaling,
};
use greenroom_domain::{Fps, Frames, Pixels};
use image::RgbImage;
use std::path::{Path, PathBuf};

use crate::{MediaError, colour, container::url};

const STEP: &str = "read video";

/// What a video is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoInfo {
    /// Width and height, pixels.
    pub size: Pixels,
    /// Frames per second.
    pub fps: Fps,
    /// Length as the header says it; none where it does not.
    pub frames: Option<Frames>,
    /// libav's name of the codec: `ffv1`, `h264`.
    pub codec: String,
}

/// Reads a video from its first frame to its last, holding one at a time.
pub struct VideoReader {
    file: PathBuf,
    input: format::context::Input,
    stream: usize,
    decoder: decoder::Video,
    to_rgb: Option<scaling::Context>,
    info: VideoInfo,
    next: u64,
}

impl VideoReader {
    /// Opens a video.
    ///
    /// # Errors
    /// If the file cannot be read or has no video in it.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        crate::init();
        let file = path.to_owned();
        // libav would answer a missing file and a damaged one alike.
        std::fs::File::open(path).map_err(|cause| MediaError::Io { step: STEP, file: file.clone(), cause })?;
        Self::open_stream(path).map_err(|_| MediaError::NotVideo { step: STEP, file })
    }

    fn open_stream(path: &Path) -> Result<Self, Error> {
        let input = format::input(&url(path).ok_or(Error::InvalidData)?)?;
        let stream = input.streams().best(media::Type::Video).ok_or(Error::StreamNotFound)?;
        let mut context = codec::context::Context::from_parameters(stream.parameters())?;
        context.set_threading(codec::threading::Config { count: 2, ..codec::threading::Config::default() });
        let decoder = context.decoder().video()?;
        let size = Pixels { width: decoder.width(), height: decoder.height() };
        let fps = known_rate(stream.avg_frame_rate()).ok_or(Error::InvalidData)?;
        if size.width == 0 || size.height == 0 || size.width > 16_384 || size.height > 16_384 {
            return Err(Error::InvalidData);
        }
        let codec = decoder.id().name().to_owned();
        let info = VideoInfo { size, fps, frames: announced(&input, &stream, fps), codec };
        Ok(Self { file: path.to_owned(), stream: stream.index(), input, decoder, to_rgb: None, info, next: 0 })
    }

    /// What the header says.
    #[must_use]
    pub const fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// The next frame with its number from 0; none after the last.
    ///
    /// # Errors
    /// If a frame cannot be decoded, or the file ends before its header says. Damage inside a frame is not always noticed:
    /// libav paints over it. The artifact's digest tells.
    pub fn next_frame(&mut self) -> Result<Option<(u64, RgbImage)>, MediaError> {
        let mut frame = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    let picture = self.picture(&frame).map_err(|cause| self.refused(cause))?;
                    self.next += 1;
                    return Ok(Some((self.next - 1, picture)));
                }
                Err(Error::Eof) => return self.ended(),
                Err(Error::Other { errno: ffmpeg_next::error::EAGAIN }) => self.feed()?,
                Err(cause) => return Err(self.refused(cause)),
            }
        }
    }

    fn feed(&mut self) -> Result<(), MediaError> {
        let mut packet = Packet::empty();
        let sent = match packet.read(&mut self.input) {
            Ok(()) if packet.stream() == self.stream => self.decoder.send_packet(&packet),
            Ok(()) => Ok(()),
            Err(Error::Eof) => self.decoder.send_eof(),
            Err(cause) => Err(cause),
        };
        sent.map_err(|cause| self.refused(cause))
    }

    fn picture(&mut self, frame: &frame::Video) -> Result<RgbImage, Error> {
        if (frame.width(), frame.height()) != (self.info.size.width, self.info.size.height) {
            return Err(Error::InputChanged);
        }
        match frame.format() {
            Pixel::BGRZ => Ok(colour::bgr0_to_rgb(frame)),
            Pixel::RGB24 => Ok(colour::rgb24_to_rgb(frame)),
            other => {
                let scaler = match &mut self.to_rgb {
                    Some(scaler) => scaler,
                    none => none.insert(colour::to_rgb24(other, frame)?),
                };
                let mut rgb = frame::Video::empty();
                scaler.run(frame, &mut rgb)?;
                Ok(colour::rgb24_to_rgb(&rgb))
            }
        }
    }

    fn ended(&self) -> Result<Option<(u64, RgbImage)>, MediaError> {
        match self.info.frames {
            Some(Frames(announced)) if self.next < announced => {
                Err(MediaError::Truncated { file: self.file.clone(), found: self.next, announced })
            }
            _ if self.next == 0 => Err(MediaError::Empty { step: STEP, file: self.file.clone() }),
            _ => Ok(None),
        }
    }

    fn refused(&self, cause: Error) -> MediaError {
        MediaError::Libav { step: STEP, file: self.file.clone(), cause }
    }
}

/// Numbers of the frames to look at: spread evenly, in order, each once, the first and the last always among them.
#[must_use]
pub fn sample_indices(total: Frames, samples: u32) -> Vec<u64> {
    let (last, samples) = (total.0.saturating_sub(1), u64::from(samples.max(2)));
    if total.0 == 0 {
        return Vec::new();
    }
    // Rounded to the nearest; u128 because a hostile header may announce any length.
    let step = |i: u64| {
        ((u128::from(i) * u128::from(last) * 2 + u128::from(samples - 1)) / u128::from((samples - 1) * 2)) as u64
    };
    let mut indices: Vec<u64> = (0..samples).map(step).collect();
    indices.dedup();
    indices
}

fn announced(input: &format::context::Input, stream: &format::stream::Stream<'_>, fps: Fps) -> Option<Frames> {
    if stream.frames() > 0 {
        return Some(Frames(stream.frames().unsigned_abs()));
    }
    // Matroska counts milliseconds, far finer than a frame; other containers only estimate.
    let exact = input.format().name().contains("matroska") && input.duration() > 0;
    exact.then(|| Frames((input.duration() as f64 / 1e6 * fps.as_f64()).round() as u64)).filter(|frames| frames.0 > 0)
}

/// Containers round the frame's duration, so a rate within 10⁻⁵ of a whole number or of its NTSC form (·1000/1001) is that.
fn known_rate(rate: ffmpeg_next::Rational) -> Option<Fps> {
    let (num, den) = (u32::try_from(rate.numerator()).ok()?, u32::try_from(rate.denominator()).ok()?);
    if num == 0 || den == 0 {
        return None;
    }
    let found = Fps { num, den };
    let whole = found.as_f64().round().max(1.0) as u32;
    let near = |known: &Fps| (known.as_f64() / found.as_f64() - 1.0).abs() < 1e-5;
    [Fps { num: whole, den: 1 }, Fps { num: whole * 1000, den: 1001 }].into_iter().find(near).or(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_and_hold_first_and_last() {
        assert_eq!(sample_indices(Frames(48), 5), [0, 12, 24, 35, 47]);
        assert_eq!(sample_indices(Frames(48), 1), [0, 47]);
        assert_eq!(sample_indices(Frames(3), 16), [0, 1, 2]);
        assert_eq!(sample_indices(Frames(1), 16), [0]);
        assert!(sample_indices(Frames(0), 16).is_empty());
    }

    #[test]
    fn rates_that_a_container_rounded_are_recognised() {
        let read = |num, den| known_rate(ffmpeg_next::Rational(num, den));
        assert_eq!(read(24, 1), Some(Fps::FILM));
        assert_eq!(read(19_001, 317), Some(Fps { num: 60_000, den: 1001 }));
        assert_eq!(read(25, 2), Some(Fps { num: 25, den: 2 }));
        assert_eq!(read(0, 1), None);
    }
}
