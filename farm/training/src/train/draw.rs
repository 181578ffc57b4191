//! Chance: every draw has a stream of its own, named by what it is for and its number, so nothing has to be remembered.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rand_distr::{Distribution, StandardNormal};

/// One stream of chance.
pub(super) struct Draw(ChaCha20Rng);

impl Draw {
    /// First values of layers, by their number.
    pub(super) const START: u64 = 1;
    /// Orders of epochs, by their number.
    pub(super) const ORDER: u64 = 2;
    /// Noise, time and drop of a row, by its number since the training began.
    pub(super) const ROW: u64 = 3;
    /// The same for rows of the class.
    pub(super) const CLASS: u64 = 4;

    pub(super) fn new(seed: u64, purpose: u64, number: u64) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        // Purposes lie so far apart that no training's numbers reach from one to the next.
        random.set_stream((purpose << 56) | number);
        Self(random)
    }

    /// From −bound to bound.
    pub(super) fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| self.0.random_range(-bound..bound)).collect()
    }

    /// Standard normal.
    pub(super) fn normal(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| StandardNormal.sample(&mut self.0)).collect()
    }

    /// From 0 to below the bound.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// A permutation of the first numbers.
    pub(super) fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}
