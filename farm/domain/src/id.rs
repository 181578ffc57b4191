//! Ids: every noun has its own type. UUIDv7, shown with a prefix; equal prefixes never meet in one field.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;
use uuid::Uuid;

use crate::Timestamp;

/// Ten random bytes for one new id. The caller draws them; this crate has no randomness of its own.
pub type Entropy = [u8; 10];

/// A string that is not an id of the expected kind.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not a {noun} id (expected {prefix}_ followed by a UUID)")]
pub struct ParseIdError {
    text: String,
    noun: &'static str,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $noun:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: time-ordered, unique by the given entropy.
            #[must_use]
            pub fn new(now: Timestamp, entropy: Entropy) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now.as_millis().max(0).unsigned_abs(), &entropy).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or_else(|| ParseIdError { text: text.to_owned(), noun: $noun, prefix: $prefix })
            }
        }

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

ids! {
    /// One production: settings, cast, jobs.
    ProjectId = "proj", "project";
    /// A persistent actor of a project.
    CharacterId = "char", "character";
    /// What was asked in one push.
    JobId = "job", "job";
    /// One node of the graph that a job compiles to.
    TaskId = "task", "task";
    /// A worker process as the daemon knows it, from attach to detach.
    WorkerId = "work", "worker";
    /// A person who calls the farm.
    UserId = "user", "user";
    /// A secret that was given out.
    TokenId = "tok", "token";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_own_text() {
        let id = JobId::new(Timestamp::from_millis(1_795_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse::<JobId>(), Ok(id));
        assert!(id.to_string().starts_with("job_01a1"));
    }

    #[test]
    fn an_id_of_another_noun_is_refused() {
        let id = TaskId::new(Timestamp::from_millis(1), [7; 10]);
        let error = id.to_string().parse::<JobId>().unwrap_err();
        assert!(error.to_string().contains("is not a job id (expected job_ followed by a UUID)"));
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let early = JobId::new(Timestamp::from_millis(1_000), [255; 10]);
        let late = JobId::new(Timestamp::from_millis(1_001), [0; 10]);
        assert!(early < late);
    }
}
