//! What a task could have given: made-up outputs, for workers that stand in for a device.
//!
//! Every output names bytes that hold the mark of the attempt that made them, so that whoever looks at a ledger afterwards can tell
//! which attempt was published.

use std::collections::BTreeMap;

use crate::{
    CalibrationSummary, ClipOutput, CommandFile, Decision, Digest, Frames, Idr, LeaseEpoch, LoraProof, ModelsUsed,
    Reason, ReferenceQuality, Spec, TaskOutput, ValidateSpec, Verdict,
};

/// An output, and the artifacts that it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// What the task gives.
    pub output: TaskOutput,
    /// Bytes that must be in the artifact store before it is told.
    pub artifacts: Vec<Vec<u8>>,
}

/// What an attempt's artifacts hold.
#[must_use]
pub fn mark(task: &str, epoch: LeaseEpoch) -> String {
    format!("{task} epoch {}", epoch.0)
}

/// Makes up what a task gives, from its spec and the attempt's mark alone. Six takes of ten are accepted. None for what no worker
/// does.
#[must_use]
pub fn rehearse(spec: &Spec, mark: &str) -> Option<Rehearsal> {
    let mut artifacts = Vec::new();
    let mut keep = |what: &str| {
        let bytes = format!("{what} of {mark}").into_bytes();
        artifacts.push(bytes);
        Digest::of(artifacts.last().map_or(&[], Vec::as_slice))
    };
    let timings = BTreeMap::new;
    let output = match spec {
        Spec::Profile(spec) => TaskOutput::Profile {
            profile: keep("profile"),
            thumbnail: keep("thumbnail"),
            qualities: spec.references.iter().map(|_| QUALITY).collect(),
        },
        Spec::Calibrate(_) => {
            TaskOutput::Calibration { calibration: keep("calibration"), summary: summary(keep("embedder")) }
        }
        Spec::Generate(_) | Spec::Repair(_) => {
            TaskOutput::Take { video: keep("take"), thumbnail: keep("still"), keyframes: 2, timings: timings() }
        }
        Spec::Validate(spec) => TaskOutput::Verdict { verdict: verdict(spec, mark), timings: timings() },
        Spec::Assemble(spec) => TaskOutput::Episode {
            episode: keep("episode"),
            contact_sheet: keep("sheet"),
            duration: Frames(24 * spec.shots.len() as u64),
            clips: spec
                .shots
                .iter()
                .map(|shot| ClipOutput {
                    shot: shot.shot,
                    video: keep(&format!("clip {}", shot.shot)),
                    draft: shot.is_draft(),
                })
                .collect(),
            timings: timings(),
        },
        Spec::Collect(_) => {
            let pictures = (0..5).map(|n| keep(&format!("picture {n}"))).collect();
            TaskOutput::Dataset { dataset: keep("dataset"), pictures, generated: 0, refused: 0 }
        }
        Spec::Train(_) => {
            TaskOutput::Lora { lora: keep("LoRA"), curve: vec![(1, 1.0)], samples: keep("samples"), timings: timings() }
        }
        Spec::Convert(_) => {
            TaskOutput::Converted { lora: keep("LoRA"), rank: 4, alpha: 4.0, energy: 1.0, timings: timings() }
        }
        Spec::Prove(_) => TaskOutput::Proof { proof: PROOF, sheet: keep("sheet"), timings: timings() },
        Spec::Command(spec) => {
            let (digest, name) = (keep("file"), spec.name());
            let file = CommandFile { path: format!("Out/{name}"), digest, bytes: 1, executable: false };
            TaskOutput::Command { files: vec![file], log: keep("log"), timings: timings() }
        }
        Spec::Breakdown { .. } => return None,
    };
    Some(Rehearsal { output, artifacts })
}

const QUALITY: ReferenceQuality =
    ReferenceQuality { detection: 0.9, face_size: 64.0, yaw: 0.0, sharpness: 9.0, weight: 0.8, agreement: None };

/// One that is no better than without.
const PROOF: LoraProof = LoraProof {
    against: None,
    pictures: 2,
    before: 0.5,
    after: 0.5,
    gain_lower: 0.0,
    accepted: (1, 1),
    text_alone: None,
    adherence: None,
    diversity: (0.5, 0.5),
    copies: 0,
};

fn summary(embedder: Digest) -> CalibrationSummary {
    let (pack, anchors) = (String::new(), Vec::new());
    CalibrationSummary { pack, embedder, anchors, genuine: 5, impostors: 1000, others: 0, uncalibrated: None }
}

fn verdict(spec: &ValidateSpec, mark: &str) -> Verdict {
    let drawn = Digest::of(mark.as_bytes()).as_bytes()[0] % 10;
    let character = format!("shot {}", spec.shot);
    let decision = match drawn {
        0..6 => Decision::Accept,
        6..8 => Decision::Reject {
            reasons: vec![Reason::IdentityBelowGate { character, p10: Idr(0.4), gate: 0.75, worst_frame: 0 }],
        },
        _ => Decision::Unscored { reasons: vec![Reason::FaceMissing { character, coverage: 0.0 }] },
    };
    let models =
        ModelsUsed { pack: "made up".into(), detector: spec.pack, embedder: spec.pack, calibration: mark.to_owned() };
    Verdict { decision, characters: vec![], frames: vec![], strangers: vec![], models, looks: Box::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProfileSpec;

    #[test]
    fn what_is_made_up_is_told_by_the_attempt_that_made_it() {
        let spec = Spec::Profile(ProfileSpec {
            pack: Digest::of(b"p"),
            character: "MARA".into(),
            references: vec![("1.png".into(), Digest::of(b"1"))],
        });
        let (first, second) = (rehearse(&spec, "epoch 1").unwrap(), rehearse(&spec, "epoch 2").unwrap());
        assert_eq!(first.artifacts[0], b"profile of epoch 1");
        assert_ne!(first.output, second.output);
        let named = first.output.artifacts().into_iter().map(|(_, digest)| digest).collect::<Vec<_>>();
        let kept = first.artifacts.iter().map(|bytes| Digest::of(bytes)).collect::<Vec<_>>();
        assert_eq!(named, kept, "everything that it names is there");
        assert_eq!(rehearse(&Spec::Breakdown { script: Digest::of(b"s") }, "epoch 1"), None);
    }
}
