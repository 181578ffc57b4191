//! What the recipe drew and what it asks for: `truth.json`.

use greenroom_domain::Box2;
use greenroom_identity::{Face, Point};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

use crate::Fault;

/// Every drawing with its truth, and the pictures to be made.
#[derive(Deserialize)]
pub(crate) struct Truth {
    pub(crate) pictures: Vec<Picture>,
    pub(crate) prompts: Vec<Prompt>,
    pub(crate) guides: Vec<Guide>,
}

/// A drawing.
#[derive(Deserialize)]
pub(crate) struct Picture {
    /// Path below the folder of `truth.json`.
    pub(crate) file: String,
    pub(crate) set: Set,
    pub(crate) place: String,
    pub(crate) time: String,
    pub(crate) faces: Vec<TrueFace>,
}

/// What a drawing is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Set {
    /// What a person would give of a character.
    References,
    /// One character in a picture of the generator's size.
    Faces,
    /// Somebody else whom every caption describes in the same words.
    Lookalikes,
    /// Nobody, or several.
    Scenes,
}

/// A face as it was drawn, in pixels of its picture.
#[derive(Deserialize)]
pub(crate) struct TrueFace {
    pub(crate) identity: u64,
    /// Of a look-alike, whom it is like.
    pub(crate) like: Option<u64>,
    #[serde(rename = "box")]
    pub(crate) bbox: [f32; 4],
    pub(crate) landmarks: [[f32; 2]; 5],
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A picture to be made of a character.
#[derive(Deserialize)]
pub(crate) struct Prompt {
    pub(crate) identity: u64,
    /// Framing, `close`.
    pub(crate) shot: String,
    /// The caption, in the pack's words.
    pub(crate) text: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) place: String,
    pub(crate) time: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A picture for a ControlNet, and where it asks for a face.
#[derive(Deserialize)]
pub(crate) struct Guide {
    /// Path below the folder of `truth.json`.
    pub(crate) file: String,
    pub(crate) identity: u64,
    /// The caption, in the pack's words.
    pub(crate) text: String,
    /// Pixels of the guide.
    #[serde(rename = "box")]
    pub(crate) bbox: [f32; 4],
}

impl Truth {
    pub(crate) fn read(folder: &Path) -> Result<Self, Fault> {
        let file = folder.join("truth.json");
        let text = std::fs::read(&file).map_err(|e| format!("read drawings: {}: {e}", file.display()))?;
        serde_json::from_slice(&text).map_err(|e| format!("read drawings: {}: {e}", file.display()).into())
    }

    /// Refuses drawings in words that the classifier has no label for: they could only be counted as wrong.
    pub(crate) fn check_labels(&self, labels: &BTreeMap<String, Vec<String>>) -> Result<(), Fault> {
        let drawn = self.pictures.iter().flat_map(|p| p.faces.iter().map(|f| p.shows(f)));
        for shows in drawn.chain(self.prompts.iter().map(Prompt::shows)) {
            for (attribute, known) in labels {
                if let Some(label) = shows.label(attribute)
                    && !known.iter().any(|k| k == label)
                {
                    let cause = format!("{attribute} is {label}, which is none of the pack's labels");
                    return Err(format!("read drawings: truth.json: {cause}").into());
                }
            }
        }
        Ok(())
    }
}

/// What is to be seen in a face and around it.
#[derive(Clone, Copy)]
pub(crate) struct Shows<'a> {
    attributes: &'a BTreeMap<String, String>,
    place: &'a str,
    time: &'a str,
}

impl<'a> Shows<'a> {
    /// The true label of an attribute, if there is one.
    pub(crate) fn label(&self, attribute: &str) -> Option<&'a str> {
        let around = match attribute {
            "place" => Some(self.place),
            "time" => Some(self.time),
            _ => None,
        };
        self.attributes.get(attribute).map(String::as_str).or(around)
    }
}

impl Picture {
    pub(crate) fn shows<'a>(&'a self, face: &'a TrueFace) -> Shows<'a> {
        Shows { attributes: &face.attributes, place: &self.place, time: &self.time }
    }
}

impl Prompt {
    pub(crate) fn shows(&self) -> Shows<'_> {
        Shows { attributes: &self.attributes, place: &self.place, time: &self.time }
    }
}

impl TrueFace {
    /// The same as if the detector had found it, in a picture that is `scale` times as large.
    pub(crate) fn found(&self, scale: f32) -> Face {
        let [x0, y0, x1, y1] = self.bbox.map(|v| v * scale);
        let landmarks = self.landmarks.map(|[x, y]| Point { x: x * scale, y: y * scale });
        Face { bbox: Box2 { x0, y0, x1, y1 }, score: 1.0, landmarks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth() -> Truth {
        let face = r#"{"identity": 1, "like": null, "box": [1, 2, 3, 4], "landmarks": [[1,1],[2,1],[1,2],[1,3],[2,3]],
                       "attributes": {"glasses": "round"}}"#;
        let text = format!(
            r#"{{"pictures": [{{"file": "faces/1.png", "set": "faces", "place": "forest", "time": "day", "faces": [{face}]}}],
                "prompts": [], "guides": []}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_place_is_shown_by_every_face_in_it() {
        let truth = truth();
        let shows = truth.pictures[0].shows(&truth.pictures[0].faces[0]);
        assert_eq!(
            ["glasses", "place", "time", "beard"].map(|a| shows.label(a)),
            [Some("round"), Some("forest"), Some("day"), None]
        );
    }

    #[test]
    fn a_word_that_the_classifier_does_not_know_is_refused() {
        let labels = |glasses: &str| BTreeMap::from([("glasses".to_owned(), vec!["none".into(), glasses.into()])]);
        assert!(truth().check_labels(&labels("round")).is_ok());
        let refused = truth().check_labels(&labels("square")).unwrap_err().to_string();
        assert!(refused.contains("glasses is round"), "{refused}");
    }
}
