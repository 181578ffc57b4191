//! What to try after a take that was not accepted.

use crate::{Made, Take, takes::nearness};

/// The next thing to try with a shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// What is wrong in an earlier take made anew: its faces, figures that are too many.
    Repair {
        /// That take's number.
        of: u32,
    },
    /// Another take with a new seed.
    NewSeed,
}

/// Chooses the remedy after the verdicts of one shot's takes, oldest first; none if the last one was accepted or the project
/// allows no more takes. One take and at most three rounds after it, whatever the settings say; a repair is a round.
///
/// The nearest take that [can be repaired](greenroom_domain::Verdict::mendable) is, each generated take once: it costs less than
/// a new take and brings more. Where there is none left, because no face was there, or the face was not what was wrong, a new
/// seed.
#[must_use]
pub fn retry(takes: &[Take<'_>], retries: u32) -> Option<Remedy> {
    let left = retries.min(MAX_ROUNDS) as usize + 1 > takes.len();
    if !left || takes.last()?.verdict.decision.is_accept() {
        return None;
    }
    let was_repaired = |number| takes.iter().any(|take| take.made == Made::Repaired { of: number });
    let fresh = takes.iter().filter(|take| take.made == Made::Generated && !was_repaired(take.number));
    let nearest = fresh
        .filter(|take| !take.verdict.mendable().is_empty())
        .max_by(|a, b| nearness(a.verdict).total_cmp(&nearness(b.verdict)));
    Some(nearest.map_or(Remedy::NewSeed, |take| Remedy::Repair { of: take.number }))
}

/// Rounds after the first take: beyond three, takes cost more than they bring.
const MAX_ROUNDS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{accepted, doubled, faceless, rejected, unscored};
    use greenroom_domain::{Digest, Verdict};

    fn after(verdicts: &[(&Verdict, Made)], retries: u32) -> Option<Remedy> {
        let take = |(&(verdict, made), number)| Take { number, made, video: Digest::of(b"v"), verdict };
        retry(&verdicts.iter().zip(1..).map(take).collect::<Vec<_>>(), retries)
    }

    const NEW: Made = Made::Generated;
    const REPAIR: Option<Remedy> = Some(Remedy::Repair { of: 1 });
    const SEED: Option<Remedy> = Some(Remedy::NewSeed);

    #[test]
    fn a_wrong_face_is_repaired_once_and_then_a_new_seed_is_tried() {
        let (no, mended) = (rejected(0.2), Made::Repaired { of: 1 });
        assert_eq!(after(&[(&no, NEW)], 3), REPAIR);
        assert_eq!(after(&[(&no, NEW), (&no, mended)], 3), SEED);
        assert_eq!(after(&[(&no, NEW), (&no, mended), (&no, NEW)], 3), Some(Remedy::Repair { of: 3 }));
        assert_eq!(after(&[(&no, NEW), (&accepted(0.9), mended)], 3), None);
    }

    #[test]
    fn nobody_gets_more_than_three_rounds_and_a_repair_is_one() {
        let (no, mended) = (rejected(0.2), Made::Repaired { of: 1 });
        assert_eq!(after(&[(&no, NEW), (&no, mended), (&no, NEW), (&no, Made::Repaired { of: 3 })], 9), None);
        assert_eq!(after(&[(&no, NEW)], 0), None);
    }

    #[test]
    fn a_double_can_be_painted_away() {
        assert_eq!(after(&[(&doubled(), NEW)], 3), REPAIR);
    }

    #[test]
    fn without_a_face_there_is_nothing_to_repair() {
        assert_eq!(after(&[(&unscored(), NEW)], 3), SEED);
        assert_eq!(after(&[(&faceless(0.5), NEW)], 3), SEED, "a verdict of before, which does not say where");
    }
}
