//! Clips and episodes: H.264, silent AAC and soft subtitles in MP4.

use ffmpeg_next::{
    ChannelLayout, Dictionary, Error, Packet, Rational, codec, encoder,
    format::{Pixel, Sample, sample},
    frame,
};
use greenroom_domain::{Fps, Frames, Pixels};
use image::RgbImage;
use std::path::Path;

use crate::{
    Cue, MediaError, check, colour,
    container::{Muxer, THREADS, VideoCodec, VideoTrack, drain},
    subtitles::SubtitleTrack,
};

/// Looks right in every player and browser: High profile, 4:2:0, BT.709 said in the stream and in the container.
const H264: VideoCodec = VideoCodec {
    name: "libx264",
    pixel: Pixel::YUV420P,
    options: &[
        ("preset", "fast"),
        ("crf", "18"),
        ("profile", "high"),
        ("tune", "animation"),
        ("g", "48"), // two seconds of film: seeking stays quick
        ("color_range", "tv"),
        ("colorspace", "bt709"),
        ("color_primaries", "bt709"),
        ("color_trc", "bt709"),
        ("chroma_sample_location", "left"),
    ],
};

const AUDIO_RATE: u32 = 48_000;

/// Writes an MP4. Dropped unfinished, it removes its file.
pub(crate) struct Mp4Writer {
    muxer: Muxer,
    video: VideoTrack,
    audio: SilentTrack,
    subtitles: Option<SubtitleTrack>,
    size: Pixels,
    fps: Fps,
}

impl Mp4Writer {
    pub(crate) fn create(
        step: &'static str,
        path: &Path,
        size: Pixels,
        fps: Fps,
        cues: Vec<Cue>,
    ) -> Result<Self, MediaError> {
        let mut muxer = Muxer::create(step, path, "mp4")?;
        let video = VideoTrack::add(&mut muxer, &H264, size, fps)?;
        let audio = SilentTrack::add(&mut muxer).map_err(|cause| muxer.refused(cause))?;
        let subtitles = match cues.is_empty() {
            true => None,
            false => Some(SubtitleTrack::add(&mut muxer, cues, fps).map_err(|cause| muxer.refused(cause))?),
        };
        muxer.header(&[("movflags", "+faststart")])?;
        Ok(Self { muxer, video, audio, subtitles, size, fps })
    }

    /// Adds the next frame, and sound and subtitles up to its end.
    pub(crate) fn write(&mut self, picture: &RgbImage) -> Result<(), MediaError> {
        let mut frame = frame::Video::new(Pixel::YUV420P, self.size.width, self.size.height);
        colour::rgb_to_yuv420(picture, &mut frame);
        if let Some(subtitles) = &mut self.subtitles {
            subtitles.write_until(&mut self.muxer, self.video.frames() + 1)?;
        }
        self.video.push(&mut self.muxer, &mut frame)?;
        self.audio.fill(&mut self.muxer, samples(Frames(self.video.frames()), self.fps), false)
    }

    /// Ends the file and checks its length.
    pub(crate) fn finish(mut self) -> Result<Frames, MediaError> {
        let frames = Frames(self.video.frames());
        let (step, file) = (self.muxer.step(), self.muxer.file().to_owned());
        if frames.0 == 0 {
            return Err(MediaError::Empty { step, file });
        }
        self.video.finish(&mut self.muxer)?;
        self.audio.fill(&mut self.muxer, samples(frames, self.fps), true)?;
        self.muxer.finish()?;
        check::duration(&file, frames, self.fps)?;
        Ok(frames)
    }
}

/// Stereo silence, so that players and editors that expect sound find some.
struct SilentTrack {
    encoder: encoder::audio::Encoder,
    stream: usize,
    written: u64,
}

impl SilentTrack {
    fn add(muxer: &mut Muxer) -> Result<Self, Error> {
        let found = encoder::find_by_name("aac").ok_or(Error::EncoderNotFound)?;
        let mut audio = codec::context::Context::new_with_codec(found).encoder().audio()?;
        audio.set_rate(AUDIO_RATE as i32);
        audio.set_format(Sample::F32(sample::Type::Planar));
        audio.set_channel_layout(ChannelLayout::STEREO);
        audio.set_channels(2);
        audio.set_bit_rate(96_000);
        audio.set_time_base(Rational(1, AUDIO_RATE as i32));
        let options = [("threads", THREADS), ("flags", "+bitexact+global_header")];
        let encoder = audio.open_with(options.iter().collect::<Dictionary<'_>>())?;
        let mut stream = muxer.output().add_stream(found)?;
        stream.set_parameters(&encoder);
        stream.set_time_base(Rational(1, AUDIO_RATE as i32));
        let stream = stream.index();
        Ok(Self { encoder, stream, written: 0 })
    }

    /// Writes silence up to a sample, in whole AAC frames; `end` writes the rest too and closes the track.
    fn fill(&mut self, muxer: &mut Muxer, until: u64, end: bool) -> Result<(), MediaError> {
        let block = u64::from(self.encoder.frame_size().max(1));
        while self.written + block <= until || (end && self.written < until) {
            let samples = block.min(until - self.written);
            let mut frame =
                frame::Audio::new(Sample::F32(sample::Type::Planar), samples as usize, ChannelLayout::STEREO);
            frame.set_rate(AUDIO_RATE);
            frame.set_pts(Some(self.written as i64));
            for plane in 0..frame.planes() {
                frame.data_mut(plane).fill(0);
            }
            self.encoder.send_frame(&frame).map_err(|cause| muxer.refused(cause))?;
            self.written += samples;
            self.drain(muxer)?;
        }
        if end {
            self.encoder.send_eof().map_err(|cause| muxer.refused(cause))?;
            self.drain(muxer)?;
        }
        Ok(())
    }

    fn drain(&mut self, muxer: &mut Muxer) -> Result<(), MediaError> {
        let nothing = |_: &mut Packet| {};
        drain(&mut self.encoder, muxer, self.stream, Rational(1, AUDIO_RATE as i32), nothing)
    }
}

/// Samples that a count of frames lasts, rounded.
const fn samples(frames: Frames, fps: Fps) -> u64 {
    let (num, den) = (fps.num as u64, fps.den as u64);
    (frames.0 * AUDIO_RATE as u64 * den + num / 2) / num
}
