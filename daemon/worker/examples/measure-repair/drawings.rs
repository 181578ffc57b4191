//! What the recipe drew: references of each character, and the captions of pictures to be made of it.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::Fault;

/// Characters and what to make of them.
pub(crate) struct Drawings {
    /// By identity the files of its references.
    pub(crate) references: BTreeMap<u64, Vec<PathBuf>>,
    pub(crate) prompts: Vec<Prompt>,
}

/// A picture to be made of a character.
#[derive(Deserialize)]
pub(crate) struct Prompt {
    pub(crate) identity: u64,
    /// Framing, with which the caption begins: `close`.
    pub(crate) shot: String,
    /// The caption, in the pack's words.
    pub(crate) text: String,
    place: String,
    time: String,
}

#[derive(Deserialize)]
struct Truth {
    pictures: Vec<Picture>,
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Picture {
    file: String,
    set: String,
    faces: Vec<Face>,
}

#[derive(Deserialize)]
struct Face {
    identity: u64,
}

impl Drawings {
    pub(crate) fn read(folder: &Path) -> Result<Self, Fault> {
        let file = folder.join("truth.json");
        let named = |e: &dyn std::fmt::Display| format!("read drawings: {}: {e}", file.display());
        let text = std::fs::read(&file).map_err(|e| named(&e))?;
        let truth: Truth = serde_json::from_slice(&text).map_err(|e| named(&e))?;
        let mut references: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
        for picture in truth.pictures.iter().filter(|picture| picture.set == "references") {
            for face in &picture.faces {
                references.entry(face.identity).or_default().push(folder.join(&picture.file));
            }
        }
        Ok(Self { references, prompts: truth.prompts })
    }
}

impl Prompt {
    /// The caption of the same from near, as a breakdown writes it for repairs.
    pub(crate) fn close(&self) -> String {
        self.text.strip_prefix(&self.shot).map_or_else(|| self.text.clone(), |rest| format!("close{rest}"))
    }

    /// The caption of its place with nobody in it, likewise.
    pub(crate) fn vacant(&self) -> String {
        format!("wide shot, {}, {}", self.place, self.time)
    }
}
