//! What of a character's looks lasts, and the words for it: data of the pack beside its attribute classifier.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How one attribute anchors a character's looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// How much it counts unless the project says otherwise; 0 leaves it out.
    pub weight: f32,
    /// Words for what a label means, with `{label}` in it: `scar on the {label}`. The label alone if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// The label of what cannot be seen (eyes behind sunglasses), which is no miss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<String>,
    /// Worn: a shot's caption may ask for another label than the references show.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worn: bool,
}

/// The answer of the classifier that means: no head belongs where this face is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Misplaced {
    /// The attribute.
    pub attribute: String,
    /// The label.
    pub label: String,
}

/// The label that means: there is none of it.
pub const NONE: &str = "none";

impl Anchor {
    /// A label in words: `scar on the left cheek`.
    #[must_use]
    pub fn words(&self, label: &str) -> String {
        self.says.as_deref().map_or_else(|| label.to_owned(), |says| says.replace("{label}", label))
    }

    /// What is wrong where `seen` shows instead of `expected`: `scar on the left cheek missing`,
    /// `hair colour: red instead of black`, `not expected: sunglasses`.
    #[must_use]
    pub fn remark(&self, attribute: &str, expected: &str, seen: &str) -> String {
        if seen == NONE {
            format!("{} missing", self.words(expected))
        } else if expected == NONE {
            format!("not expected: {}", self.words(seen))
        } else {
            format!("{}: {seen} instead of {expected}", attribute.replace('_', " "))
        }
    }
}

/// What a caption asks beside who is seen, by attribute: the labels of worn attributes in the parts of the caption (between commas)
/// that speak of clothes, and those of attributes that nobody keeps, an expression or a place. A part speaks of clothes if it names
/// a worn label that no other attribute has, so `black short hair` is hair although there are black shirts.
#[must_use]
pub fn asked(
    caption: &str,
    anchors: &BTreeMap<String, Anchor>,
    labels: &BTreeMap<String, Vec<String>>,
) -> BTreeMap<String, String> {
    let mut asked = BTreeMap::new();
    for part in caption.split(',') {
        let named = labels.iter().filter_map(|(name, all)| Some((name, all.iter().find(|label| says(part, label))?)));
        let (worn, rest): (Vec<_>, Vec<_>) = named
            .filter(|(name, _)| anchors.get(*name).is_none_or(|anchor| anchor.worn))
            .partition(|(name, _)| anchors.contains_key(*name));
        let own = |(name, label): &(&String, &String)| own(name, label, labels);
        let worn = if worn.iter().any(own) { worn } else { vec![] };
        let named = worn.into_iter().chain(rest.into_iter().filter(own));
        asked.extend(named.map(|(name, label)| (name.clone(), label.clone())));
    }
    asked
}

/// Whether no other attribute has this label.
fn own(name: &str, label: &str, labels: &BTreeMap<String, Vec<String>>) -> bool {
    !labels.iter().any(|(other, all)| other != name && all.iter().any(|l| l == label))
}

/// Whether the words of a label stand in a text, one after the other.
fn says(text: &str, label: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let wanted: Vec<&str> = label.split_whitespace().collect();
    !wanted.is_empty() && words.windows(wanted.len()).any(|some| some == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(says: Option<&str>, worn: bool) -> Anchor {
        Anchor { weight: 1.0, says: says.map(str::to_owned), hidden: None, worn }
    }

    fn labels() -> BTreeMap<String, Vec<String>> {
        let all = [
            ("garment", vec!["t-shirt", "suit", "coat"]),
            ("garment_colour", vec!["red", "blue", "white", "black"]),
            ("hair_colour", vec!["black", "blue", "red", "white"]),
        ];
        all.into_iter().map(|(name, all)| (name.into(), all.into_iter().map(Into::into).collect())).collect()
    }

    fn asked_by(caption: &str) -> Vec<(String, String)> {
        let anchors = BTreeMap::from([
            ("garment".to_owned(), anchor(None, true)),
            ("garment_colour".to_owned(), anchor(None, true)),
            ("hair_colour".to_owned(), anchor(None, false)),
        ]);
        asked(caption, &anchors, &labels()).into_iter().collect()
    }

    #[test]
    fn a_remark_says_what_is_missing_and_what_is_there_instead() {
        let scar = anchor(Some("scar on the {label}"), false);
        assert_eq!(scar.remark("scar", "left cheek", "none"), "scar on the left cheek missing");
        assert_eq!(scar.remark("scar", "none", "left cheek"), "not expected: scar on the left cheek");
        assert_eq!(anchor(None, false).remark("hair_colour", "black", "red"), "hair colour: red instead of black");
    }

    #[test]
    fn clothes_are_read_where_the_caption_speaks_of_clothes() {
        let caption = "close shot of an adult woman, black short hair, white skin, blue shirt coat, forest";
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(asked_by(caption), [pair("garment", "coat"), pair("garment_colour", "blue")]);
        assert_eq!(asked_by("close shot, suit"), [pair("garment", "suit")]);
    }

    #[test]
    fn what_nobody_keeps_is_asked_for_and_hair_is_not() {
        let mut labels = labels();
        labels.insert("place".into(), vec!["city".into(), "forest".into()]);
        labels.insert("hair_style".into(), vec!["short".into()]);
        let anchors = BTreeMap::from(["hair_colour", "hair_style"].map(|name| (name.to_owned(), anchor(None, false))));
        let asked = asked("medium shot, red short hair, forest", &anchors, &labels);
        assert_eq!(asked, BTreeMap::from([("place".to_owned(), "forest".to_owned())]));
    }

    #[test]
    fn a_caption_without_clothes_asks_for_none() {
        assert_eq!(asked_by("medium shot, red short hair, black"), []);
        assert_eq!(asked_by(""), []);
    }
}
