//! What to try after a take that was not accepted.

use greenroom_domain::{Decision, Verdict};

/// The next thing to try with a shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Another take with a new seed.
    NewSeed,
}

/// Chooses the remedy after `takes` verdicts of one shot, oldest first; none if the last one was accepted or the project
/// allows no more takes. One take and at most three rounds after it, whatever the settings say.
#[must_use]
pub fn retry(takes: &[&Verdict], retries: u32) -> Option<Remedy> {
    let last = takes.last()?;
    let left = retries.min(MAX_ROUNDS) as usize + 1 > takes.len();
    match last.decision {
        Decision::Accept => None,
        Decision::Reject { .. } | Decision::Unscored { .. } => left.then_some(Remedy::NewSeed),
    }
}

/// Rounds after the first take: beyond three, takes cost more than they bring.
const MAX_ROUNDS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{accepted, rejected, unscored};

    #[test]
    fn a_rejected_take_is_tried_again_and_an_accepted_one_is_not() {
        assert_eq!(retry(&[&rejected(0.2)], 3), Some(Remedy::NewSeed));
        assert_eq!(retry(&[&unscored()], 3), Some(Remedy::NewSeed));
        assert_eq!(retry(&[&rejected(0.2), &accepted(0.9)], 3), None);
    }

    #[test]
    fn nobody_gets_more_than_three_rounds() {
        let no = rejected(0.2);
        assert_eq!(retry(&[&no; 3], 9), Some(Remedy::NewSeed));
        assert_eq!(retry(&[&no; 4], 9), None);
        assert_eq!(retry(&[&no; 1], 0), None);
    }
}
