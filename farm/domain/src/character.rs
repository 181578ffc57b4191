//! A persistent actor: references, identity profile, description.

use serde::{Deserialize, Serialize};

use crate::{CalibrationRevision, CharacterId, Consent, Digest, LoraVersion, Problem, ProjectId, TaskId, Timestamp};

/// One revision of a character. References and description change by a new revision only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Character {
    /// Its id, the same for every revision.
    pub id: CharacterId,
    /// Where it belongs.
    pub project: ProjectId,
    /// As the script writes it, upper case (`MARA`); unique in the project.
    pub name: String,
    /// 1, 2, 3 …
    pub revision: u32,
    /// One or more pictures with exactly one face each.
    pub references: Vec<Reference>,
    /// Prose that says how the character looks: the base prompt.
    pub description: String,
    /// What the real person allowed whom it shows; none where it shows nobody who lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// How far the identity profile is.
    pub state: CharacterState,
    /// Every calibration that it ever had, oldest first; revisions of the character carry them on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibrations: Vec<CalibrationRevision>,
    /// Every LoRA that was trained for it, oldest first; revisions of the character carry them on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<LoraVersion>,
    /// When this revision was made.
    pub created: Timestamp,
}

impl Character {
    /// The calibration in force: the latest, if it is of this revision's references.
    #[must_use]
    pub fn calibration(&self) -> Option<&CalibrationRevision> {
        self.calibrations.last().filter(|last| last.revision == self.revision)
    }

    /// The LoRA in force with a pack, if any: one that was trained for other models acts on none of these.
    #[must_use]
    pub fn lora(&self, pack: Digest) -> Option<&LoraVersion> {
        self.loras.iter().find(|v| v.pack == pack && v.state.is_active())
    }
}

/// One canonical picture of a character.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// The file's name as it was given, for people.
    pub name: String,
    /// The picture.
    pub digest: Digest,
    /// Known once profiled.
    pub quality: Option<ReferenceQuality>,
}

/// How usable a reference is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceQuality {
    /// The detector's score of the face, 0 to 1.
    pub detection: f32,
    /// Shorter side of the face's box, pixels of the picture.
    pub face_size: f32,
    /// Head turn from the landmarks, −1 (left) to 1 (right); 0 faces the camera.
    pub yaw: f32,
    /// Variance of the Laplacian on the aligned face: higher is sharper.
    pub sharpness: f32,
    /// 0 to 1, from the three above; weighs the reference in the profile.
    pub weight: f32,
    /// Cosine to the other references' centroid; none for a single reference.
    pub agreement: Option<f32>,
}

/// Profiling ──► Ready
///           └─► Refused   (no face, two faces, unreadable: the problem says which picture)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CharacterState {
    /// A profile task is on its way.
    Profiling {
        /// That task.
        task: TaskId,
    },
    /// Can be cast.
    Ready {
        /// The identity profile (JSON).
        profile: Digest,
        /// The best reference's face (PNG).
        thumbnail: Digest,
    },
    /// The references cannot be used.
    Refused {
        /// Why, and what to do.
        problem: Problem,
    },
}
