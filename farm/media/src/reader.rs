//! Reading any video that libav knows, frame by frame.

use ffmpeg_next::{
    Error, Packet, codec, decoder,
    format::{self, Pixel, stream::Disposition},
    frame, media,
    software::scaling,
};
use greenroom_domain::{Fps, Frames, Pixels};
use image::{DynamicImage, RgbImage, metadata::Orientation};
use std::path::{Path, PathBuf};

use crate::{MediaError, colour, container::url, turn};

const STEP: &str = "read video";

/// What a video is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoInfo {
    /// Width and height as it is shown, pixels.
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
    ticks: f64,
    decoder: decoder::Video,
    to_rgb: Option<scaling::Context>,
    info: VideoInfo,
    /// How frames lie, and their size before they are turned.
    turn: Orientation,
    coded: (u32, u32),
    next: u64,
    packets: u64,
}

/// A frame as libav decoded it, with its number from 0 and its time in seconds from the stream's zero, if it has one.
pub(crate) type Decoded = (u64, Option<f64>, frame::Video);

impl VideoReader {
    /// Opens a video.
    ///
    /// # Errors
    /// If the file cannot be read or has no video in it; the picture on a record's sleeve is none.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        crate::init();
        let file = path.to_owned();
        // libav would answer a missing file and a damaged one alike.
        std::fs::File::open(path).map_err(|cause| MediaError::Io { step: STEP, file: file.clone(), cause })?;
        Self::open_stream(path).map_err(|cause| match cause {
            Error::StreamNotFound => MediaError::NoPicture { step: STEP, file },
            _ => MediaError::NotVideo { step: STEP, file },
        })
    }

    fn open_stream(path: &Path) -> Result<Self, Error> {
        let input = format::input(&url(path).ok_or(Error::InvalidData)?)?;
        let sleeve = |s: &format::stream::Stream<'_>| s.disposition().contains(Disposition::ATTACHED_PIC);
        let best = input.streams().best(media::Type::Video).filter(|s| !sleeve(s));
        let stream = best.ok_or(Error::StreamNotFound)?;
        let mut context = codec::context::Context::from_parameters(stream.parameters())?;
        context.set_threading(codec::threading::Config { count: 2, ..codec::threading::Config::default() });
        let decoder = context.decoder().video()?;
        let turn = turn::of(&stream);
        let coded = (decoder.width(), decoder.height());
        let (width, height) = if turn::lies(turn) { (coded.1, coded.0) } else { coded };
        let size = Pixels { width, height };
        // A single frame has no rate.
        let fps = known_rate(stream.avg_frame_rate()).or_else(|| known_rate(stream.rate())).unwrap_or(Fps::FILM);
        if size.width == 0 || size.height == 0 || size.width > 16_384 || size.height > 16_384 {
            return Err(Error::InvalidData);
        }
        let codec = decoder.id().name().to_owned();
        let info = VideoInfo { size, fps, frames: announced(&input, &stream, fps, &codec), codec };
        let ticks = f64::from(stream.time_base());
        let stream = stream.index();
        let file = path.to_owned();
        Ok(Self { file, stream, ticks, input, decoder, to_rgb: None, info, turn, coded, next: 0, packets: 0 })
    }

    /// What the header says.
    #[must_use]
    pub const fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Seconds that the pictures last, where the header says it; what has sound may last longer than they.
    pub(crate) fn lasts(&self) -> Option<f64> {
        let stream = self.input.stream(self.stream)?;
        let sound = self.input.streams().any(|s| s.parameters().medium() == media::Type::Audio);
        let whole = if sound { 0.0 } else { self.input.duration() as f64 / 1e6 };
        let own = stream.duration() as f64 * self.ticks;
        Some(if own > 0.0 { own } else { whole }).filter(|seconds| *seconds > 0.0)
    }

    /// The next frame with its number from 0; none after the last.
    ///
    /// # Errors
    /// If a frame cannot be decoded, or the file ends before its header says. Damage inside a frame is not always noticed:
    /// libav paints over it. The artifact's digest tells.
    pub fn next_frame(&mut self) -> Result<Option<(u64, RgbImage)>, MediaError> {
        let Some((number, _, frame)) = self.next_decoded()? else { return Ok(None) };
        Ok(Some((number, self.picture(&frame)?)))
    }

    /// The next frame as it was decoded; none after the last. Errors are those of [`Self::next_frame`].
    pub(crate) fn next_decoded(&mut self) -> Result<Option<Decoded>, MediaError> {
        let mut frame = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    self.next += 1;
                    let time = frame.timestamp().map(|ticks| ticks as f64 * self.ticks);
                    return Ok(Some((self.next - 1, time, frame)));
                }
                Err(Error::Eof) => return self.ended(),
                Err(Error::Other { errno: ffmpeg_next::error::EAGAIN }) => self.feed()?,
                Err(cause) => return Err(self.refused(cause)),
            }
        }
    }

    /// The next packet of the video with its number and time, not decoded; none after the last. Not to be mixed with
    /// [`Self::next_decoded`].
    pub(crate) fn next_packet(&mut self) -> Result<Option<(u64, Option<f64>, Packet)>, MediaError> {
        let mut packet = Packet::empty();
        loop {
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => {
                    self.next += 1;
                    let time = packet.pts().map(|ticks| ticks as f64 * self.ticks);
                    return Ok(Some((self.next - 1, time, packet)));
                }
                Ok(()) => {}
                Err(Error::Eof) => return self.ended(),
                Err(cause) => return Err(self.refused(cause)),
            }
        }
    }

    /// Decodes one packet of a codec that answers every packet with its frame at once.
    pub(crate) fn decode(&mut self, packet: &Packet) -> Result<frame::Video, MediaError> {
        let mut frame = frame::Video::empty();
        let decoded = self.decoder.send_packet(packet).and_then(|()| self.decoder.receive_frame(&mut frame));
        decoded.map_err(|cause| self.refused(cause))?;
        Ok(frame)
    }

    fn feed(&mut self) -> Result<(), MediaError> {
        let mut packet = Packet::empty();
        let sent = match packet.read(&mut self.input) {
            Ok(()) if packet.stream() == self.stream => {
                self.packets += 1;
                self.decoder.send_packet(&packet)
            }
            Ok(()) => Ok(()),
            Err(Error::Eof) => self.decoder.send_eof(),
            Err(cause) => Err(cause),
        };
        sent.map_err(|cause| self.refused(cause))
    }

    /// A decoded frame of this video as a picture, upright; what is transparent lies on white, as in reference pictures.
    pub(crate) fn picture(&mut self, frame: &frame::Video) -> Result<RgbImage, MediaError> {
        let lying = self.convert(frame).map_err(|cause| self.refused(cause))?;
        let mut picture = DynamicImage::ImageRgb8(lying);
        picture.apply_orientation(self.turn);
        Ok(picture.into_rgb8())
    }

    fn convert(&mut self, frame: &frame::Video) -> Result<RgbImage, Error> {
        if (frame.width(), frame.height()) != self.coded {
            return Err(Error::InputChanged);
        }
        match frame.format() {
            Pixel::BGRZ => Ok(colour::bgr0_to_rgb(frame)),
            Pixel::RGB24 => Ok(colour::rgb24_to_rgb(frame)),
            other => {
                let clear = colour::has_alpha(other);
                let scaler = match &mut self.to_rgb {
                    Some(scaler) => scaler,
                    none => none.insert(colour::converter(frame, if clear { Pixel::RGBA } else { Pixel::RGB24 })?),
                };
                let mut rgb = frame::Video::empty();
                scaler.run(frame, &mut rgb)?;
                Ok(if clear { colour::rgba_to_rgb(&rgb) } else { colour::rgb24_to_rgb(&rgb) })
            }
        }
    }

    fn ended<T>(&self) -> Result<Option<T>, MediaError> {
        match self.info.frames {
            // A packet need not be a frame: some are cut off by an edit, some hold half of one.
            Some(Frames(announced)) if self.next.max(self.packets) < announced => {
                Err(MediaError::Truncated { file: self.file.clone(), found: self.next, announced })
            }
            _ if self.next == 0 => Err(MediaError::Empty { step: STEP, file: self.file.clone() }),
            _ => Ok(None),
        }
    }

    pub(crate) fn refused(&self, cause: Error) -> MediaError {
        MediaError::Libav { step: STEP, file: self.file.clone(), cause }
    }
}

fn announced(
    input: &format::context::Input,
    stream: &format::stream::Stream<'_>,
    fps: Fps,
    codec: &str,
) -> Option<Frames> {
    if stream.frames() > 0 {
        return Some(Frames(stream.frames().unsigned_abs()));
    }
    // Matroska counts milliseconds, far finer than a frame, and takes have an even rate; others only estimate.
    let exact = input.format().name().contains("matroska") && codec == "ffv1" && input.duration() > 0;
    exact.then(|| Frames((input.duration() as f64 / 1e6 * fps.as_f64()).round() as u64)).filter(|frames| frames.0 > 0)
}

/// Containers round the frame's duration, so a rate within 10⁻⁵ of a whole number or of its NTSC form (·1000/1001) is that.
fn known_rate(rate: ffmpeg_next::Rational) -> Option<Fps> {
    let (num, den) = (u32::try_from(rate.numerator()).ok()?, u32::try_from(rate.denominator()).ok()?);
    if num == 0 || den == 0 {
        return None;
    }
    let found = Fps { num, den };
    if found.as_f64() > FASTEST {
        return None;
    }
    let whole = found.as_f64().round().max(1.0) as u32;
    let near = |known: &Fps| (known.as_f64() / found.as_f64() - 1.0).abs() < 1e-5;
    [Fps { num: whole, den: 1 }, Fps { num: whole * 1000, den: 1001 }].into_iter().find(near).or(Some(found))
}

/// What says that it is faster is damaged, or gives the container's clock for a rate.
const FASTEST: f64 = 999.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_a_container_rounded_are_recognised() {
        let read = |num, den| known_rate(ffmpeg_next::Rational(num, den));
        assert_eq!(read(24, 1), Some(Fps::FILM));
        assert_eq!(read(19_001, 317), Some(Fps { num: 60_000, den: 1001 }));
        assert_eq!(read(25, 2), Some(Fps { num: 25, den: 2 }));
        assert_eq!([read(0, 1), read(90_000, 1), read(i32::MAX, 1)], [None; 3]);
    }
}
