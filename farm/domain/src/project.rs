//! One production and the settings its pictures are made with.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{Fps, Frames, ProjectId, Seed, Timestamp};

/// One production.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Unique on this farm; lower-case letters, digits and dashes.
    pub name: String,
    /// What its pictures are made with.
    pub settings: Settings,
    /// When it was made.
    pub created: Timestamp,
}

/// What a project's pictures are made with. Changing it changes every task spec made afterwards, and nothing made before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Width and height of takes and clips, pixels, both even.
    pub size: (u32, u32),
    /// Frame rate of takes, clips and the episode.
    pub fps: Fps,
    /// A clip is accepted where the expected characters' p10 IDR is at least this, 0 to 1.
    pub gate: f32,
    /// Takes after the first that a rejected shot may have.
    pub retries: u32,
    /// Generated keyframes per second of a shot, at least two.
    pub keyframes_per_second: u32,
    /// Cross-fade between clips.
    pub crossfade: Frames,
    /// With more pictures of a character than this a LoRA of it is trained by itself; 0 is never.
    #[serde(skip_serializing_if = "is_default_of_lora")]
    pub lora_images: u32,
    /// Everything that is random derives from this.
    pub seed: Seed,
    /// By attribute how much it counts in a character's style, where that differs from the pack.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub anchors: BTreeMap<String, f32>,
}

/// Pictures that a LoRA needs to be trained by itself, unless a project says otherwise.
const LORA_IMAGES: u32 = 30;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_default_of_lora(images: &u32) -> bool {
    *images == LORA_IMAGES
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            size: (768, 448),
            fps: Fps::FILM,
            gate: 0.75,
            retries: 3,
            keyframes_per_second: 2,
            crossfade: Frames(12),
            lora_images: LORA_IMAGES,
            seed: Seed(1),
            anchors: BTreeMap::new(),
        }
    }
}
