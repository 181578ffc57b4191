//! What is written together.

use greenroom_domain::{
    Character, Deed, Event, EventSeq, Forgotten, Job, LeaseEpoch, Policy, Project, Task, TaskState, Token, User,
};

use crate::Forgetting;

/// Changes that become true together, and the events that tell of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Applied in this order; a later one sees what an earlier one did.
    pub changes: Vec<Change>,
    /// Appended in this order. Their `seq` is ignored: the store gives it.
    pub events: Vec<Event>,
}

/// One row that is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new project; its id and name are free.
    InsertProject(Project),
    /// The next revision of a character, or the first of a new one; no other character of the project has its name now.
    InsertCharacter(Character),
    /// The state, the measured qualities and further calibrations of one revision; everything else stays as it was.
    UpdateCharacter(Character),
    /// A new job, where no job of the project answers the same request already (see [`crate::JobStore::job_by_request`]).
    InsertJob(Job),
    /// The title, the state, the priority or the pause of a job that is not final.
    UpdateJob(Job),
    /// A new task of a job that is not final.
    InsertTask(Task),
    /// The spec, state, epoch or failures of a task that is not final.
    UpdateTask {
        /// As it shall be.
        task: Task,
        /// As the writer saw it: the batch is refused if it is otherwise by now.
        was: Expected,
    },
    /// A character goes for good.
    Forget(Box<Forgetting>),
    /// What became of a forgotten character's belongings.
    UpdateForgotten(Forgotten),
    /// The next revision of the policy.
    SetPolicy(Policy),
    /// A new user; its name is free among those who are there.
    InsertUser(User),
    /// What a user who is there may do, or that it is there no more.
    UpdateUser(User),
    /// A new token; nobody has its secret.
    InsertToken(Token),
    /// That a token was revoked, used, or given a new secret. One that was revoked or used stays as it is.
    UpdateToken(Token),
    /// A further row of the audit log.
    AppendAudit(Deed),
    /// How far the reader of this name has read in the event log.
    SetBookmark {
        /// Who reads.
        name: String,
        /// The last event that it is done with.
        seq: EventSeq,
    },
}

/// The version of a task that a writer read: within one state and epoch a task only ever waits for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Name of its state.
    pub state: &'static str,
    /// Leases so far.
    pub epoch: LeaseEpoch,
    /// How many tasks it waited for, so that of two writers who each strike out one, the second must look again.
    pub waits: usize,
}

impl Expected {
    /// The version of this task; take it before the transition consumes the task.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        let waits = if let TaskState::Waiting { on } = &task.state { on.len() } else { 0 };
        Self { state: task.state.name(), epoch: task.epoch, waits }
    }
}

impl Batch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a change.
    #[must_use]
    pub fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds a new project.
    #[must_use]
    pub fn insert_project(self, project: Project) -> Self {
        self.change(Change::InsertProject(project))
    }

    /// Adds a new revision of a character.
    #[must_use]
    pub fn insert_character(self, character: Character) -> Self {
        self.change(Change::InsertCharacter(character))
    }

    /// Adds the state of one revision of a character.
    #[must_use]
    pub fn update_character(self, character: Character) -> Self {
        self.change(Change::UpdateCharacter(character))
    }

    /// Adds a new job.
    #[must_use]
    pub fn insert_job(self, job: Job) -> Self {
        self.change(Change::InsertJob(job))
    }

    /// Adds the state of a job.
    #[must_use]
    pub fn update_job(self, job: Job) -> Self {
        self.change(Change::UpdateJob(job))
    }

    /// Adds a new task.
    #[must_use]
    pub fn insert_task(self, task: Task) -> Self {
        self.change(Change::InsertTask(task))
    }

    /// Adds the new state of a task that was seen as `was`.
    #[must_use]
    pub fn update_task(self, task: Task, was: Expected) -> Self {
        self.change(Change::UpdateTask { task, was })
    }

    /// Forgets a character.
    #[must_use]
    pub fn forget(self, forgetting: Forgetting) -> Self {
        self.change(Change::Forget(Box::new(forgetting)))
    }

    /// Adds what became of a forgotten character's belongings.
    #[must_use]
    pub fn update_forgotten(self, forgotten: Forgotten) -> Self {
        self.change(Change::UpdateForgotten(forgotten))
    }

    /// Adds the next revision of the policy.
    #[must_use]
    pub fn set_policy(self, policy: Policy) -> Self {
        self.change(Change::SetPolicy(policy))
    }

    /// Adds an event.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// Adds everything of another batch behind what is here.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.changes.extend(other.changes);
        self.events.extend(other.events);
        self
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.events.is_empty()
    }
}
