//! Chance that can be repeated: each use has a stream of its own, so that one more draw here changes nothing there.

use greenroom_domain::Seed;
use std::time::Duration;

/// A stream of draws.
pub(super) struct Chance {
    seed: Seed,
    drawn: u32,
}

impl Chance {
    /// The stream of this name and number.
    pub(super) fn of(seed: u64, name: &str, number: u32) -> Self {
        Self { seed: Seed(seed).derive(name, number), drawn: 0 }
    }

    /// From 0 to below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.drawn += 1;
        self.seed.derive("draw", self.drawn).0 % n.max(1)
    }

    /// From the first to below the second.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    /// Milliseconds, as [`Self::between`].
    pub(super) fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }

    /// Whether something happens that does so many times in a hundred.
    pub(super) fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }

    /// One of them; none where there is none.
    pub(super) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(all.len() as u64) as usize;
        all.get(at)
    }
}
