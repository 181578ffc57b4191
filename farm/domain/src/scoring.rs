//! Which frames of a take are looked at, and which faces may speak for a character.

use serde::{Deserialize, Serialize};

/// How takes are scored with a pack; what is left out is the default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scoring {
    /// Frames looked at for each second of a take, its first, its last and those at cuts aside.
    pub samples_per_second: u32,
    /// Frames looked at in a take of any length, those at cuts aside.
    pub most_samples: u32,
    /// An expected face must be scored in at least this share of the sampled frames, 0 to 1. A character may turn away or
    /// enter late, but a score of the smaller part of a take says nothing of the rest.
    pub coverage: f32,
    /// A face whose head turn (−1 to 1) is larger than this, either way, is a profile. It is compared only with references
    /// that are profiles of the same side.
    pub turned: f32,
    /// A face that the detector is less sure of, 0 to 1, is covered or spoilt. It is compared only with references that
    /// are so too.
    pub clear: f32,
}

impl Default for Scoring {
    /// Turned: 45° on a face whose nose stands 0.8 half eye distances before its eyes.
    fn default() -> Self {
        Self { samples_per_second: 4, most_samples: 96, coverage: 0.5, turned: 0.8, clear: 0.65 }
    }
}

impl Scoring {
    /// Whether nothing differs: what is left out of a file need not be written into it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let shares = [("coverage", self.coverage), ("turned", self.turned), ("clear", self.clear)];
        let outside = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value));
        match outside {
            Some((name, _)) => Some(format!("identity.scoring.{name} must be from 0 to 1")),
            None => (self.most_samples < 2).then(|| "identity.scoring.most_samples must be 2 or more".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_above_one_is_named() {
        assert_eq!(Scoring::default().fault(), None);
        let fault = Scoring { coverage: 1.5, ..Scoring::default() }.fault();
        assert_eq!(fault.as_deref(), Some("identity.scoring.coverage must be from 0 to 1"));
        assert!(Scoring { clear: f32::NAN, ..Scoring::default() }.fault().is_some());
    }
}
