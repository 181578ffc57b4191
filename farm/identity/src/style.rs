//! How far a character looks as its references do, beside its face: each attribute a score of its own. Pure.

use greenroom_domain::{Anchor, AnchorScore, AttributeDefaults, StyleScore};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::Attributes;

/// The label that a character's references agree on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// Which.
    pub label: String,
    /// Share of the references that show it, of those in which it can be seen, above 0.5 to 1.
    pub share: f32,
}

/// By anchor what more than half of the references show. An attribute that is hidden in all of them, or that they do not agree
/// on, is left out: nothing is known of it.
#[must_use]
pub fn usual(references: &[Attributes], how: &AttributeDefaults) -> BTreeMap<String, Usual> {
    let of = |(name, anchor): (&String, &Anchor)| {
        let labels: Vec<&str> = references.iter().filter_map(|seen| seen.label(name)).collect();
        let seen: Vec<&str> = labels.into_iter().filter(|label| Some(*label) != anchor.hidden.as_deref()).collect();
        let count = |label: &str| seen.iter().filter(|other| **other == label).count();
        let most = seen.iter().copied().max_by_key(|label| count(label))?;
        let share = count(most) as f32 / seen.len() as f32;
        (share > 0.5).then(|| (name.clone(), Usual { label: most.to_owned(), share }))
    };
    how.anchors.iter().filter_map(of).collect()
}

/// What a character should show: what its references agree on, and over that what the shot's caption asks it to wear.
#[must_use]
pub fn expected(
    usual: &BTreeMap<String, Usual>,
    caption: Option<&str>,
    how: &AttributeDefaults,
) -> BTreeMap<String, String> {
    let mut expected: BTreeMap<_, _> = usual.iter().map(|(name, usual)| (name.clone(), usual.label.clone())).collect();
    expected.extend(greenroom_domain::asked(caption.unwrap_or_default(), &how.anchors, &how.labels));
    expected
}

/// Scores what the frames show against what is expected. `weights` are the project's, over the pack's; an attribute that weighs
/// nothing is left out. None where nothing is left.
///
/// An anchor's score is the mean probability of its expected label over the frames in which it can be seen; hidden in more than
/// half of them, it has none. There is a remark where another label is the likelier one, by the mean too.
#[must_use]
pub fn style(
    character: &str,
    expected: &BTreeMap<String, String>,
    frames: &[&Attributes],
    how: &AttributeDefaults,
    weights: &BTreeMap<String, f32>,
) -> Option<StyleScore> {
    let score = |(name, expected): (&String, &String)| {
        let anchor = how.anchors.get(name)?;
        let weight = weights.get(name).copied().unwrap_or(anchor.weight);
        (weight > 0.0).then(|| score(name, anchor, expected, frames, weight))?
    };
    let anchors: Vec<AnchorScore> = expected.iter().filter_map(score).collect();
    let (sum, weights) = anchors
        .iter()
        .filter_map(|anchor| Some((anchor.score? * anchor.weight, anchor.weight)))
        .fold((0.0, 0.0), |(sum, weights), (score, weight)| (sum + score, weights + weight));
    let score = (weights > 0.0).then(|| sum / weights);
    (!anchors.is_empty()).then(|| StyleScore { character: character.to_owned(), score, anchors })
}

/// None where no frame tells.
fn score(name: &str, anchor: &Anchor, expected: &str, frames: &[&Attributes], weight: f32) -> Option<AnchorScore> {
    let told: Vec<_> = frames.iter().filter_map(|frame| frame.0.get(name)).collect();
    let visible = told.iter().filter(|seen| Some(seen.label.as_str()) != anchor.hidden.as_deref());
    let visible: Vec<_> = visible.collect();
    let (attribute, expected) = (name.to_owned(), expected.to_owned());
    if told.is_empty() {
        return None;
    }
    if visible.len() * 2 < told.len() {
        return Some(AnchorScore { attribute, expected, seen: None, score: None, weight, remark: None });
    }
    let mut means: BTreeMap<&str, f32> = BTreeMap::new();
    for (label, probability) in visible.iter().flat_map(|seen| &seen.all) {
        *means.entry(label).or_default() += probability / visible.len() as f32;
    }
    let (seen, _) = means.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
    let remark = (*seen != expected).then(|| anchor.remark(name, &expected, seen));
    let score = means.get(expected.as_str()).copied().unwrap_or(0.0).clamp(0.0, 1.0);
    Some(AnchorScore { attribute, seen: Some((*seen).to_owned()), score: Some(score), expected, weight, remark })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attribute;
    use serde_json::json;

    fn how() -> AttributeDefaults {
        let labels = json!({
            "hair_colour": ["black", "red"], "scar": ["none", "left cheek"], "eye_colour": ["hidden", "blue"],
            "garment": ["suit", "coat"],
        });
        let anchors = json!({
            "hair_colour": {"weight": 2}, "scar": {"weight": 1, "says": "scar on the {label}"},
            "eye_colour": {"weight": 1, "hidden": "hidden"}, "garment": {"weight": 1, "worn": true},
        });
        let how = json!({
            "size": 8, "crop": 2.6, "down": 0.25, "mean": 0, "std": 1, "labels": labels, "anchors": anchors,
        });
        serde_json::from_value(how).unwrap()
    }

    /// A face with these probabilities of the second label.
    fn shows(second: &[(&str, f32)]) -> Attributes {
        let attribute = |&(name, p): &(&str, f32)| {
            let labels = &how().labels[name];
            let all = vec![(labels[0].clone(), 1.0 - p), (labels[1].clone(), p)];
            let at = usize::from(p > 0.5);
            (name.to_owned(), Attribute { label: labels[at].clone(), probability: all[at].1, all })
        };
        Attributes(second.iter().map(attribute).collect())
    }

    fn scored(expected: &[(&str, &str)], frames: &[Attributes], weights: &[(&str, f32)]) -> StyleScore {
        let owned = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let weights = weights.iter().map(|(a, w)| ((*a).to_owned(), *w)).collect();
        style("MARA", &owned, &frames.iter().collect::<Vec<_>>(), &how(), &weights).unwrap()
    }

    #[test]
    fn references_that_do_not_agree_say_nothing_and_hidden_eyes_neither() {
        let red = shows(&[("hair_colour", 0.9), ("scar", 0.9), ("eye_colour", 0.1)]);
        let black = shows(&[("hair_colour", 0.1), ("scar", 0.8), ("eye_colour", 0.8)]);
        let found = usual(&[red, black], &how());
        assert_eq!(found.keys().collect::<Vec<_>>(), ["eye_colour", "scar"]);
        assert_eq!(found["eye_colour"], Usual { label: "blue".into(), share: 1.0 });
    }

    #[test]
    fn each_anchor_has_a_score_and_what_is_missing_is_named() {
        let frames = [shows(&[("hair_colour", 0.1), ("scar", 0.2)]), shows(&[("hair_colour", 0.3), ("scar", 0.4)])];
        let style = scored(&[("hair_colour", "black"), ("scar", "left cheek")], &frames, &[]);
        assert!((style.anchors[0].score.unwrap() - 0.8).abs() < 1e-6 && style.anchors[0].remark.is_none());
        assert!((style.anchors[1].score.unwrap() - 0.3).abs() < 1e-6);
        assert_eq!(style.remarks(), ["scar on the left cheek missing"]);
        assert!((style.score.unwrap() - (2.0 * 0.8 + 0.3) / 3.0).abs() < 1e-6, "weighted by the pack");
    }

    #[test]
    fn a_project_weighs_otherwise_and_leaves_out_what_weighs_nothing() {
        let frames = [shows(&[("hair_colour", 0.0), ("scar", 0.0)])];
        let asked = [("hair_colour", "black"), ("scar", "left cheek")];
        let style = scored(&asked, &frames, &[("scar", 6.0)]);
        assert!((style.score.unwrap() - 0.25).abs() < 1e-6);
        assert_eq!(scored(&asked, &frames, &[("scar", 0.0)]).anchors.len(), 1);
    }

    #[test]
    fn eyes_behind_sunglasses_are_no_miss() {
        let style = scored(&[("eye_colour", "blue")], &[shows(&[("eye_colour", 0.02)])], &[]);
        assert_eq!((style.score, style.anchors[0].score, style.remarks().len()), (None, None, 0));
    }

    #[test]
    fn a_caption_dresses_a_character_over_its_usual_clothes() {
        let usual = BTreeMap::from([("garment".to_owned(), Usual { label: "suit".into(), share: 1.0 })]);
        assert_eq!(expected(&usual, Some("close shot, white coat"), &how())["garment"], "coat");
        assert_eq!(expected(&usual, Some("close shot"), &how())["garment"], "suit");
    }
}
