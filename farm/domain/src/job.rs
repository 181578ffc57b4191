//! What was asked in one push, and how it stands.

use serde::{Deserialize, Serialize};

use crate::{Digest, JobId, Problem, ProjectId, ShotKey, Timestamp};

/// What was asked in one push.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Where it belongs.
    pub project: ProjectId,
    /// What was pushed, for people: the script's title, or the character's name.
    pub title: String,
    /// Digest of everything that was asked; equal requests are one job.
    pub request: Digest,
    /// Where it stands.
    pub state: JobState,
    /// When it was pushed.
    pub created: Timestamp,
    /// Who pushed it; empty where it was no user of the farm.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
}

/// ```text
/// Active ──┬──► Done        every shot has an accepted take
///          ├──► Draft       finished, but some shots went in as their best take, marked
///          ├──► Failed
///          └──► Cancelled
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum JobState {
    /// Some task is not final.
    Active,
    /// Everything asked was made and accepted.
    Done {
        /// When.
        at: Timestamp,
    },
    /// Everything asked was made, not all of it accepted.
    Draft {
        /// When.
        at: Timestamp,
        /// Shots that went in as drafts.
        shots: Vec<ShotKey>,
    },
    /// A task failed for good.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        problem: Problem,
    },
    /// Somebody stopped it.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

impl Job {
    /// A job that was just pushed, by nobody in particular.
    #[must_use]
    pub fn new(id: JobId, project: ProjectId, title: String, request: Digest, created: Timestamp) -> Self {
        Self { id, project, title, request, state: JobState::Active, created, user: String::new() }
    }
}

impl JobState {
    /// One word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Done { .. } => "done",
            Self::Draft { .. } => "draft",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Never changes again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Active)
    }
}

/// How one shot ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShotOutcome {
    /// Which shot.
    pub shot: ShotKey,
    /// The take that was chosen, 1 for the first.
    pub take: u32,
    /// Whether the gate accepted it.
    pub accepted: bool,
}
