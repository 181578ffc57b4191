//! Units live in types, so that frames are never added to seconds and a cosine is never read as a probability.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// A moment, in milliseconds since the Unix epoch (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment plus a duration, saturating.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this moment; zero if that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

/// A count of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frames(pub u64);

/// A rational frame rate: `num / den` frames per second, both above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fps {
    /// Frames …
    pub num: u32,
    /// … in this many seconds.
    pub den: u32,
}

impl Fps {
    /// Film.
    pub const FILM: Self = Self { num: 24, den: 1 };

    /// The frame count nearest to a duration, at least one.
    #[must_use]
    pub fn frames_in(self, seconds: f64) -> Frames {
        Frames((seconds * self.as_f64()).round().max(1.0) as u64)
    }

    /// Seconds that a count of frames lasts; for people and for containers only.
    #[must_use]
    pub fn seconds(self, frames: Frames) -> f64 {
        frames.0 as f64 / self.as_f64()
    }

    /// Frames per second.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

impl fmt::Display for Fps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl FromStr for Fps {
    type Err = String;

    /// `24` or `30000/1001`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (num, den) = text.split_once('/').unwrap_or((text, "1"));
        match (num.trim().parse(), den.trim().parse()) {
            (Ok(num), Ok(den)) if num > 0 && den > 0 && num / den <= 240 => Ok(Self { num, den }),
            _ => Err(format!("`{text}` is not a frame rate (write 24 or 30000/1001, at most 240)")),
        }
    }
}

/// The seed of one generation. Seeds are derived from what is asked, never drawn, so that equal requests give equal pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of a named part: a project's seed, a shot's key and the take's number give each take its own.
    #[must_use]
    pub fn derive(self, part: &str, number: u32) -> Self {
        let digest = crate::Digest::of(format!("{}/{part}/{number}", self.0).as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest.as_bytes()[..8]);
        // 53 bits: the seed stays exact in JSON readers that hold numbers as doubles.
        Self(u64::from_be_bytes(first) >> 11)
    }
}

/// Cosine similarity of two unit embeddings, −1 to 1. Raw: it means nothing without the embedder that made it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cosine(pub f32);

/// Identity retention, 0 to 1: a cosine read through a calibration.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Idr(pub f32);

/// How good a frame is, in a word. It labels frames; only the gate decides, and on the clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// IDR below 0.70.
    NeedsWork,
    /// IDR from 0.70.
    Good,
    /// IDR from 0.85: as alike as two real pictures of the character.
    Excellent,
}

impl Idr {
    /// The band that it falls into.
    #[must_use]
    pub fn band(self) -> Band {
        if self.0 >= 0.85 {
            Band::Excellent
        } else if self.0 >= 0.70 {
            Band::Good
        } else {
            Band::NeedsWork
        }
    }
}

impl std::fmt::Display for Band {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NeedsWork => "needs work",
            Self::Good => "good",
            Self::Excellent => "excellent",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_whole_frames() {
        assert_eq!(Fps::FILM.frames_in(2.5), Frames(60));
        assert_eq!("30000/1001".parse::<Fps>().map(|f| f.frames_in(1.0)), Ok(Frames(30)));
        assert!("0".parse::<Fps>().is_err());
    }

    #[test]
    fn bands_begin_at_085_and_070() {
        let bands = [0.85, 0.8499, 0.70, 0.6999, f32::NAN].map(|idr| Idr(idr).band());
        assert_eq!(bands, [Band::Excellent, Band::Good, Band::Good, Band::NeedsWork, Band::NeedsWork]);
        assert_eq!(Band::NeedsWork.to_string(), "needs work");
    }

    #[test]
    fn every_take_of_every_shot_has_its_own_seed() {
        let project = Seed(7);
        assert_eq!(project.derive("1-2", 1), project.derive("1-2", 1));
        assert_ne!(project.derive("1-2", 1), project.derive("1-2", 2));
        assert_ne!(project.derive("1-2", 1), project.derive("1-3", 1));
        assert!(project.derive("1-2", 1).0 < 1 << 53);
    }
}
