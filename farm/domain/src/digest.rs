//! Artifacts are named by the SHA-256 of their bytes, and by nothing else.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The SHA-256 of an artifact's bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A string that is not 64 hexadecimal digits.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a SHA-256 digest (64 hexadecimal digits)")]
pub struct ParseDigestError(String);

impl Digest {
    /// The digest of bytes that are in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a value's JSON. Struct fields keep their order and maps are sorted, so equal values have equal digests.
    ///
    /// # Panics
    /// If the value cannot be written as JSON (a map with keys that are not strings).
    #[must_use]
    pub fn of_json<T: Serialize>(value: &T) -> Self {
        Self::of(&serde_json::to_vec(value).expect("domain values have JSON forms"))
    }

    /// Wraps 32 bytes that a hasher has produced.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Every digest that a text names, with the position of its first digit. Runs of other lengths than 64 are no digests.
    pub fn named_in(text: &str) -> impl Iterator<Item = (usize, Self)> {
        let bytes = text.as_bytes();
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
                let start = at + bytes[at..].iter().position(is_digit)?;
                let length = bytes[start..].iter().position(|b| !is_digit(b)).unwrap_or(bytes.len() - start);
                at = start + length;
                if length == DIGITS
                    && let Ok(digest) = text[start..at].parse()
                {
                    return Some((start, digest));
                }
            }
        })
    }

    /// The same text with other digests in the place of those that have one.
    pub fn renamed_in(text: &str, other: impl Fn(Self) -> Option<Self>) -> String {
        let (mut renamed, mut end) = (String::with_capacity(text.len()), 0);
        for (start, digest) in Self::named_in(text) {
            if let Some(other) = other(digest) {
                renamed.push_str(&text[end..start]);
                renamed.push_str(&other.to_string());
                end = start + DIGITS;
            }
        }
        renamed.push_str(&text[end..]);
        renamed
    }
}

/// Hexadecimal digits of a digest.
const DIGITS: usize = 64;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseDigestError(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_that_sha256sum_prints() {
        assert_eq!(Digest::of(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn digests_are_found_in_a_text_and_renamed() {
        let [a, b] = [b"a", b"b"].map(|bytes| Digest::of(bytes));
        let text = format!("{{\"seed\":12,\"one\":\"{a}\",\"long\":\"{a}0\",\"id\":\"task_01ab\",\"two\":\"{b}\"}}");
        let found: Vec<_> = Digest::named_in(&text).map(|(_, digest)| digest).collect();
        assert_eq!(found, [a, b]);
        let renamed = Digest::renamed_in(&text, |digest| (digest == a).then_some(b));
        assert_eq!(renamed, text.replace(&format!("\"{a}\""), &format!("\"{b}\"")));
    }

    #[test]
    fn a_short_text_is_refused() {
        assert_eq!("ba78".parse::<Digest>(), Err(ParseDigestError("ba78".into())));
    }
}
