//! Pictures that move: decode, encode, in-betweens, camera moves and assembly on FFmpeg.
//!
//! Two formats: a *take* is lossless (FFV1 in Matroska, sRGB), a *clip* and an *episode* are for watching (H.264 and AAC
//! in MP4, BT.709). Everything streams: no function holds more than a handful of frames. Equal input gives equal bytes on
//! one CPU model: thread counts are fixed, and no file carries a time, a random number or a library's version.

mod camera;
mod check;
mod colour;
mod container;
mod cut;
mod draw;
mod episode;
mod error;
mod flow;
mod inbetween;
mod mp4;
mod patch;
mod picture;
mod reader;
mod sampler;
mod sheet;
mod source;
mod strip;
mod subtitles;
mod take;
mod turn;

pub use camera::camera_frame;
pub use episode::{EpisodeClip, EpisodePlan, plan_episode, write_clip, write_episode};
pub use error::{MediaError, PictureFault};
pub use inbetween::{Inbetween, Segment, keyframe_positions};
pub use patch::{Oval, Window};
pub use picture::load_picture;
pub use reader::{VideoInfo, VideoReader};
pub use sampler::{Sample, Sampling, VideoSampler};
pub use sheet::{SheetCell, SheetRow, contact_sheet};
pub use strip::{StripFace, StripFrame, small, strip};
pub use subtitles::{Cue, srt};
pub use take::TakeWriter;

/// Makes the libav libraries ready and quiet (they log errors only). Cheap, and harmless when called again.
pub fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // Cannot fail: it registers error texts.
        let _ = ffmpeg_next::init();
        ffmpeg_next::util::log::set_level(ffmpeg_next::util::log::Level::Error);
    });
}
