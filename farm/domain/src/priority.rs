//! How urgent a job is.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How urgent a job is, -10 to 10; 0 unless asked otherwise. A higher one goes first; what waits long rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Priority(i8);

impl Priority {
    /// The highest; the lowest is its negative.
    pub const HIGHEST: i8 = 10;

    /// Unless asked otherwise.
    pub const NORMAL: Self = Self(0);

    /// As a number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0 as i32
    }

    /// Whether it is what it is unless asked otherwise.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<i64> for Priority {
    type Error = String;

    fn try_from(n: i64) -> Result<Self, String> {
        let refuse = || format!("{n} is no priority (from -{0} to {0})", Self::HIGHEST);
        i8::try_from(n).ok().filter(|n| n.unsigned_abs() <= Self::HIGHEST.unsigned_abs()).map(Self).ok_or_else(refuse)
    }
}

impl From<Priority> for i64 {
    fn from(priority: Priority) -> Self {
        Self::from(priority.0)
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let n: i64 = text.parse().map_err(|_| format!("`{text}` is no whole number"))?;
        Self::try_from(n)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_priority_is_refused() {
        assert_eq!("11".parse::<Priority>(), Err("11 is no priority (from -10 to 10)".into()));
        assert_eq!("-10".parse::<Priority>().map(Priority::get), Ok(-10));
        assert!("high".parse::<Priority>().is_err());
    }
}
