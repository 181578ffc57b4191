//! What can go wrong with a video or a picture: the step, the file, the cause.

use greenroom_domain::{Fps, Pixels, Problem, ProblemKind};
use std::{io, path::PathBuf};
use thiserror::Error;

/// A video or a picture that could not be read or written.
#[derive(Debug, Error)]
pub enum MediaError {
    /// The file is no video, or its beginning is damaged.
    #[error("{step}: {}: not a video, or damaged at its beginning", file.display())]
    NotVideo {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
    },
    /// The file has no video in it, only sound or what belongs to it.
    #[error("{step}: {}: has no picture track", file.display())]
    NoPicture {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
    },
    /// The file ends before its own header says.
    #[error("read video: {}: ends after frame {found} of {announced}", file.display())]
    Truncated {
        /// Which file.
        file: PathBuf,
        /// Frames that could be decoded.
        found: u64,
        /// Frames that the header announces.
        announced: u64,
    },
    /// libav refused.
    #[error("{step}: {}: {cause}", file.display())]
    Libav {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
        /// What libav says.
        cause: ffmpeg_next::Error,
    },
    /// The file system refused.
    #[error("{step}: {}: {cause}", file.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A picture or a video of another size than its surroundings.
    #[error("{step}: {}: is {}×{}, expected {}×{}", file.display(), found.width, found.height, wanted.width, wanted.height)]
    Size {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
        /// Its size.
        found: Pixels,
        /// The size that it needs.
        wanted: Pixels,
    },
    /// A size that cannot be encoded.
    #[error("{step}: {}: {}×{} cannot be encoded (both sides must be even, from 2 to 8192)", file.display(), size.width, size.height)]
    UnusableSize {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
        /// The size.
        size: Pixels,
    },
    /// A take at another frame rate than the episode.
    #[error("{step}: {}: runs at {found} frames per second, expected {wanted}", file.display())]
    Rate {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
        /// Its rate.
        found: Fps,
        /// The rate that it needs.
        wanted: Fps,
    },
    /// Nothing to write.
    #[error("{step}: {}: there is not one frame to write", file.display())]
    Empty {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
    },
    /// What was written does not last as long as it should.
    #[error("check video: {}: {cause}", file.display())]
    Duration {
        /// Which file.
        file: PathBuf,
        /// What differs.
        cause: String,
    },
    /// Keyframes that do not follow each other.
    #[error("interpolate: keyframe at {at}: {cause}")]
    Keyframe {
        /// Its frame number.
        at: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// The caller asked to stop.
    #[error("{step}: {}: stopped", file.display())]
    Stopped {
        /// What was being done.
        step: &'static str,
        /// To which file.
        file: PathBuf,
    },
    /// A picture that cannot be used.
    #[error("read picture: {name}: {fault}")]
    Picture {
        /// The picture's name.
        name: String,
        /// Why.
        fault: PictureFault,
    },
}

/// Why a picture cannot be used.
#[derive(Debug, Error)]
pub enum PictureFault {
    /// Zero bytes.
    #[error("the file is empty")]
    Empty,
    /// No PNG, JPEG or WebP.
    #[error("not a PNG, JPEG or WebP picture")]
    Unknown,
    /// Another kind of picture.
    #[error("a {0} picture; only PNG, JPEG and WebP are read")]
    Foreign(&'static str),
    /// Too many pixels to be worth decoding.
    #[error("{width}×{height} pixels are too many (at most {} on a side and {} million in all)", crate::picture::MAX_SIDE, crate::picture::MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
    /// The file ends early.
    #[error("the file is cut off")]
    Truncated,
    /// The decoder refused.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl MediaError {
    /// What the person can do about it, as an imperative.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotVideo { .. } | Self::Truncated { .. } => "make the file again",
            Self::NoPicture { .. } => "give a file with a video in it",
            Self::Libav { step: "read video", .. } => "make the file again, or convert it to H.264 in MP4",
            Self::Picture { fault: PictureFault::Foreign(_), .. } => "save the picture as PNG or JPEG and give that",
            Self::Io { .. } => "check that the folder exists, can be written and has room",
            Self::Libav { cause: ffmpeg_next::Error::Other { errno }, .. } if *errno == ffmpeg_next::error::ENOSPC => {
                "free some disk space"
            }
            Self::Libav { cause: ffmpeg_next::Error::EncoderNotFound, .. } => "install libav with libx264",
            Self::Libav { .. } | Self::Duration { .. } | Self::Keyframe { .. } => "report this with the file",
            Self::Size { .. } | Self::Rate { .. } => "generate the shot again with the project's settings",
            Self::UnusableSize { .. } => "choose an even width and height",
            Self::Empty { .. } => "give at least one clip with one frame",
            Self::Stopped { .. } => "start it again",
            Self::Picture { .. } => "give a PNG, JPEG or WebP picture of ordinary size",
        }
    }

    /// The same as a problem that travels to the terminal.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let kind = match self {
            Self::Io { .. } => ProblemKind::Unavailable,
            Self::Libav { step: "read video", cause, .. } if !is_the_machines(cause) => ProblemKind::Invalid,
            Self::Libav { cause: ffmpeg_next::Error::Other { .. }, .. } => ProblemKind::Unavailable,
            Self::Libav { .. } | Self::Duration { .. } | Self::Keyframe { .. } => ProblemKind::Internal,
            Self::Stopped { .. } => ProblemKind::Conflict,
            _ => ProblemKind::Invalid,
        };
        let (step, subject) = (self.step(), self.subject());
        let cause = self.to_string().split_off(step.len() + subject.len() + 4);
        Problem::new(kind, step, subject, cause, self.remedy())
    }

    /// What was being done: the first part of the message.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        match self {
            Self::NotVideo { step, .. }
            | Self::NoPicture { step, .. }
            | Self::Libav { step, .. }
            | Self::Io { step, .. }
            | Self::Size { step, .. }
            | Self::UnusableSize { step, .. }
            | Self::Rate { step, .. }
            | Self::Empty { step, .. }
            | Self::Stopped { step, .. } => step,
            Self::Truncated { .. } => "read video",
            Self::Duration { .. } => "check video",
            Self::Keyframe { .. } => "interpolate",
            Self::Picture { .. } => "read picture",
        }
    }

    /// To what: the second part of the message.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::NotVideo { file, .. }
            | Self::NoPicture { file, .. }
            | Self::Truncated { file, .. }
            | Self::Libav { file, .. }
            | Self::Io { file, .. }
            | Self::Size { file, .. }
            | Self::UnusableSize { file, .. }
            | Self::Rate { file, .. }
            | Self::Empty { file, .. }
            | Self::Duration { file, .. }
            | Self::Stopped { file, .. } => file.display().to_string(),
            Self::Keyframe { at, .. } => format!("keyframe at {at}"),
            Self::Picture { name, .. } => name.clone(),
        }
    }
}

/// No memory, or a disk that cannot be read: of anything else the file is to blame.
const fn is_the_machines(cause: &ffmpeg_next::Error) -> bool {
    use ffmpeg_next::error::{EIO, ENOMEM};
    matches!(cause, ffmpeg_next::Error::Other { errno: EIO | ENOMEM })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_step_file_and_cause_and_becomes_a_problem() {
        let error = MediaError::Truncated { file: "take.mkv".into(), found: 7, announced: 48 };
        assert_eq!(error.to_string(), "read video: take.mkv: ends after frame 7 of 48");
        let problem = error.problem();
        assert_eq!((problem.step.as_str(), problem.subject.as_str()), ("read video", "take.mkv"));
        assert_eq!(problem.cause, "ends after frame 7 of 48");
        assert_eq!(problem.to_string(), error.to_string());
    }
}
