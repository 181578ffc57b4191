//! The clips that the recipe drew, with their truth, and the faces that a validate task finds in them.

use greenroom_diffusion::StableDiffusion;
use greenroom_domain::Box2;
use greenroom_identity::SeenFace;
use image::{RgbImage, imageops};
use serde::Deserialize;
use std::path::{Path, PathBuf};

use crate::{
    Fault,
    models::{Models, framed},
};

/// `truth.json` and where it lies.
pub(crate) struct Drawings {
    folder: PathBuf,
    truth: Truth,
}

#[derive(Deserialize)]
struct Truth {
    frame_height: u32,
    references: Vec<Reference>,
    clips: Vec<Clip>,
}

/// What a person would give of a character.
#[derive(Deserialize)]
pub(crate) struct Reference {
    file: String,
    pub(crate) identity: u64,
}

/// Frames of one situation.
#[derive(Deserialize)]
pub(crate) struct Clip {
    file: String,
    pub(crate) set: Set,
    pub(crate) people: Vec<Person>,
}

/// What a clip is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Set {
    /// One character.
    Clips,
    /// Somebody else whom every caption describes in the same words.
    Lookalikes,
    /// Several characters.
    Scenes,
}

/// Somebody in a clip.
#[derive(Deserialize)]
pub(crate) struct Person {
    pub(crate) identity: u64,
    /// Of a look-alike, whom it is like.
    pub(crate) like: Option<u64>,
    /// In each frame, in pixels of the drawing.
    boxes: Vec<[f32; 4]>,
}

/// A clip as a validate task sees it.
pub(crate) struct Seen {
    /// Every frame's number and faces.
    pub(crate) frames: Vec<(u64, Vec<SeenFace>)>,
    /// For each frame how many times as large it is as its drawing.
    scale: f32,
}

impl Drawings {
    pub(crate) fn read(folder: &Path) -> Result<Self, Fault> {
        let file = folder.join("truth.json");
        let text = std::fs::read_to_string(&file).map_err(|e| format!("read drawings: {}: {e}", file.display()))?;
        let truth = serde_json::from_str(&text).map_err(|e| format!("read drawings: {}: {e}", file.display()))?;
        Ok(Self { folder: folder.to_owned(), truth })
    }

    pub(crate) fn references(&self) -> &[Reference] {
        &self.truth.references
    }

    pub(crate) fn clips(&self) -> &[Clip] {
        &self.truth.clips
    }

    pub(crate) fn reference(&self, reference: &Reference) -> Result<RgbImage, Fault> {
        self.picture(&reference.file)
    }

    /// Finds and embeds the faces of every frame, encoded and decoded by the VAE first where one is given.
    pub(crate) fn look(&self, models: &mut Models, clip: &Clip, vae: Option<&StableDiffusion>) -> Result<Seen, Fault> {
        let (column, height) = (self.picture(&clip.file)?, self.truth.frame_height);
        let (mut frames, mut scale) = (Vec::new(), 1.0);
        for number in 0..column.height() / height {
            let drawn = imageops::crop_imm(&column, 0, number * height, column.width(), height).to_image();
            let drawn = match vae {
                Some(vae) => vae.decode(&vae.encode(&drawn)?)?,
                None => drawn,
            };
            let (frame, times) = framed(&drawn);
            scale = times;
            frames.push((u64::from(number), look(models, u64::from(number), &frame)?));
        }
        Ok(Seen { frames, scale })
    }

    fn picture(&self, file: &str) -> Result<RgbImage, Fault> {
        let path = self.folder.join(file);
        let picture = image::open(&path).map_err(|e| format!("read drawings: {}: {e}", path.display()))?;
        Ok(picture.to_rgb8())
    }
}

impl Seen {
    /// Where a person is in a frame, in pixels of the frame.
    pub(crate) fn truth(&self, person: &Person, frame: usize) -> Option<Box2> {
        let [x0, y0, x1, y1] = person.boxes.get(frame)?.map(|v| v * self.scale);
        Some(Box2 { x0, y0, x1, y1 })
    }
}

/// As a validate task looks at a frame.
fn look(models: &mut Models, number: u64, frame: &RgbImage) -> Result<Vec<SeenFace>, Fault> {
    let mut seen = Vec::new();
    for face in models.find(frame)? {
        let large = face.short_side() >= models.pack.identity.smallest_face;
        let embedding = if large { Some(models.embed(models.aligned(frame, &face.landmarks))?) } else { None };
        seen.push(SeenFace { frame: number, bbox: face.bbox, detection: face.score, yaw: face.yaw(), embedding });
    }
    Ok(seen)
}
