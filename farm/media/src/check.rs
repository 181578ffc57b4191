//! Reading back what was written: does it last as long as it should?

use ffmpeg_next::{Rational, Rescale, format, media};
use greenroom_domain::{Fps, Frames};
use std::path::Path;

use crate::{MediaError, VideoReader, container::url};

/// Checks that a finished file announces so many frames, and that every other track ends within a frame of the picture.
pub(crate) fn duration(file: &Path, wanted: Frames, fps: Fps) -> Result<(), MediaError> {
    let differs = |cause: String| MediaError::Duration { file: file.to_owned(), cause };
    let info = VideoReader::open(file)?.info().clone();
    if info.frames != Some(wanted) || info.fps != fps {
        let found = info.frames.map_or_else(|| "no".to_owned(), |f| f.0.to_string());
        return Err(differs(format!("has {found} frames at {}, expected {} at {fps}", info.fps, wanted.0)));
    }
    let step = "check video";
    let opened = url(file).ok_or(ffmpeg_next::Error::InvalidData).and_then(|url| format::input(&url));
    let input = opened.map_err(|cause| MediaError::Libav { step, file: file.to_owned(), cause })?;
    let tick = Rational(fps.den as i32, fps.num as i32);
    for audio in input.streams().filter(|s| s.parameters().medium() == media::Type::Audio) {
        // In thousandths of a frame, so that a difference under one frame can be seen.
        let lasts = audio.duration().rescale(audio.time_base(), Rational(tick.numerator(), tick.denominator() * 1000));
        if lasts.abs_diff(wanted.0 as i64 * 1000) > 1000 {
            return Err(differs(format!("sound lasts {:.2} frames, picture {}", lasts as f64 / 1e3, wanted.0)));
        }
    }
    Ok(())
}
