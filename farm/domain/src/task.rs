//! One node of a job's graph, and the only ways its state may change.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};
use thiserror::Error;

use crate::{JobId, Problem, ShotKey, Spec, TaskId, TaskOutput, Timestamp, WorkerId};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// References → identity profile.
    Profile,
    /// Identity profiles → a character's own curve.
    Calibrate,
    /// Script → shots.
    Breakdown,
    /// Shot → take.
    Generate,
    /// Rejected take → take with other faces.
    Repair,
    /// Take → verdict.
    Validate,
    /// Takes → clips and episode.
    Assemble,
    /// References and accepted takes → pictures that a LoRA is trained on.
    Collect,
    /// Pictures → LoRA.
    Train,
    /// LoRA → LoRA of another rank, naming or precision.
    Convert,
    /// LoRA → what it brings.
    Prove,
    /// A template's step with one set of parameters → files.
    Command,
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Profile => "profile",
            Self::Calibrate => "calibrate",
            Self::Breakdown => "breakdown",
            Self::Generate => "generate",
            Self::Repair => "repair",
            Self::Validate => "validate",
            Self::Assemble => "assemble",
            Self::Collect => "collect",
            Self::Train => "train",
            Self::Convert => "convert",
            Self::Prove => "prove",
            Self::Command => "command",
        })
    }
}

/// Grows by one with every lease of a task. A message with an older epoch comes from a worker that lost the task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseEpoch(pub u64);

/// Who runs a task now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// By whom.
    pub worker: WorkerId,
    /// Only this epoch may publish.
    pub epoch: LeaseEpoch,
    /// Since when.
    pub since: Timestamp,
}

/// One node of a job's graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose graph.
    pub job: JobId,
    /// For which shot; none for profile, breakdown and assemble.
    pub shot: Option<ShotKey>,
    /// The take's number for generate, repair and validate, 1 for the first.
    pub take: Option<u32>,
    /// What it does.
    pub kind: TaskKind,
    /// Complete once nothing is waited for: specs that need another task's output are filled in then.
    pub spec: Option<Spec>,
    /// Where it stands.
    pub state: TaskState,
    /// Leases so far; the next one gets the next number.
    pub epoch: LeaseEpoch,
    /// Leases that ended in a failure that may be tried again.
    pub failures: u32,
    /// When it was made.
    pub created: Timestamp,
}

/// ```text
/// Waiting ──► Ready ──► Leased ──┬──► Done      (a validate task is done whatever its verdict says)
///    │          ▲         │      └──► Failed
///    │          └─ retry ─┘
///    └──────────┴──────────────────► Cancelled
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    /// Needs the outputs of others.
    Waiting {
        /// Those that are not done yet.
        on: BTreeSet<TaskId>,
    },
    /// Can be leased.
    Ready {
        /// Since when; the oldest goes first.
        since: Timestamp,
    },
    /// Runs on a worker.
    Leased(Lease),
    /// Has its output.
    Done {
        /// What it gave.
        output: TaskOutput,
        /// When.
        at: Timestamp,
        /// From the lease, or zero where an earlier equal task's output was taken.
        seconds: f64,
        /// Taken from an earlier equal task: nothing was run.
        reused: bool,
    },
    /// Cannot be done.
    Failed {
        /// Why.
        problem: Problem,
        /// When.
        at: Timestamp,
    },
    /// Nobody wants it any more.
    Cancelled {
        /// When.
        at: Timestamp,
    },
}

/// Why a worker could not do a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{problem}")]
pub struct TaskError {
    /// What to tell.
    pub problem: Problem,
    /// Whether another attempt may succeed (a lost worker, a full disk), or never can (a corrupt input).
    pub retry: bool,
}

/// A transition that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransitionError {
    /// The task is not leased by this epoch: the sender lost it.
    #[error("task {task} is not leased under epoch {epoch:?}")]
    Fenced {
        /// Which task.
        task: TaskId,
        /// What the sender believed.
        epoch: LeaseEpoch,
    },
    /// The state does not lead there.
    #[error("task {task} cannot become {to} from {from}")]
    Not {
        /// Which task.
        task: TaskId,
        /// Its state.
        from: &'static str,
        /// The wanted state.
        to: &'static str,
    },
}

/// A task that keeps failing is given up after this many attempts: one sick worker is survived, a poisonous task is not
/// run for ever.
pub const MAX_FAILURES: u32 = 3;

impl TaskState {
    /// One word, as `jobs` and events show it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Ready { .. } => "ready",
            Self::Leased(_) => "leased",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Never changes again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. } | Self::Cancelled { .. })
    }
}

impl Task {
    /// Its output, once done.
    #[must_use]
    pub const fn output(&self) -> Option<&TaskOutput> {
        match &self.state {
            TaskState::Done { output, .. } => Some(output),
            _ => None,
        }
    }

    /// Gives the task to a worker under the next epoch.
    ///
    /// # Errors
    /// If it is not ready.
    pub fn lease(mut self, worker: WorkerId, now: Timestamp) -> Result<Self, TransitionError> {
        let TaskState::Ready { .. } = self.state else { return Err(self.refuse("leased")) };
        self.epoch = LeaseEpoch(self.epoch.0 + 1);
        self.state = TaskState::Leased(Lease { worker, epoch: self.epoch, since: now });
        Ok(self)
    }

    /// Everything it waited for is done; `spec` is now complete.
    ///
    /// # Errors
    /// If it is not waiting.
    pub fn ready(mut self, spec: Spec, now: Timestamp) -> Result<Self, TransitionError> {
        let TaskState::Waiting { .. } = self.state else { return Err(self.refuse("ready")) };
        self.spec = Some(spec);
        self.state = TaskState::Ready { since: now };
        Ok(self)
    }

    /// The leaseholder's output.
    ///
    /// # Errors
    /// If the sender is not the current leaseholder: only the current epoch may publish.
    pub fn finish(mut self, epoch: LeaseEpoch, output: TaskOutput, now: Timestamp) -> Result<Self, TransitionError> {
        let lease = self.lease_of(epoch)?;
        let seconds = now.since(lease.since).as_secs_f64();
        self.state = TaskState::Done { output, at: now, seconds, reused: false };
        Ok(self)
    }

    /// Takes the output of an earlier task with an equal spec.
    ///
    /// # Errors
    /// If it is not ready.
    pub fn reuse(mut self, output: TaskOutput, now: Timestamp) -> Result<Self, TransitionError> {
        let TaskState::Ready { .. } = self.state else { return Err(self.refuse("done")) };
        self.state = TaskState::Done { output, at: now, seconds: 0.0, reused: true };
        Ok(self)
    }

    /// The leaseholder's failure: back to ready if another attempt may help and is left, else failed.
    ///
    /// # Errors
    /// If the sender is not the current leaseholder.
    pub fn fail(mut self, epoch: LeaseEpoch, error: TaskError, now: Timestamp) -> Result<Self, TransitionError> {
        self.lease_of(epoch)?;
        self.failures += 1;
        self.state = if error.retry && self.failures < MAX_FAILURES {
            TaskState::Ready { since: self.created }
        } else {
            TaskState::Failed { problem: error.problem, at: now }
        };
        Ok(self)
    }

    /// Back to ready without blame: the daemon restarted and does not know the leaseholder, who may no longer publish.
    ///
    /// # Errors
    /// If it is not leased under this epoch.
    pub fn release(mut self, epoch: LeaseEpoch) -> Result<Self, TransitionError> {
        self.lease_of(epoch)?;
        self.state = TaskState::Ready { since: self.created };
        Ok(self)
    }

    /// Nobody wants it any more; final states stay as they are.
    #[must_use]
    pub fn cancel(mut self, now: Timestamp) -> Self {
        if !self.state.is_final() {
            self.state = TaskState::Cancelled { at: now };
        }
        self
    }

    fn lease_of(&self, epoch: LeaseEpoch) -> Result<Lease, TransitionError> {
        match self.state {
            TaskState::Leased(lease) if lease.epoch == epoch => Ok(lease),
            _ => Err(TransitionError::Fenced { task: self.id, epoch }),
        }
    }

    const fn refuse(&self, to: &'static str) -> TransitionError {
        TransitionError::Not { task: self.id, from: self.state.name(), to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, ProblemKind};

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn ready() -> Task {
        Task {
            id: TaskId::new(NOW, [1; 10]),
            job: JobId::new(NOW, [2; 10]),
            shot: None,
            take: None,
            kind: TaskKind::Breakdown,
            spec: Some(Spec::Breakdown { script: Digest::of(b"s") }),
            state: TaskState::Ready { since: NOW },
            epoch: LeaseEpoch(0),
            failures: 0,
            created: NOW,
        }
    }

    fn worker(n: u8) -> WorkerId {
        WorkerId::new(NOW, [n; 10])
    }

    fn lost() -> TaskError {
        let problem = Problem::new(ProblemKind::Unavailable, "run task", "worker", "went away", "wait");
        TaskError { problem, retry: true }
    }

    fn output() -> TaskOutput {
        TaskOutput::Breakdown { breakdown: Digest::of(b"b") }
    }

    #[test]
    fn only_the_current_lease_may_publish() {
        let first = ready().lease(worker(1), NOW).unwrap();
        let old = first.epoch;
        let second = first.fail(old, lost(), NOW).unwrap().lease(worker(2), NOW).unwrap();
        assert!(matches!(second.clone().finish(old, output(), NOW), Err(TransitionError::Fenced { .. })));
        let epoch = second.epoch;
        assert_eq!(second.finish(epoch, output(), NOW).unwrap().state.name(), "done");
    }

    #[test]
    fn a_task_that_keeps_failing_is_given_up() {
        let mut task = ready();
        for _ in 0..MAX_FAILURES {
            task = task.lease(worker(1), NOW).unwrap();
            let epoch = task.epoch;
            task = task.fail(epoch, lost(), NOW).unwrap();
        }
        assert_eq!(task.state.name(), "failed");
        assert!(task.lease(worker(1), NOW).is_err());
    }

    #[test]
    fn a_corrupt_input_is_not_tried_again() {
        let task = ready().lease(worker(1), NOW).unwrap();
        let epoch = task.epoch;
        let error = TaskError { retry: false, ..lost() };
        assert_eq!(task.fail(epoch, error, NOW).unwrap().state.name(), "failed");
    }
}
