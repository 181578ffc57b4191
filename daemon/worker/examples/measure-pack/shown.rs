//! How often the classifier reads what is true.

use greenroom_identity::Attributes;
use std::collections::BTreeMap;

use crate::{say, statistics::mean, truth::Shows};

/// Right and all answers, by attribute.
#[derive(Default)]
pub(crate) struct Answers(BTreeMap<String, (usize, usize)>);

impl Answers {
    /// Counts one attribute of a face; no face is a wrong answer. What has no truth does not count.
    pub(crate) fn count(&mut self, attribute: &str, read: Option<&Attributes>, truth: Shows<'_>) {
        if let Some(label) = truth.label(attribute) {
            let (right, all) = self.0.entry(attribute.to_owned()).or_default();
            *all += 1;
            *right += usize::from(read.and_then(|read| read.label(attribute)) == Some(label));
        }
    }

    /// Prints the mean of the attributes' shares as `figure`, and each as `figure_attribute`.
    pub(crate) fn say(&self, figure: &str) {
        let shares = self.0.iter().map(|(name, &(right, all))| (name, right as f64 / all as f64));
        let shares: Vec<_> = shares.collect();
        say(figure, mean(&shares.iter().map(|(_, share)| *share).collect::<Vec<_>>()), "1");
        for (name, share) in shares {
            say(&format!("{figure}_{name}"), Some(share), "1");
        }
    }
}
