//! In which order pictures are seen: every epoch each bucket is shuffled and cut into batches, and the batches are shuffled.

use super::Draw;
use crate::dataset::{Buckets, Dataset, Example};

/// Batches of the character's pictures, all epochs one after another.
pub(super) struct Order {
    seed: u64,
    /// Rows of a batch, over all trainers.
    rows: usize,
    buckets: Vec<((usize, usize), usize)>,
}

impl Order {
    pub(super) fn new(dataset: &Dataset, seed: u64, rows: usize) -> Self {
        let buckets = dataset.character.iter().filter(|(_, examples)| !examples.is_empty());
        Self { seed, rows, buckets: buckets.map(|(shape, examples)| (*shape, examples.len())).collect() }
    }

    /// Batches of an epoch.
    pub(super) fn batches(&self) -> usize {
        self.buckets.iter().map(|(_, count)| count.div_ceil(self.rows)).sum()
    }

    /// The batch of a number since the training began: its bucket, and places in it. A bucket's last batch is filled up from
    /// its beginning.
    pub(super) fn batch(&self, number: usize) -> ((usize, usize), Vec<usize>) {
        let (epoch, at) = (number / self.batches(), number % self.batches());
        let mut draw = Draw::new(self.seed, Draw::ORDER, epoch as u64);
        let mut batches = Vec::with_capacity(self.batches());
        for (shape, count) in &self.buckets {
            let shuffled = draw.shuffled(*count);
            for first in (0..*count).step_by(self.rows) {
                let places = (first..first + self.rows).map(|i| shuffled[i % count]).collect();
                batches.push((*shape, places));
            }
        }
        let place = draw.shuffled(batches.len())[at];
        batches.swap_remove(place)
    }
}

/// As many pictures of the class as a batch has rows, of its shape where there are any, else of another one.
pub(super) fn of_class<'d>(
    class: &'d Buckets,
    shape: (usize, usize),
    draw: &mut Draw,
    rows: usize,
) -> Vec<&'d Example> {
    let Some(examples) = class.get(&shape).or_else(|| class.values().find(|e| !e.is_empty())) else {
        return Vec::new();
    };
    (0..rows).map(|_| &examples[draw.below(examples.len())]).collect()
}

#[cfg(test)]
mod tests {
    use super::Order;
    use std::collections::BTreeSet;

    #[test]
    fn every_picture_is_seen_in_every_epoch_and_batches_are_of_one_shape() {
        let order = Order { seed: 1, rows: 2, buckets: vec![((8, 8), 5), ((8, 16), 2)] };
        assert_eq!(order.batches(), 4);
        for epoch in 0..3 {
            let batches: Vec<_> = (epoch * 4..epoch * 4 + 4).map(|n| order.batch(n)).collect();
            let seen: BTreeSet<_> =
                batches.iter().flat_map(|(shape, places)| places.iter().map(|p| (*shape, *p))).collect();
            assert_eq!(seen.len(), 7);
            assert!(batches.iter().all(|(_, places)| places.len() == 2));
        }
        assert_ne!(
            (0..4).map(|n| order.batch(n)).collect::<Vec<_>>(),
            (4..8).map(|n| order.batch(n)).collect::<Vec<_>>()
        );
    }
}
