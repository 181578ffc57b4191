//! Finds a pack's phrases in prose: case-insensitive, whole words, the longest phrase first, then the nearest.

use greenroom_domain::{Slot, SlotScope, Vocabulary};
use std::collections::{BTreeMap, HashMap};

use crate::prose::{self, Word};

/// How many words may stand between a match and the word that anchors it.
const REACH: usize = 3;

/// A vocabulary whose phrases are split into words.
pub(crate) struct Lexicon<'a> {
    slots: BTreeMap<&'a str, Entry<'a>>,
}

struct Entry<'a> {
    slot: &'a Slot,
    /// First word → (all words, the model's word), the longest first.
    phrases: HashMap<String, Vec<(Vec<String>, &'a str)>>,
    near: Vec<Vec<String>>,
    /// Anchors of other slots that this one does not share: a match before one of them belongs there.
    foreign: Vec<Vec<String>>,
}

/// Which of several equally long matches wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The first in the text.
    Earliest,
    /// The last: `CITY LIBRARY` is a library.
    Latest,
    /// Only what ends the text, for a slot without anchors: in `old coat`, `old` is not the wearer's age.
    Head,
}

impl<'a> Lexicon<'a> {
    pub(crate) fn new(vocabulary: &'a Vocabulary) -> Self {
        let anchors: Vec<Vec<String>> =
            vocabulary.slots.values().flat_map(|slot| slot.near.iter().map(|n| lower(n))).collect();
        let entry = |slot: &'a Slot| {
            let mut phrases: HashMap<String, Vec<(Vec<String>, &'a str)>> = HashMap::new();
            for (word, others) in &slot.words {
                for phrase in std::iter::once(word).chain(others) {
                    let words = lower(phrase);
                    if let Some(first) = words.first() {
                        phrases.entry(first.clone()).or_default().push((words, word));
                    }
                }
            }
            phrases.values_mut().for_each(|list| list.sort_by_key(|(words, _)| std::cmp::Reverse(words.len())));
            let near: Vec<Vec<String>> = slot.near.iter().map(|n| lower(n)).collect();
            let foreign = anchors.iter().filter(|a| !near.contains(a)).cloned().collect();
            Entry { slot, phrases, near, foreign }
        };
        Self { slots: vocabulary.slots.iter().map(|(name, slot)| (name.as_str(), entry(slot))).collect() }
    }

    pub(crate) fn scope(&self, slot: &str) -> Option<SlotScope> {
        self.slots.get(slot).map(|e| e.slot.scope)
    }

    pub(crate) fn default_of(&self, slot: &str) -> Option<&'a str> {
        self.slots.get(slot).and_then(|e| e.slot.default.as_deref())
    }

    /// The model's word that a text means for a slot.
    pub(crate) fn find(&self, slot: &str, text: &[Word], choice: Choice) -> Option<&'a str> {
        self.slots.get(slot)?.find(text, choice)
    }
}

impl<'a> Entry<'a> {
    fn find(&self, text: &[Word], choice: Choice) -> Option<&'a str> {
        let mut best: Option<((usize, usize, usize), &'a str)> = None;
        for (at, word) in text.iter().enumerate() {
            for (phrase, meaning) in self.phrases.get(&word.lower).into_iter().flatten() {
                if !stands_at(text, at, phrase) {
                    continue;
                }
                let end = at + phrase.len();
                let Some(distance) = self.distance(text, at, end, choice) else { continue };
                // Smaller is better: first the anchor's distance where there is one, then length, then position.
                let position = if choice == Choice::Latest { text.len() - at } else { at };
                let rank = if self.near.is_empty() {
                    (usize::MAX - phrase.len(), 0, position)
                } else {
                    (distance, usize::MAX - phrase.len(), position)
                };
                if best.as_ref().is_none_or(|(held, _)| rank < *held) {
                    best = Some((rank, meaning));
                }
            }
        }
        best.map(|(_, meaning)| meaning)
    }

    /// Words between a match that ends before `end` and its anchor; none where it has no anchor in reach.
    fn distance(&self, text: &[Word], at: usize, end: usize, choice: Choice) -> Option<usize> {
        if self.near.is_empty() {
            return (choice != Choice::Head || end == text.len()).then_some(0);
        }
        // `black-haired` as one phrase holds its own anchor.
        if (at..end).any(|i| self.near.iter().any(|n| stands_at(text, i, n))) {
            return Some(0);
        }
        for i in end..text.len().min(end + REACH) {
            if text[i].after_stop {
                return None;
            }
            if self.near.iter().any(|n| stands_at(text, i, n)) {
                return Some(i - end);
            }
            if self.foreign.iter().any(|n| stands_at(text, i, n)) {
                return None;
            }
        }
        None
    }
}

fn stands_at(text: &[Word], at: usize, phrase: &[String]) -> bool {
    text.get(at..at + phrase.len()).is_some_and(|words| words.iter().zip(phrase).all(|(w, p)| w.lower == *p))
}

fn lower(text: &str) -> Vec<String> {
    prose::words(text).into_iter().map(|w| w.lower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(near: &[&str], words: &[(&str, &[&str])]) -> Slot {
        let words = words.iter().map(|(w, p)| ((*w).to_owned(), p.iter().map(|p| (*p).to_owned()).collect()));
        Slot {
            scope: SlotScope::Character,
            default: None,
            near: near.iter().map(|n| (*n).to_owned()).collect(),
            words: words.collect(),
        }
    }

    fn vocabulary() -> Vocabulary {
        let slots = [
            ("hair", slot(&["hair", "haired", "bob"], &[("black", &["raven"]), ("brown", &["dark brown"])])),
            ("eyes", slot(&["eyes"], &[("black", &[]), ("brown", &["dark brown"]), ("green", &[])])),
            ("age", slot(&[], &[("old", &["elderly"]), ("adult", &["thirties", "late thirties"])])),
            ("garment", slot(&[], &[("coat", &["lab coat"]), ("hoodie", &[])])),
        ];
        let slots = slots.into_iter().map(|(n, s)| (n.to_owned(), s)).collect();
        Vocabulary { parts: Vec::new(), separator: ", ".into(), group: None, slots }
    }

    #[test]
    fn a_colour_belongs_to_the_nearest_thing_it_stands_before() {
        let (vocabulary, text) =
            (vocabulary(), prose::words("green eyes, long raven hair, black boots, Dark brown eyes"));
        let lexicon = Lexicon::new(&vocabulary);
        assert_eq!(lexicon.find("hair", &text, Choice::Earliest), Some("black"));
        assert_eq!(lexicon.find("eyes", &text, Choice::Earliest), Some("brown"));
        let bare = prose::words("Her black boots. Hair wet, green with algae");
        assert_eq!(lexicon.find("hair", &bare, Choice::Earliest), None);
    }

    #[test]
    fn whole_words_count_and_longer_phrases_win() {
        let vocabulary = vocabulary();
        let lexicon = Lexicon::new(&vocabulary);
        let find = |slot, text, choice| lexicon.find(slot, &prose::words(text), choice);
        assert_eq!(find("age", "a woman in her late thirties, older sister", Choice::Earliest), Some("adult"));
        assert_eq!(find("age", "golden", Choice::Earliest), None);
        assert_eq!(find("age", "an old coat", Choice::Head), None);
        assert_eq!(find("garment", "an old lab coat", Choice::Head), Some("coat"));
    }
}
