//! Why the ledger could not be read or written.

use greenroom_domain::{CharacterId, JobId, Problem, ProblemKind, TaskId};
use std::fmt;
use thiserror::Error;

/// What every method of a store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why the ledger could not be read or written. Whichever it is, nothing of the batch was applied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else changed the task since it was read: read again, decide again.
    #[error("task {task} has changed since it was read")]
    Stale {
        /// Which.
        task: TaskId,
    },
    /// What must be unique is there already.
    #[error("{0} exists already")]
    Exists(Unique),
    /// What the change refers to is not there.
    #[error("there is no {noun} {id}")]
    Missing {
        /// `project`, `character`, `job`, `task`.
        noun: &'static str,
        /// Its id.
        id: String,
    },
    /// A job or task that ended stays as it is, and an ended job gets no more tasks.
    #[error("{noun} {id} has ended and stays as it is")]
    Final {
        /// `job`, `task`, `user` or `token`.
        noun: &'static str,
        /// Its id.
        id: String,
    },
    /// An update tried to change what is fixed for life.
    #[error("the {field} of {noun} {id} never changes")]
    Fixed {
        /// `character`, `job` or `task`.
        noun: &'static str,
        /// Its id.
        id: String,
        /// What differs.
        field: &'static str,
    },
    /// The ledger is damaged, or was written by something else.
    #[error("the ledger is damaged: {0}")]
    Corrupt(String),
    /// The ledger cannot be opened as it is; a person must act.
    #[error("{0}")]
    Unusable(Problem),
    /// The machine failed: disk, file system, database.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What can be there only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unique {
    /// A project's name.
    Project {
        /// The name.
        name: String,
    },
    /// A character's name in a project.
    Character {
        /// The name.
        name: String,
    },
    /// A revision of a character: somebody else made one meanwhile.
    Revision {
        /// Of which character.
        character: CharacterId,
        /// Its number.
        revision: u32,
    },
    /// A revision of the policy: somebody else changed it meanwhile.
    Policy {
        /// Its number.
        revision: u64,
    },
    /// A request that a job answers already.
    Request {
        /// That job.
        job: JobId,
    },
    /// A user's name.
    User {
        /// The name.
        name: String,
    },
    /// An id.
    Id(String),
}

impl fmt::Display for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project { name } => write!(f, "project {name}"),
            Self::Character { name } => write!(f, "character {name}"),
            Self::Revision { character, revision } => write!(f, "revision {revision} of character {character}"),
            Self::Policy { revision } => write!(f, "revision {revision} of the policy"),
            Self::Request { job } => write!(f, "job {job} for the same request"),
            Self::User { name } => write!(f, "user {name}"),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

impl StoreError {
    /// The failure of a machine, with the step that met it.
    pub fn io(step: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Io { step, source: source.into() }
    }

    /// What to tell a person who asked for the change.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (kind, remedy) = match self {
            Self::Unusable(problem) => return problem.clone(),
            Self::Stale { .. } | Self::Final { .. } => (ProblemKind::Conflict, "look at its state and try again"),
            Self::Exists(_) => (ProblemKind::Conflict, "use the one that exists or choose another name"),
            Self::Missing { .. } => (ProblemKind::NotFound, "check the id"),
            Self::Fixed { .. } => (ProblemKind::Internal, "report this as a bug"),
            Self::Corrupt(_) => (ProblemKind::Internal, "stop the daemon and restore the ledger from a backup"),
            Self::Io { .. } => (ProblemKind::Unavailable, "check the disk that holds the ledger"),
        };
        Problem::new(kind, "use ledger", "ledger", self, remedy)
    }
}
