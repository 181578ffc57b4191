//! What is of a character: the one list that forgetting works from.
//!
//! Everything here is taken apart field by field, so a new field of a character or a new output of a task (a memory, a LoRA,
//! a calibration) does not build until somebody has said here whether it is of the person.

use crate::{ArtifactKind, Character, CharacterState, Consent, Digest, LoraVersion, TaskOutput};

/// An artifact and what it is.
pub type Named = (ArtifactKind, Digest);

impl Character {
    /// Every artifact that is of this revision: it goes when the character is forgotten.
    #[must_use]
    pub fn belongings(&self) -> Vec<Named> {
        // Named in full: whoever adds a field decides here whether it is of the person.
        let Self {
            id: _,
            project: _,
            name: _,
            revision: _,
            references,
            description: _,
            consent,
            state,
            calibrations,
            loras,
            created: _,
        } = self;
        let mut all: Vec<_> = references.iter().map(|r| (ArtifactKind::Reference, r.digest)).collect();
        if let Some(Consent { subject: _, document: Some(document), reference: _, licence: _, expires: _ }) = consent {
            all.push((ArtifactKind::Consent, document.digest));
        }
        all.extend(calibrations.iter().map(|c| (ArtifactKind::Calibration, c.calibration)));
        for LoraVersion { lora, dataset, sheet, .. } in loras {
            let own = [(ArtifactKind::Lora, *lora), (ArtifactKind::Dataset, *dataset), (ArtifactKind::Sample, *sheet)];
            all.extend(own);
        }
        match state {
            CharacterState::Ready { profile, thumbnail } => {
                all.extend([(ArtifactKind::Profile, *profile), (ArtifactKind::Thumbnail, *thumbnail)]);
            }
            CharacterState::Profiling { task: _ } | CharacterState::Refused { problem: _ } => {}
        }
        all
    }
}

impl TaskOutput {
    /// Every artifact that a task gave.
    #[must_use]
    pub fn artifacts(&self) -> Vec<Named> {
        match self {
            Self::Profile { profile, thumbnail, qualities: _ } => {
                vec![(ArtifactKind::Profile, *profile), (ArtifactKind::Thumbnail, *thumbnail)]
            }
            Self::Calibration { calibration, summary: _ } => vec![(ArtifactKind::Calibration, *calibration)],
            Self::Breakdown { breakdown } => vec![(ArtifactKind::Breakdown, *breakdown)],
            Self::Take { video, thumbnail, keyframes: _, timings: _ } => {
                vec![(ArtifactKind::Take, *video), (ArtifactKind::Thumbnail, *thumbnail)]
            }
            Self::Dataset { dataset, pictures, generated: _, refused: _ } => {
                let pictures = pictures.iter().map(|picture| (ArtifactKind::Sample, *picture));
                pictures.chain([(ArtifactKind::Dataset, *dataset)]).collect()
            }
            Self::Lora { lora, curve: _, samples, timings: _ } => {
                vec![(ArtifactKind::Lora, *lora), (ArtifactKind::Sample, *samples)]
            }
            Self::Converted { lora, rank: _, alpha: _, energy: _, timings: _ } => vec![(ArtifactKind::Lora, *lora)],
            Self::Proof { proof: _, sheet, timings: _ } => vec![(ArtifactKind::Sample, *sheet)],
            Self::Verdict { verdict, timings: _ } => {
                verdict.looks.strip.iter().map(|strip| (ArtifactKind::Strip, *strip)).collect()
            }
            Self::Forgotten => vec![],
            Self::Command { files, log, timings: _ } => {
                let files = files.iter().map(|file| (ArtifactKind::CommandFile, file.digest));
                files.chain([(ArtifactKind::Log, *log)]).collect()
            }
            Self::Episode { episode, clips, contact_sheet, duration: _, timings: _ } => {
                let whole = [(ArtifactKind::Episode, *episode), (ArtifactKind::ContactSheet, *contact_sheet)];
                whole.into_iter().chain(clips.iter().map(|c| (ArtifactKind::Clip, c.video))).collect()
            }
        }
    }
}
