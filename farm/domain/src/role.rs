//! What somebody may do.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a person may do in a project, from least to most: who has one role has those below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything, pulls what was made.
    Viewer,
    /// Makes characters, pushes scripts, trains LoRAs, stops jobs.
    Artist,
    /// Decides for the production: which LoRA is in force, who is forgotten.
    Supervisor,
    /// Everything in every project, and the farm itself: projects, users, tokens, the audit log.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Artist, Self::Supervisor, Self::Admin];

    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Artist => "artist",
            Self::Supervisor => "supervisor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|role| role.name() == text);
        known.ok_or_else(|| format!("`{text}` is no role; there are viewer, artist, supervisor and admin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_role_has_those_below_it() {
        assert!(Role::ALL.is_sorted());
        assert!(Role::Supervisor >= Role::Artist && Role::Viewer < Role::Artist);
        assert!(Role::ALL.iter().all(|role| role.name().parse() == Ok(*role)));
        assert_eq!(
            "boss".parse::<Role>(),
            Err("`boss` is no role; there are viewer, artist, supervisor and admin".to_owned())
        );
    }
}
