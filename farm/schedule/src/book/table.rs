//! Small numbers for values that many things share, so that tasks name what they need in four bytes.

use std::collections::BTreeMap;

/// Values by number, in the order in which they were first seen. Nothing leaves it: what tasks need and workers hold repeats.
#[derive(Clone, Debug)]
pub(crate) struct Table<T> {
    values: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Table<T> {
    /// The value's number, a new one where it is new.
    pub(crate) fn number(&mut self, value: &T) -> u32 {
        if let Some(&number) = self.numbers.get(value) {
            return number;
        }
        let number = self.values.len() as u32;
        self.values.push(value.clone());
        self.numbers.insert(value.clone(), number);
        number
    }

    /// The value of a number that this table gave.
    pub(crate) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }
}
