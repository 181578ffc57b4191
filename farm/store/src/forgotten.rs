//! Forgetting a character: what is written together, and reading what is left.

use async_trait::async_trait;
use greenroom_domain::{
    Character, CharacterId, Digest, Event, EventSeq, Forgotten, Job, JobId, ProjectId, Task, TaskId,
};
use std::{collections::BTreeSet, fmt};

use crate::Result;

/// Everything that becomes true when a character is forgotten: its revisions go, a stone takes their place, and rows that
/// named something of it are written anew. The only change by which a row goes, and by which one that ended changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Forgetting {
    /// What is left.
    pub stone: Forgotten,
    /// Revisions of other characters.
    pub characters: Vec<Character>,
    /// Jobs that have ended.
    pub jobs: Vec<Job>,
    /// Tasks that have ended.
    pub tasks: Vec<Task>,
    /// Events, each in its own place in the log.
    pub events: Vec<Event>,
}

impl Forgetting {
    /// How many rows are written anew.
    #[must_use]
    pub fn rewritten(&self) -> usize {
        self.characters.len() + self.jobs.len() + self.tasks.len() + self.events.len()
    }
}

/// A row that names an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// Which artifact.
    pub digest: Digest,
    /// Which row.
    pub row: Row,
}

/// One row of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// A project.
    Project(ProjectId),
    /// One revision of a character.
    Character(CharacterId, u32),
    /// A job.
    Job(JobId),
    /// A task.
    Task(TaskId),
    /// An event.
    Event(EventSeq),
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(id) => write!(f, "project {id}"),
            Self::Character(id, revision) => write!(f, "character {id}, revision {revision}"),
            Self::Job(id) => write!(f, "job {id}"),
            Self::Task(id) => write!(f, "task {id}"),
            Self::Event(seq) => write!(f, "event {}", seq.0),
        }
    }
}

/// Reads what is left of characters that were forgotten, and who names what.
#[async_trait]
pub trait ForgottenStore: Send + Sync {
    /// What is left of the forgotten characters of a project, the first forgotten first.
    async fn forgotten(&self, project: ProjectId) -> Result<Vec<Forgotten>>;

    /// Those of every project some of whose bytes are still to be removed.
    async fn unfinished(&self) -> Result<Vec<Forgotten>>;

    /// Every row that names one of these artifacts, the stones left out. Reads the whole ledger, as it is stored and not as
    /// it is understood: for forgetting, and for proving it.
    async fn mentions(&self, digests: &BTreeSet<Digest>) -> Result<Vec<Mention>>;
}
