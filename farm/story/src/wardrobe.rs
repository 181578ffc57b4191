//! What people wear, as the script says it: `in a red hoodie`, `her yellow coat`, `MARA (30s, red hoodie)`.

use crate::prose::{self, Word};

/// The garments that somebody wears by a sentence about them, as noun phrases (`red hoodie`).
pub(crate) fn garments(sentence: &str) -> Vec<String> {
    let words = prose::words(sentence);
    let heads = words.iter().enumerate().filter(|(i, w)| is_garment(w) && !is_furniture(words.get(i + 1)));
    heads.filter_map(|(head, _)| worn(&words, head, sentence)).collect()
}

/// Whether a sentence changes clothes, so that nothing was worn before it.
pub(crate) fn changes(sentence: &str) -> bool {
    prose::words(sentence)
        .windows(2)
        .any(|w| ["pulls", "puts", "throws", "slips"].contains(&w[0].lower.as_str()) && w[1].lower == "on")
}

/// The phrase that ends in a garment, if something before it says that it is worn.
fn worn(words: &[Word], head: usize, sentence: &str) -> Option<String> {
    let mut first = head;
    while first > 0
        && !words[first].after_comma
        && !LINKS.contains(&words[first - 1].lower.as_str())
        && head - first < 3
    {
        first -= 1;
    }
    let before = &words[first.saturating_sub(6)..first];
    let from = before.iter().rposition(|w| w.after_stop).unwrap_or(0);
    let before = &before[from..];
    let says = |list: &[&str]| before.iter().any(|w| list.contains(&w.lower.as_str()));
    let owned =
        before.last().is_some_and(|w| ["her", "his", "their"].contains(&w.lower.as_str())) && !words[first].after_comma;
    let on = before.iter().any(|w| w.lower == "on") && says(&["pulls", "puts", "throws", "slips"]);
    let bracket =
        sentence[..words[head].start].rfind('(').is_some_and(|open| !sentence[open..words[head].start].contains(')'));
    let taken_off = says(&["off", "removes", "drops", "hangs", "folds", "sheds", "hands"]);
    let wears = says(&["in", "wearing", "wears", "dressed", "zips", "buttons"]) || owned || on || bracket;
    (wears && !taken_off).then(|| sentence[words[first].start..words[head].end].to_owned())
}

fn is_garment(word: &Word) -> bool {
    GARMENTS.contains(&word.lower.as_str())
}

/// `a coat rack` is not worn.
fn is_furniture(next: Option<&Word>) -> bool {
    next.is_some_and(|w| {
        !w.after_comma && ["rack", "hook", "hanger", "stand", "peg", "case"].contains(&w.lower.as_str())
    })
}

const LINKS: [&str; 18] = [
    "a", "an", "the", "her", "his", "their", "in", "on", "and", "with", "of", "over", "under", "wearing", "wears",
    "same", "zips", "buttons",
];

const GARMENTS: [&str; 36] = [
    "hoodie",
    "coat",
    "jacket",
    "suit",
    "sweater",
    "jumper",
    "pullover",
    "shirt",
    "tee",
    "turtleneck",
    "dress",
    "uniform",
    "raincoat",
    "overcoat",
    "parka",
    "cloak",
    "cape",
    "robe",
    "blouse",
    "cardigan",
    "blazer",
    "tuxedo",
    "sweatshirt",
    "scrubs",
    "vest",
    "overalls",
    "anorak",
    "windbreaker",
    "jumpsuit",
    "tunic",
    "labcoat",
    "gown",
    "poncho",
    "trenchcoat",
    "tracksuit",
    "waistcoat",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clothes_on_a_body_are_found_and_others_are_not() {
        assert_eq!(garments("Mara, in a red hoodie and an old lab coat, waits."), ["red hoodie", "old lab coat"]);
        assert_eq!(garments("She zips her yellow coat."), ["yellow coat"]);
        assert_eq!(garments("VOSS (50s, grey suit) nods."), ["grey suit"]);
        assert_eq!(garments("Tobin pulls on a blue T-shirt."), ["blue T-shirt"]);
        assert!(garments("A coat hangs by the door. In the corner, a coat rack.").is_empty());
        assert!(garments("She takes off her red hoodie.").is_empty());
    }
}
