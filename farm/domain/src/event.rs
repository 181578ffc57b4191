//! What happened, in commit order. Watchers read only this.

use serde::{Deserialize, Serialize};

use crate::{CharacterId, JobId, JobState, Priority, ProjectId, ShotKey, TaskId, TaskKind, Timestamp};

/// Position in the event log, from 1, in commit order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

/// One thing that happened. The store gives it its sequence when the change commits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Where in the log; 0 until committed.
    pub seq: EventSeq,
    /// When.
    pub at: Timestamp,
    /// In which project.
    pub project: ProjectId,
    /// In which job.
    pub job: Option<JobId>,
    /// What.
    pub body: EventBody,
}

/// What happened. Version 1 of the event format: variants and fields are only ever added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// A project was made.
    ProjectCreated {
        /// Its name.
        name: String,
    },
    /// A character has a new revision, or its profile is ready or refused.
    CharacterChanged {
        /// Which.
        character: CharacterId,
        /// `profiling`, `ready` or `refused`.
        state: String,
    },
    /// A character was forgotten: every revision of it is gone.
    CharacterForgotten {
        /// Which it was.
        character: CharacterId,
    },
    /// A job was pushed.
    JobCreated {
        /// What.
        title: String,
        /// Tasks that it compiled to so far.
        tasks: u32,
    },
    /// A job ended, or ended otherwise.
    JobChanged {
        /// Its state now.
        state: JobState,
    },
    /// Somebody paused a job, let it go on, or made it more or less urgent.
    JobAdjusted {
        /// How urgent it is now.
        priority: Priority,
        /// Whether it is paused now.
        paused: bool,
    },
    /// A task changed its state.
    TaskChanged {
        /// Which.
        task: TaskId,
        /// What it does.
        kind: TaskKind,
        /// For which shot.
        shot: Option<ShotKey>,
        /// Which take of it.
        take: Option<u32>,
        /// Of a command: its step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// Of a command: its parameters, `Frame=3`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// `waiting`, `ready`, `leased`, `done`, `failed`, `cancelled`.
        state: String,
        /// A sentence where there is something to say: the verdict, the problem, `reused`.
        note: Option<String>,
    },
}
