//! Spans and moments as people write them: `15m`, `2027-03-31T22:00:00Z`.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

use crate::Timestamp;

/// A length of time that people write: `90s`, `15m`, `1h 30m`. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// A moment that people write, in RFC 3339 with its offset: `2027-03-31T22:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", jiff::SignedDuration::try_from(self.0).unwrap_or(jiff::SignedDuration::MAX))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no length of time (write 90s, 15m or 1h 30m)");
        let span: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
        Ok(Self(span.try_into().map_err(|_| bad())?))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        jiff::Timestamp::from_millisecond(self.0.as_millis()).unwrap_or_default().fmt(f)
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let moment: jiff::Timestamp =
            text.parse().map_err(|_| format!("`{text}` is no moment (write 2027-03-31T22:00:00Z)"))?;
        Ok(Self(Timestamp::from_millis(moment.as_millisecond())))
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text! { Span Moment }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_as_it_is_written_and_is_never_negative() {
        let span: Span = "1h 30m".parse().unwrap();
        assert_eq!(span.duration(), Duration::from_secs(5400));
        assert_eq!(span.to_string().parse(), Ok(span));
        assert_eq!("-3s".parse::<Span>(), Err("`-3s` is no length of time (write 90s, 15m or 1h 30m)".into()));
    }

    #[test]
    fn a_moment_keeps_its_instant_whatever_its_offset() {
        let there: Moment = "2027-03-31T22:00:00+02:00".parse().unwrap();
        assert_eq!(there.to_string(), "2027-03-31T20:00:00Z");
        assert!("tomorrow".parse::<Moment>().is_err());
    }
}
