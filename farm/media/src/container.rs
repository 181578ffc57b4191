//! Writing a container: a file that disappears unless it is finished, and one encoded video track in it.

use ffmpeg_next::{
    Dictionary, Error, Packet, Rational, codec, encoder,
    format::{self, Pixel},
    frame,
};
use greenroom_domain::{Fps, Pixels};
use std::path::{Path, PathBuf};

use crate::MediaError;

/// Why two: x264 cuts its frames by thread, so a fixed count gives fixed bytes; two is what the smallest machine has.
pub(crate) const THREADS: &str = "2";

/// Largest side of a video that is written, pixels: the limit of common H.264 decoders.
const MAX_SIDE: u32 = 8192;

/// An output file. Dropped without [`Muxer::finish`], it is deleted, so that nothing half done stays behind.
pub(crate) struct Muxer {
    file: PathBuf,
    step: &'static str,
    output: Option<format::context::Output>,
}

impl Muxer {
    /// Opens the file for writing; `container` is libav's name of the format.
    pub(crate) fn create(step: &'static str, file: &Path, container: &str) -> Result<Self, MediaError> {
        crate::init();
        // libav takes text paths only, and its binding panics on others and loses the reason of a failure to open.
        std::fs::File::create(file).map_err(|cause| MediaError::Io { step, file: file.into(), cause })?;
        let output = match url(file) {
            Some(url) => format::output_as(&url, container),
            None => Err(Error::InvalidData),
        };
        let output = output.map_err(|cause| MediaError::Libav { step, file: file.into(), cause })?;
        Ok(Self { file: file.to_owned(), step, output: Some(output) })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The context, for adding streams and packets.
    pub(crate) fn output(&mut self) -> &mut format::context::Output {
        self.output.as_mut().expect("the context is taken only by finish, which consumes self")
    }

    /// Writes the header, after all streams were added.
    pub(crate) fn header(&mut self, options: &[(&str, &str)]) -> Result<(), MediaError> {
        let mut options: Dictionary<'_> = options.iter().collect();
        options.set("fflags", "+bitexact");
        let written = self.output().write_header_with(options).map(drop);
        written.map_err(|cause| self.refused(cause))
    }

    /// Puts a packet into the file, in time order with the other streams' packets.
    pub(crate) fn write(&mut self, packet: &Packet) -> Result<(), MediaError> {
        let written = packet.write_interleaved(self.output());
        written.map_err(|cause| self.refused(cause))
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<(), MediaError> {
        let ended = self.output().write_trailer();
        ended.map_err(|cause| self.refused(cause))?;
        self.output = None;
        Ok(())
    }

    /// An error at this file.
    pub(crate) fn refused(&self, cause: Error) -> MediaError {
        MediaError::Libav { step: self.step, file: self.file.clone(), cause }
    }

    pub(crate) const fn step(&self) -> &'static str {
        self.step
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        if self.output.take().is_some() {
            // The first error is on its way to the caller; a file that cannot be removed adds nothing to it.
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

/// One encoded video track; frames come in order, one per tick of the rate.
pub(crate) struct VideoTrack {
    encoder: encoder::video::Encoder,
    stream: usize,
    ticks: Rational,
    frames: u64,
}

/// How a track is encoded.
pub(crate) struct VideoCodec {
    /// libav's name of the encoder.
    pub(crate) name: &'static str,
    /// How samples lie in a frame.
    pub(crate) pixel: Pixel,
    /// libav's options.
    pub(crate) options: &'static [(&'static str, &'static str)],
}

impl VideoTrack {
    /// Adds the track to a file whose header is not yet written.
    pub(crate) fn add(muxer: &mut Muxer, codec: &VideoCodec, size: Pixels, fps: Fps) -> Result<Self, MediaError> {
        let usable = |side: u32| (2..=MAX_SIDE).contains(&side) && side.is_multiple_of(2);
        if !usable(size.width) || !usable(size.height) {
            return Err(MediaError::UnusableSize { step: muxer.step, file: muxer.file.clone(), size });
        }
        Self::open(muxer, codec, size, fps).map_err(|cause| muxer.refused(cause))
    }

    fn open(muxer: &mut Muxer, codec: &VideoCodec, size: Pixels, fps: Fps) -> Result<Self, Error> {
        let found = encoder::find_by_name(codec.name).ok_or(Error::EncoderNotFound)?;
        let mut video = codec::context::Context::new_with_codec(found).encoder().video()?;
        let ticks = Rational(fps.den as i32, fps.num as i32);
        video.set_width(size.width);
        video.set_height(size.height);
        video.set_format(codec.pixel);
        video.set_time_base(ticks);
        video.set_frame_rate(Some(ticks.invert()));
        video.set_aspect_ratio(Rational(1, 1));
        let global = muxer.output().format().flags().contains(format::Flags::GLOBAL_HEADER);
        let mut options: Dictionary<'_> = codec.options.iter().collect();
        options.set("threads", THREADS);
        if codec.name == "libx264" && avx512() {
            options.set("x264-params", "asm=AVX2");
        }
        options.set("flags", if global { "+bitexact+global_header" } else { "+bitexact" });
        let encoder = video.open_with(options)?;
        let mut stream = muxer.output().add_stream(found)?;
        stream.set_parameters(&encoder);
        stream.set_time_base(ticks);
        stream.set_avg_frame_rate(ticks.invert());
        stream.set_rate(ticks.invert());
        let stream = stream.index();
        Ok(Self { encoder, stream, ticks, frames: 0 })
    }

    /// Frames given so far.
    pub(crate) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Encodes the next frame and writes what comes out.
    pub(crate) fn push(&mut self, muxer: &mut Muxer, frame: &mut frame::Video) -> Result<(), MediaError> {
        frame.set_pts(Some(self.frames as i64));
        self.encoder.send_frame(frame).map_err(|cause| muxer.refused(cause))?;
        self.frames += 1;
        self.drain(muxer)
    }

    /// Writes what the encoder still holds.
    pub(crate) fn finish(&mut self, muxer: &mut Muxer) -> Result<(), MediaError> {
        self.encoder.send_eof().map_err(|cause| muxer.refused(cause))?;
        self.drain(muxer)
    }

    fn drain(&mut self, muxer: &mut Muxer) -> Result<(), MediaError> {
        let ticks = self.ticks;
        drain(&mut self.encoder, muxer, self.stream, ticks, |packet| packet.set_duration(1))
    }
}

/// Whether x264 would use AVX-512. Its AVX-512 code (core 164) reads memory it never wrote where the width is no multiple of
/// 128, so that a second run in one process gave other bytes; its AVX2 code repeats on one type of CPU.
#[cfg(target_arch = "x86_64")]
fn avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
const fn avx512() -> bool {
    false
}

/// Moves every packet that an encoder has ready into the file.
pub(crate) fn drain(
    encoder: &mut encoder::Encoder,
    muxer: &mut Muxer,
    stream: usize,
    ticks: Rational,
    fix: impl Fn(&mut Packet),
) -> Result<(), MediaError> {
    let mut packet = Packet::empty();
    loop {
        match encoder.receive_packet(&mut packet) {
            Ok(()) => {
                fix(&mut packet);
                packet.set_stream(stream);
                let base = muxer.output().stream(stream).map_or(ticks, |s| s.time_base());
                packet.rescale_ts(ticks, base);
                muxer.write(&packet)?;
            }
            Err(Error::Eof | Error::Other { errno: ffmpeg_next::error::EAGAIN }) => return Ok(()),
            Err(cause) => return Err(muxer.refused(cause)),
        }
    }
}

/// The file as libav wants it: without a scheme in front, `a:b.mkv` would be taken for a protocol.
pub(crate) fn url(file: &Path) -> Option<String> {
    file.to_str().filter(|path| !path.contains('\0')).map(|path| format!("file:{path}"))
}
