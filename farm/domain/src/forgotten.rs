//! What is left of a character that was forgotten: what was removed, what stayed and why. No name, picture or embedding.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::{CharacterId, Digest, JobId, ProjectId, ShotKey, Timestamp};

/// The ledger's one memory of a character that was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Which; the id was chance and says nothing.
    pub character: CharacterId,
    /// Where it belonged.
    pub project: ProjectId,
    /// See [`Forgotten::name_digest`].
    pub name: Digest,
    /// How many revisions it had.
    pub revisions: u32,
    /// When the ledger let go of it.
    pub at: Timestamp,
    /// Everything that was its own, and everything that had to be written anew without it.
    pub belongings: Vec<Belonging>,
    /// The production's footage that shows it: nothing removes that but the studio.
    pub footage: Vec<Footage>,
    /// Jobs that were stopped, because they were using it.
    pub cancelled: Vec<JobId>,
    /// Rows of the ledger that named something of it and do not any more.
    pub rewritten: u32,
    /// When the last of its bytes was gone; none while some are still to be removed.
    pub finished: Option<Timestamp>,
}

/// One artifact that was of the character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    /// What it was.
    pub kind: ArtifactKind,
    /// Its bytes' name.
    pub digest: Digest,
    /// Their number; 0 if they were not there.
    pub bytes: u64,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// The ledger has let go of it; its bytes are still to be removed.
    Pending,
    /// It is gone.
    Removed,
    /// Somebody else's too.
    Kept {
        /// Whose.
        why: String,
    },
}

/// A picture or film that shows the character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footage {
    /// Which job made it.
    pub job: JobId,
    /// What it is.
    pub kind: ArtifactKind,
    /// For which shot; none for what shows several.
    pub shot: Option<ShotKey>,
    /// The artifact.
    pub digest: Digest,
}

/// What an artifact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// A picture of a character.
    Reference,
    /// A person's signed release.
    Consent,
    /// An identity profile: embeddings.
    Profile,
    /// How its likeness is read.
    Calibration,
    /// A trained adapter.
    Lora,
    /// What one was trained on, as a list.
    Dataset,
    /// A picture that one was trained on, or that shows what it does.
    Sample,
    /// A small picture of a character, a take.
    Thumbnail,
    /// What a script's job was made from.
    Plan,
    /// A script's shots.
    Breakdown,
    /// A take.
    Take,
    /// A shot as published.
    Clip,
    /// All of them.
    Episode,
    /// Frames of them.
    ContactSheet,
    /// Frames of a take with the faces that were found in them.
    Strip,
    /// What a command left behind.
    CommandFile,
    /// What a command said.
    Log,
    /// Any other artifact that names one of these.
    Record,
}

impl ArtifactKind {
    /// One word, or two with an underscore.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Consent => "consent",
            Self::Profile => "profile",
            Self::Calibration => "calibration",
            Self::Lora => "lora",
            Self::Dataset => "dataset",
            Self::Sample => "sample",
            Self::Thumbnail => "thumbnail",
            Self::Plan => "plan",
            Self::Breakdown => "breakdown",
            Self::Take => "take",
            Self::Clip => "clip",
            Self::Episode => "episode",
            Self::ContactSheet => "contact_sheet",
            Self::Strip => "strip",
            Self::CommandFile => "command_file",
            Self::Log => "log",
            Self::Record => "record",
        }
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name().replace('_', " "))
    }
}

impl Forgotten {
    /// A name as a tombstone keeps it: salted by the character's id, so that equal names do not look alike and a list of
    /// names tells nothing without the ledger.
    #[must_use]
    pub fn name_digest(character: CharacterId, name: &str) -> Digest {
        Digest::of(format!("{character}\n{name}").as_bytes())
    }

    /// Whether the character had this name last.
    #[must_use]
    pub fn was_called(&self, name: &str) -> bool {
        self.name == Self::name_digest(self.character, name)
    }

    /// What stands in rows and records where the digest of its `n`th belonging stood: another digest, of nothing. Different
    /// belongings get different ones, so that requests that differed still differ.
    #[must_use]
    pub fn stand_in(character: CharacterId, n: usize) -> Digest {
        Digest::of(format!("{character}\nforgotten {n}").as_bytes())
    }

    /// The digests whose bytes are still to be removed.
    pub fn pending(&self) -> impl Iterator<Item = Digest> {
        self.belongings.iter().filter(|b| b.fate == Fate::Pending).map(|b| b.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_knows_its_name_and_does_not_tell_it() {
        let [one, other] = [1, 2].map(|n| CharacterId::new(Timestamp::from_millis(0), [n; 10]));
        let name = Forgotten::name_digest(one, "MARA");
        assert_ne!(name, Forgotten::name_digest(other, "MARA"));
        let (at, project) = (Timestamp::from_millis(0), ProjectId::new(Timestamp::from_millis(0), [3; 10]));
        let stone = Forgotten {
            character: one,
            project,
            name,
            revisions: 1,
            at,
            belongings: vec![],
            footage: vec![],
            cancelled: vec![],
            rewritten: 0,
            finished: None,
        };
        assert!(stone.was_called("MARA") && !stone.was_called("TOBIN"));
        assert!(!serde_json::to_string(&stone).unwrap().contains("MARA"));
    }
}
