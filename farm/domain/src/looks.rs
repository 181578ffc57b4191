//! What a take shows beside who it is: hair, eyes, marks, clothes, and pictures for people who look. None of it decides.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::Digest;

/// Beside a verdict's scores. The face decides; this tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Looks {
    /// Sampled frames that show what an earlier one shows, and count as one with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeat>,
    /// One per expected character of which something is known and was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub styles: Vec<StyleScore>,
    /// Sampled frames with boxes, names and scores, side by side (JPEG).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip: Option<Digest>,
}

impl Looks {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A frame whose faces are another one's, pixel for pixel or nearly so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// Its number.
    pub frame: u64,
    /// The number of the earlier one.
    pub of: u64,
}

/// How far one character looks as it should.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StyleScore {
    /// Who.
    pub character: String,
    /// Weighted mean of the anchors' scores, 0 to 1; none where none of them could be seen.
    pub score: Option<f32>,
    /// By attribute, in alphabetical order.
    pub anchors: Vec<AnchorScore>,
}

impl StyleScore {
    /// What is wrong, in words, worst first (by score and weight).
    #[must_use]
    pub fn remarks(&self) -> Vec<&str> {
        self.wrong().into_iter().filter_map(|anchor| anchor.remark.as_deref()).collect()
    }

    /// The anchors with a remark, worst first.
    #[must_use]
    pub fn wrong(&self) -> Vec<&AnchorScore> {
        let mut wrong: Vec<_> = self.anchors.iter().filter(|anchor| anchor.remark.is_some()).collect();
        let loss = |anchor: &AnchorScore| anchor.weight * (1.0 - anchor.score.unwrap_or(1.0));
        wrong.sort_by(|a, b| loss(b).total_cmp(&loss(a)));
        wrong
    }
}

/// One attribute of one character over a take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnchorScore {
    /// What of it, in the classifier's words: `hair_colour`.
    pub attribute: String,
    /// The label that it should have.
    pub expected: String,
    /// The likeliest label over the frames that were looked at; none where it was hidden.
    pub seen: Option<String>,
    /// Mean probability of the expected label, 0 to 1; none where it was hidden.
    pub score: Option<f32>,
    /// How much it counts in the style's score.
    pub weight: f32,
    /// What is wrong: `scar on the left cheek missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

impl AnchorScore {
    /// The attribute as people write it: `hair colour`.
    #[must_use]
    pub fn name(&self) -> String {
        self.attribute.replace('_', " ")
    }
}

impl fmt::Display for AnchorScore {
    /// `hair colour black 0.93`, `eye colour hidden`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.score {
            Some(score) => write!(f, "{} {} {score:.2}", self.name(), self.expected),
            None => write!(f, "{} hidden", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(attribute: &str, score: Option<f32>, weight: f32, remark: Option<&str>) -> AnchorScore {
        AnchorScore {
            attribute: attribute.into(),
            expected: "black".into(),
            seen: None,
            score,
            weight,
            remark: remark.map(str::to_owned),
        }
    }

    #[test]
    fn the_worst_of_what_counts_most_is_told_first() {
        let anchors = vec![
            anchor("beard", Some(0.4), 1.0, Some("goatee missing")),
            anchor("eye_colour", None, 1.0, None),
            anchor("scar", Some(0.1), 2.0, Some("scar on the left cheek missing")),
        ];
        let style = StyleScore { character: "MARA".into(), score: None, anchors };
        assert_eq!(style.remarks(), ["scar on the left cheek missing", "goatee missing"]);
        assert_eq!(style.anchors[1].to_string(), "eye colour hidden");
    }

    #[test]
    fn a_verdict_without_looks_is_read_and_written_as_before() {
        assert!(Looks::default().is_empty());
        assert_eq!(serde_json::from_str::<Looks>("{}").unwrap(), Looks::default());
        assert_eq!(serde_json::to_string(&Looks::default()).unwrap(), "{}");
    }
}
