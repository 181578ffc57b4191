//! Who is in a script: names, the cast that plays them, and whom a sentence is about.

use std::collections::HashMap;

use crate::Cast;
use crate::looks::{self, Sex};
use crate::prose::{self, Word};

/// One person of the script or of the cast.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    /// The cast's name for them, or else the script's.
    pub name: String,
    /// Has pictures.
    pub cast: bool,
    /// How they look: the cast folder's words, or else the script's at their first appearance.
    pub description: String,
    /// Named in the script.
    pub seen: bool,
    sex: Sex,
}

/// All of them, in the order of the cast and then of the script.
#[derive(Debug, Default)]
pub(crate) struct People {
    pub list: Vec<Person>,
    /// First word of a name → (all its words, who), the longest first.
    names: HashMap<String, Vec<(Vec<String>, usize)>>,
    /// Script name and cast name where they differ.
    pub aliases: Vec<(String, String)>,
}

impl People {
    pub(crate) fn of_cast(cast: &[Cast]) -> Self {
        let mut people = Self::default();
        for member in cast {
            let who = people.add(&member.name.to_uppercase(), true);
            people.list[who].description = member.description.trim().to_owned();
            people.list[who].sex = looks::sex(&member.description);
        }
        people
    }

    /// Who a cue names: several for `MARA AND TOBIN`. New names become new people.
    pub(crate) fn of_cue(&mut self, name: &str) -> Vec<usize> {
        if let Some(who) = self.find(name) {
            self.list[who].seen = true;
            return vec![who];
        }
        let parts: Vec<&str> =
            name.split(" AND ").flat_map(|n| n.split(['&', '/'])).map(str::trim).filter(|n| !n.is_empty()).collect();
        if parts.len() > 1 {
            return parts.into_iter().flat_map(|part| self.of_cue(part)).collect();
        }
        let who = self.played_by(name).unwrap_or_else(|| self.add(name, false));
        self.list[who].seen = true;
        vec![who]
    }

    /// Takes `VOSS (50s, grey suit)` and `VOSS, 50s, grey suit, …` at a first appearance as who they are.
    pub(crate) fn introduce(&mut self, sentence: &str) {
        let words = prose::words(sentence);
        let mut at = 0;
        while at < words.len() {
            let run =
                words[at..].iter().enumerate().take_while(|(i, w)| w.upper && (*i == 0 || !w.after_comma)).count();
            if run > 0 {
                let (start, end) = (words[at].start, words[at + run - 1].end);
                self.introduce_as(&sentence[start..end], sentence[end..].trim_start());
            }
            at += run.max(1);
        }
    }

    fn introduce_as(&mut self, name: &str, rest: &str) {
        let known = self.find(&name.to_uppercase());
        let looks = if let Some((inside, _)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            inside
        } else if let Some((listed, _)) = rest.strip_prefix(',').and_then(|r| r.rsplit_once(',')) {
            listed
        } else {
            return;
        };
        let age = looks.split(',').next().unwrap_or_default();
        let aged = prose::count(age) <= 3 && looks::decades(age) != age;
        let short = prose::count(looks) <= 14 && prose::sentences(looks).len() == 1;
        let Some(who) = known.or_else(|| (aged && short).then(|| self.of_cue(&name.to_uppercase())[0])) else { return };
        self.list[who].seen = true;
        if short && self.list[who].description.is_empty() {
            self.list[who].description = looks::decades(looks.trim());
        }
    }

    /// The people named in a text, in order, once each.
    pub(crate) fn named(&self, text: &[Word]) -> Vec<usize> {
        let mut out = Vec::new();
        for (_, who) in self.mentions(text) {
            if !out.contains(&who) {
                out.push(who);
            }
        }
        out
    }

    /// Whom a sentence is about: its first name that no preposition stands before, or whoever a pronoun points back to.
    /// `recent` lists who was named before, the latest last, and learns from this sentence.
    pub(crate) fn subject(&mut self, text: &[Word], recent: &mut Vec<usize>) -> Option<usize> {
        let mentions = self.mentions(text);
        let free = |at: usize| at == 0 || !BEFORE_OBJECTS.contains(&text[at - 1].lower.as_str());
        let name = mentions.iter().find(|&&(at, _)| free(at)).copied();
        let pronoun =
            text.iter().enumerate().find_map(|(i, w)| looks::pronoun(&w.lower).map(|(sex, subject)| (i, sex, subject)));
        let pointed = |sex| recent.iter().rev().copied().find(|&w| self.list[w].sex.may_be(sex));
        let found = match (name, pronoun) {
            (Some((at, _)), Some((i, sex, true))) if i < at && pointed(sex).is_some() => pointed(sex),
            (Some((_, who)), _) => Some(who),
            (None, Some((_, sex, _))) if pointed(sex).is_some() => pointed(sex),
            (None, _) => mentions.first().map(|&(_, who)| who),
        };
        if let (Some(who), Some((_, sex, true)), None) = (found, pronoun, name) {
            self.learn(who, sex);
        }
        recent.extend(mentions.iter().map(|&(_, who)| who));
        recent.extend(found);
        recent.drain(..recent.len().saturating_sub(8));
        found
    }

    /// A person nobody described still has a pronoun.
    fn learn(&mut self, who: usize, sex: Sex) {
        let person = &mut self.list[who];
        if person.sex == Sex::Unknown && sex != Sex::Unknown {
            person.sex = sex;
            if !person.cast {
                let word = if sex == Sex::Female { "woman" } else { "man" };
                let gap = if person.description.is_empty() { "" } else { ", " };
                person.description = format!("{word}{gap}{}", person.description);
            }
        }
    }

    fn mentions(&self, text: &[Word]) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let named = self.names.get(&text[at].lower).filter(|_| text[at].capital);
            let fits = |words: &[String]| {
                text.get(at..at + words.len()).is_some_and(|t| t.iter().zip(words).all(|(a, b)| a.lower == *b))
            };
            let hit = named.and_then(|list| list.iter().find(|(words, _)| fits(words)));
            if let Some((words, who)) = hit {
                out.push((at, *who));
                at += words.len();
            } else {
                at += 1;
            }
        }
        out
    }

    fn find(&self, name: &str) -> Option<usize> {
        let words = lower(name);
        self.names.get(words.first()?)?.iter().find(|(w, _)| *w == words).map(|&(_, who)| who)
    }

    /// `DR. TOBIN HALE` is played by the cast's `TOBIN`, and `MARA` by `MARA VOSS`.
    fn played_by(&mut self, name: &str) -> Option<usize> {
        let bare = without_title(lower(name));
        let fits = |person: &Person| {
            let cast = without_title(lower(&person.name));
            let (short, long) = if cast.len() < bare.len() { (&cast, &bare) } else { (&bare, &cast) };
            let possessive = name.contains("'S ") || name.contains("’S ");
            !short.is_empty() && !possessive && (long.starts_with(short) || long.ends_with(short) && !vague(long))
        };
        let mut candidates = self.list.iter().enumerate().filter(|(_, p)| p.cast && fits(p)).map(|(i, _)| i);
        let who = candidates.next().filter(|_| candidates.next().is_none())?;
        self.aliases.push((name.to_owned(), self.list[who].name.clone()));
        self.register(lower(name), who);
        Some(who)
    }

    fn add(&mut self, name: &str, cast: bool) -> usize {
        let who = self.list.len();
        self.list.push(Person { name: name.to_owned(), cast, ..Person::default() });
        let words = lower(name);
        self.register(words.clone(), who);
        // Prose says `Tobin` or `Hale` for DR. TOBIN HALE.
        let bare = without_title(words.clone());
        if !vague(&bare) && (bare.len() > 1 || bare.len() < words.len()) {
            for word in bare.iter().filter(|w| w.chars().any(char::is_alphabetic)) {
                if !self.names.contains_key(word) {
                    self.register(vec![word.clone()], who);
                }
            }
        }
        who
    }

    fn register(&mut self, words: Vec<String>, who: usize) {
        if let Some(first) = words.first() {
            let list = self.names.entry(first.clone()).or_default();
            if !list.iter().any(|(w, _)| *w == words) {
                list.push((words, who));
                list.sort_by_key(|(w, _)| std::cmp::Reverse(w.len()));
            }
        }
    }
}

const BEFORE_OBJECTS: [&str; 22] = [
    "behind", "beside", "to", "at", "with", "of", "from", "near", "toward", "towards", "past", "for", "by", "after",
    "before", "over", "into", "against", "under", "between", "like", "than",
];

const TITLES: [&str; 14] = [
    "dr",
    "doctor",
    "mr",
    "mrs",
    "ms",
    "miss",
    "prof",
    "professor",
    "captain",
    "capt",
    "detective",
    "officer",
    "sir",
    "agent",
];

/// A name that begins so names no one in particular: nobody says `Old` for OLD WOMAN.
fn vague(words: &[String]) -> bool {
    const VAGUE: [&str; 18] = [
        "old", "young", "little", "the", "a", "an", "first", "second", "third", "another", "tall", "big", "small",
        "man", "woman", "voice", "all", "other",
    ];
    words.first().is_some_and(|w| VAGUE.contains(&w.as_str())) || words.iter().any(|w| w.chars().all(char::is_numeric))
}

fn without_title(mut words: Vec<String>) -> Vec<String> {
    if words.len() > 1 && TITLES.contains(&words[0].as_str()) {
        words.remove(0);
    }
    words
}

fn lower(name: &str) -> Vec<String> {
    prose::words(name).into_iter().map(|w| if w.possessive { w.lower + "'s" } else { w.lower }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> People {
        let cast = [("MARA", "A young woman"), ("TOBIN", "An old man, grey beard")];
        People::of_cast(&cast.map(|(n, d)| Cast { name: n.into(), description: d.into() }))
    }

    #[test]
    fn a_sentence_is_about_its_first_free_name_or_its_pronoun() {
        let (mut people, mut recent) = (people(), Vec::new());
        let mut about = |text: &str| people.subject(&prose::words(text), &mut recent);
        assert_eq!(about("Behind Tobin, Mara lights a lamp."), Some(0));
        assert_eq!(about("He turns."), Some(1));
        assert_eq!(about("She sees Tobin smile."), Some(0));
        assert_eq!(about("Tobin's hands shake."), Some(1));
        assert_eq!(about("Rain falls."), None);
    }

    #[test]
    fn other_spellings_find_the_cast_and_strangers_do_not() {
        let mut people = people();
        assert_eq!(people.of_cue("DR. TOBIN HALE"), [1]);
        assert_eq!(people.of_cue("MARA AND TOBIN"), [0, 1]);
        assert_eq!(people.of_cue("MARA'S MOTHER"), [2]);
        assert_eq!(people.of_cue("GUARD #1"), [3]);
        assert!(people.list[3].seen && !people.list[3].cast);
    }

    #[test]
    fn the_script_may_say_how_a_stranger_looks() {
        let mut people = people();
        people.introduce("INSPECTOR VOSS (52, bald, square glasses) waits.");
        people.introduce("MARA (30s, red hair) waves. A BANG (loud) echoes.");
        assert_eq!(people.list.len(), 3);
        assert_eq!(people.list[2].description, "fifties, bald, square glasses");
        assert_eq!(people.list[0].description, "A young woman");
    }
}
