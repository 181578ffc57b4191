//! What is known of a shot's takes, and which of them is the best.

use greenroom_domain::{Digest, ShotKey, Spec, Task, TaskKind, TaskOutput, Verdict};

/// A take that was looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Take<'a> {
    /// 1 for the first.
    pub number: u32,
    /// What made it.
    pub made: Made,
    /// The take (Matroska).
    pub video: Digest,
    /// What the gate said of it.
    pub verdict: &'a Verdict,
}

/// What made a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Generated, from a seed of its own.
    Generated,
    /// A repair of an earlier take.
    Repaired {
        /// That take's number.
        of: u32,
    },
}

/// A shot's takes that were looked at, oldest first.
#[must_use]
pub fn takes(tasks: &[Task], shot: ShotKey) -> Vec<Take<'_>> {
    let of_shot = || tasks.iter().filter(|t| t.shot == Some(shot));
    let made = |take: u32| {
        let repair = of_shot().find(|t| t.kind == TaskKind::Repair && t.take == Some(take));
        match repair.and_then(|t| t.spec.as_ref()) {
            Some(Spec::Repair(spec)) => Made::Repaired { of: spec.of },
            _ => Made::Generated,
        }
    };
    let seen = of_shot().filter_map(|t| match (t.output(), &t.spec, t.take) {
        (Some(TaskOutput::Verdict { verdict, .. }), Some(Spec::Validate(spec)), Some(number)) => {
            Some(Take { number, made: made(number), video: spec.take, verdict })
        }
        _ => None,
    });
    let mut takes: Vec<_> = seen.collect();
    takes.sort_by_key(|take| take.number);
    takes
}

/// The take that goes into the episode: the accepted one, else of those that [count](counts) the one that came
/// [nearest](nearness); of equals the earliest.
#[must_use]
pub fn best_take<'a>(takes: &[Take<'a>], seed_noise: f32) -> Option<Take<'a>> {
    let rank = |take: &Take<'_>| (take.verdict.decision.is_accept(), nearness(take.verdict));
    takes.iter().filter(|take| counts(take, takes, seed_noise)).copied().reduce(|best, next| {
        let (a, b) = (rank(&best), rank(&next));
        if b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).is_gt() { next } else { best }
    })
}

/// Whether a take may stand for its shot. A repair that was not accepted does only if it raised the nearness of the take that it
/// repaired by more than twice `seed_noise`, which is what chance alone may do: else a take whose faces were touched for
/// nothing would go in.
#[must_use]
pub fn counts(take: &Take<'_>, takes: &[Take<'_>], seed_noise: f32) -> bool {
    match take.made {
        Made::Generated => true,
        Made::Repaired { .. } if take.verdict.decision.is_accept() => true,
        Made::Repaired { of } => {
            let parent = takes.iter().find(|parent| parent.number == of);
            parent.is_none_or(|parent| nearness(take.verdict) - nearness(parent.verdict) > 2.0 * seed_noise)
        }
    }
}

/// How near a take came to its gate: the mean p10 IDR of the expected characters, a face that was not found counting as −1.
#[must_use]
pub fn nearness(verdict: &Verdict) -> f32 {
    let p10: Vec<f32> =
        verdict.characters.iter().filter(|c| c.expected).map(|c| c.p10.map_or(-1.0, |idr| idr.0)).collect();
    p10.iter().sum::<f32>() / p10.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{accepted, rejected, unscored};

    const NOISE: f32 = 0.05;

    fn best(verdicts: &[(&Verdict, Made)]) -> u32 {
        let take = |(&(verdict, made), number)| Take { number, made, video: Digest::of(b"v"), verdict };
        best_take(&verdicts.iter().zip(1..).map(take).collect::<Vec<_>>(), NOISE).unwrap().number
    }

    #[test]
    fn a_repair_replaces_its_take_only_if_it_rose_by_more_than_chance() {
        let (gen_, repair) = (Made::Generated, Made::Repaired { of: 1 });
        assert_eq!(best(&[(&rejected(0.5), gen_), (&rejected(0.59), repair)]), 1);
        assert_eq!(best(&[(&rejected(0.5), gen_), (&rejected(0.61), repair)]), 2);
        assert_eq!(best(&[(&rejected(0.74), gen_), (&accepted(0.76), repair)]), 2);
        assert_eq!(best(&[(&rejected(0.5), gen_), (&unscored(), repair)]), 1);
    }

    #[test]
    fn of_equal_takes_the_earliest_is_the_best() {
        let gen_ = Made::Generated;
        assert_eq!(best(&[(&rejected(0.5), gen_), (&rejected(0.5), gen_), (&unscored(), gen_)]), 1);
        assert_eq!(best(&[(&unscored(), gen_), (&rejected(0.5), gen_), (&rejected(0.51), gen_)]), 3);
    }
}
