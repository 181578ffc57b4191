//! What a description or a pronoun says about a person.

use crate::prose;

/// Whom a pronoun may point to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sex {
    #[default]
    Unknown,
    Female,
    Male,
}

impl Sex {
    /// Whether a person of this sex may be meant by a pronoun of that one.
    pub(crate) fn may_be(self, pronoun: Self) -> bool {
        self == Self::Unknown || pronoun == Self::Unknown || self == pronoun
    }
}

/// (whose pronoun, whether it is a subject).
pub(crate) fn pronoun(word: &str) -> Option<(Sex, bool)> {
    Some(match word {
        "she" => (Sex::Female, true),
        "he" => (Sex::Male, true),
        "they" => (Sex::Unknown, true),
        "her" | "hers" | "herself" => (Sex::Female, false),
        "his" | "him" | "himself" => (Sex::Male, false),
        _ => return None,
    })
}

/// The sex that a description names first.
pub(crate) fn sex(description: &str) -> Sex {
    const FEMALE: [&str; 9] = ["woman", "girl", "she", "her", "female", "lady", "mother", "sister", "grandmother"];
    const MALE: [&str; 10] =
        ["man", "boy", "he", "his", "him", "male", "gentleman", "father", "brother", "grandfather"];
    let words = prose::words(description);
    let first = |list: &[&str]| words.iter().position(|w| list.contains(&w.lower.as_str())).unwrap_or(usize::MAX);
    match first(&FEMALE).cmp(&first(&MALE)) {
        std::cmp::Ordering::Less => Sex::Female,
        std::cmp::Ordering::Greater => Sex::Male,
        std::cmp::Ordering::Equal => Sex::Unknown,
    }
}

/// Says ages in words: `34` and `30s` are `thirties`.
pub(crate) fn decades(looks: &str) -> String {
    const WORDS: [&str; 10] = [
        "child",
        "teenager",
        "twenties",
        "thirties",
        "forties",
        "fifties",
        "sixties",
        "seventies",
        "eighties",
        "eighties",
    ];
    let mut out = String::with_capacity(looks.len());
    for piece in looks.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let word = piece.trim_end_matches(|c: char| !c.is_alphanumeric());
        let number = word.strip_suffix('s').unwrap_or(word).parse::<usize>().ok();
        match number.filter(|&n| n >= 10).and_then(|n| WORDS.get(n / 10)) {
            Some(decade) => {
                out.push_str(decade);
                out.push_str(&piece[word.len()..]);
            }
            None => out.push_str(piece),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_in_words() {
        assert_eq!(decades("34, scarred"), "thirties, scarred");
        assert_eq!(decades("late 60s"), "late sixties");
        assert_eq!(decades("a 1930s hat, 7 rings"), "a 1930s hat, 7 rings");
    }

    #[test]
    fn the_first_word_for_a_sex_counts() {
        assert_eq!(sex("A man with his mother's eyes"), Sex::Male);
        assert_eq!(sex("She is tall"), Sex::Female);
        assert_eq!(sex("Tall"), Sex::Unknown);
    }
}
