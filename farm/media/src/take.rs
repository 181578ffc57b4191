//! Takes: lossless video between generation, validation and assembly.

use ffmpeg_next::{format::Pixel, frame};
use greenroom_domain::{Fps, Frames, Pixels};
use image::RgbImage;
use std::path::Path;

use crate::{
    MediaError, check, colour,
    container::{Muxer, VideoCodec, VideoTrack},
};

const STEP: &str = "write take";

/// Every frame is a keyframe with a checksum per slice, so that a damaged take is noticed and any frame can be reached.
const FFV1: VideoCodec = VideoCodec {
    name: "ffv1",
    pixel: Pixel::BGRZ,
    options: &[
        ("level", "3"),
        ("slices", "4"),
        ("slicecrc", "1"),
        ("g", "1"),
        ("color_range", "pc"),
        ("colorspace", "rgb"),
        ("color_primaries", "bt709"),
        ("color_trc", "iec61966-2-1"),
    ],
};

/// Writes a take: FFV1 in Matroska, 8-bit RGB without loss, tagged as sRGB. Dropped unfinished, it removes its file.
pub struct TakeWriter {
    muxer: Muxer,
    track: VideoTrack,
    size: Pixels,
    fps: Fps,
}

impl TakeWriter {
    /// Starts a take.
    ///
    /// # Errors
    /// If the file cannot be written, or a side is odd or not from 2 to 8192 pixels.
    pub fn create(path: &Path, size: Pixels, fps: Fps) -> Result<Self, MediaError> {
        let mut muxer = Muxer::create(STEP, path, "matroska")?;
        let track = VideoTrack::add(&mut muxer, &FFV1, size, fps)?;
        muxer.header(&[])?;
        Ok(Self { muxer, track, size, fps })
    }

    /// Adds the next frame.
    ///
    /// # Errors
    /// If the picture is not of the take's size, or the file cannot be written.
    pub fn write(&mut self, picture: &RgbImage) -> Result<(), MediaError> {
        let found = Pixels { width: picture.width(), height: picture.height() };
        if found != self.size {
            let file = self.muxer.file().to_owned();
            return Err(MediaError::Size { step: STEP, file, found, wanted: self.size });
        }
        // The encoder may still read the last frame's buffer on its other thread.
        let mut frame = frame::Video::new(Pixel::BGRZ, self.size.width, self.size.height);
        colour::rgb_to_bgr0(picture, &mut frame);
        self.track.push(&mut self.muxer, &mut frame)
    }

    /// Ends the take, reads its length back, and returns it.
    ///
    /// # Errors
    /// If not one frame was written, the file cannot be written, or does not last as long as it should.
    pub fn finish(mut self) -> Result<Frames, MediaError> {
        let (file, frames) = (self.muxer.file().to_owned(), self.track.frames());
        if frames == 0 {
            return Err(MediaError::Empty { step: STEP, file });
        }
        self.track.finish(&mut self.muxer)?;
        self.muxer.finish()?;
        check::duration(&file, Frames(frames), self.fps)?;
        Ok(Frames(frames))
    }
}
