//! The proof that a character was forgotten, as the caller gets it.

use greenroom_domain::{Belonging, Fate, Footage};
use greenroom_proto::v1;

use super::convert::time;
use crate::forget::{Proof, Receipt};

pub(super) fn receipt(receipt: &Receipt) -> v1::Receipt {
    let Receipt { stone, footage_bytes, proof } = receipt;
    let with = |wanted: fn(&Fate) -> bool| {
        let found = stone.belongings.iter().filter(move |b| wanted(&b.fate));
        found.map(belonging).collect()
    };
    v1::Receipt {
        character: stone.character.to_string(),
        project: stone.project.to_string(),
        forget_time: time(stone.at),
        revisions: stone.revisions,
        removed: with(|fate| matches!(fate, Fate::Removed)),
        kept: with(|fate| !matches!(fate, Fate::Removed)),
        footage: stone.footage.iter().zip(footage_bytes).map(|(f, &bytes)| footage(f, bytes)).collect(),
        cancelled_jobs: stone.cancelled.iter().map(ToString::to_string).collect(),
        rewritten_rows: stone.rewritten,
        verification: Some(verification(proof)),
    }
}

fn belonging(b: &Belonging) -> v1::ForgottenArtifact {
    let reason = match &b.fate {
        Fate::Removed => String::new(),
        Fate::Kept { why } => why.clone(),
        Fate::Pending => "its bytes are still to be removed".into(),
    };
    let (kind, digest) = (b.kind.name().into(), b.digest.to_string());
    v1::ForgottenArtifact { kind, digest, bytes: b.bytes, reason, ..Default::default() }
}

fn footage(f: &Footage, bytes: u64) -> v1::ForgottenArtifact {
    v1::ForgottenArtifact {
        kind: f.kind.name().into(),
        digest: f.digest.to_string(),
        bytes,
        job: f.job.to_string(),
        shot: f.shot.map(|s| s.to_string()).unwrap_or_default(),
        ..Default::default()
    }
}

fn verification(proof: &Proof) -> v1::Verification {
    v1::Verification {
        time: time(proof.at),
        clean: proof.findings.is_empty(),
        digests: u32::try_from(proof.digests).unwrap_or(u32::MAX),
        artifacts_read: u32::try_from(proof.records).unwrap_or(u32::MAX),
        findings: proof.findings.clone(),
    }
}
