//! Every change of a job: read, decide by the pure crates, commit with its events, ring the bells.

mod adjust;
mod character;
mod group;

use greenroom_domain::{
    CharacterState, Event, EventBody, EventSeq, Job, JobId, JobState, LeaseEpoch, Problem, ProblemKind, Spec, Task,
    TaskError, TaskId, TaskKind, TaskOutput, TaskState, Timestamp, TransitionError, WorkerId,
};
use greenroom_schedule::{Next, Plan, settle};
use greenroom_store::{Batch, Expected, StoreError};
use std::collections::{BTreeMap, btree_map::Entry};
use thiserror::Error;

use crate::{access, book, clock, command, farm::Farm, learn, push};

pub(crate) use group::Wish;

/// Why a change was not made.
#[derive(Debug, Error)]
pub(crate) enum LedgerError {
    /// The ledger itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task's state does not allow it; a worker that lost its lease hears this.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// Something the change needs is gone.
    #[error("{0}")]
    Problem(#[from] Problem),
}

impl LedgerError {
    /// Whether nothing is wrong with the change itself: the ledger or the artifacts cannot be used at this moment.
    pub(crate) fn may_pass(&self) -> bool {
        self.problem().kind == ProblemKind::Unavailable
    }

    /// For people.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Store(e) => e.problem(),
            Self::Problem(problem) => problem.clone(),
            Self::Transition(e) => {
                Problem::new(ProblemKind::Conflict, "change task", "task", e, "look at its state and try again")
            }
        }
    }
}

/// A job with its tasks, being changed.
struct Work {
    job: Job,
    plan: Option<Plan>,
    tasks: Vec<Task>,
    seen: Vec<Expected>,
    touched: Vec<bool>,
    job_changed: bool,
    events: Vec<Event>,
}

impl Farm {
    /// Gives ready tasks to workers, all in one transaction. Those that are ready no more are left out of the answer.
    pub(crate) async fn lease(&self, leases: &[(TaskId, WorkerId)]) -> Result<Vec<Task>, LedgerError> {
        let _turn = self.writing.lock().await;
        let now = clock::now();
        let (mut jobs, mut batch, mut leased) = (BTreeMap::new(), Batch::new(), Vec::new());
        for &(id, worker) in leases {
            let Some(task) = self.store.task(id).await? else { continue };
            let was = Expected::of(&task);
            let Ok(task) = task.lease(worker, now) else { continue };
            let job = match jobs.entry(task.job) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.job_of(task.job).await?),
            };
            batch = batch.update_task(task.clone(), was).event(event(job, now, task_event(&task)));
            leased.push(task);
        }
        if !leased.is_empty() {
            self.commit(batch).await?;
        }
        Ok(leased)
    }

    /// The leaseholder's output.
    pub(crate) async fn finish(
        &self,
        task: TaskId,
        epoch: LeaseEpoch,
        output: TaskOutput,
    ) -> Result<Task, LedgerError> {
        self.change(task, move |_, t, now| Ok(t.finish(epoch, output.clone(), now)?)).await
    }

    /// The leaseholder's failure.
    pub(crate) async fn fail(&self, task: TaskId, epoch: LeaseEpoch, error: TaskError) -> Result<Task, LedgerError> {
        self.change(task, move |farm, t, now| {
            let error = farm.within_budget(&t, error.clone());
            Ok(t.fail(epoch, error, now)?)
        })
        .await
    }

    /// Back to ready without blame: its worker paused it at a checkpoint, or somebody asked for it.
    pub(crate) async fn release(&self, task: TaskId, epoch: LeaseEpoch) -> Result<Task, LedgerError> {
        self.change(task, move |_, t, _| Ok(t.release(epoch)?)).await
    }

    /// An earlier equal task's output.
    pub(crate) async fn reuse(&self, task: TaskId, output: TaskOutput) -> Result<Task, LedgerError> {
        self.change(task, move |_, t, now| Ok(t.reuse(output.clone(), now)?)).await
    }

    /// The leaseholder is gone. With blame it counts as a failed attempt.
    pub(crate) async fn requeue(&self, task: TaskId, blame: bool) -> Result<Task, LedgerError> {
        self.change(task, move |farm, t, now| {
            let epoch = t.epoch;
            if !blame {
                return Ok(t.release(epoch)?);
            }
            let cause = "its worker went away";
            let remedy = "look at the worker's log; it may lack memory";
            let problem = Problem::new(ProblemKind::Unavailable, "run task", t.id.to_string(), cause, remedy);
            let error = farm.within_budget(&t, TaskError { problem, retry: true });
            Ok(t.fail(epoch, error, now)?)
        })
        .await
    }

    /// Stops a job; one that has ended stays as it is.
    pub(crate) async fn cancel(&self, id: JobId) -> Result<Job, LedgerError> {
        let _turn = self.writing.lock().await;
        let now = clock::now();
        let mut work = self.work_on(id).await?;
        if work.job.state.is_final() {
            return Ok(work.job);
        }
        for i in 0..work.tasks.len() {
            let cancelled = work.tasks[i].clone().cancel(now);
            work.put(i, cancelled, now);
        }
        work.end(JobState::Cancelled { at: now }, now);
        let job = work.job.clone();
        self.write(work, now).await?;
        Ok(job)
    }

    /// Appends events and changes, and rings the bells.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let _one_step = self.committing.lock().await;
        let news = book::news(&batch);
        let (started, unsure) = (clock::instant(), Unsure(self));
        let written = self.store.commit(access::sign(batch)).await;
        if !matches!(written, Err(StoreError::Io { .. } | StoreError::Unusable(_))) {
            std::mem::forget(unsure);
        }
        let events = written?;
        self.metrics.committed(started.elapsed());
        events.iter().for_each(|event| self.metrics.hear(event));
        access::signed();
        self.note(news, self.time.now());
        if let Some(last) = events.last() {
            self.committed.send_if_modified(|seq| std::mem::replace(seq, last.seq.max(*seq)) < last.seq);
        }
        self.work.notify_one();
        Ok(())
    }

    /// A job with all of its tasks, so that what follows from a change can be told.
    async fn work_on(&self, id: JobId) -> Result<Work, LedgerError> {
        let job = self.job_of(id).await?;
        let tasks = self.store.tasks(id).await?;
        let plan = match tasks.first().map(|task| task.kind) {
            Some(TaskKind::Breakdown) => Some(Plan::Script(Box::new(push::load_plan(self, &job).await?))),
            Some(TaskKind::Collect | TaskKind::Convert) => {
                Some(Plan::Lora(Box::new(learn::load_plan(self, &job).await?)))
            }
            Some(TaskKind::Command) => Some(Plan::Command(Box::new(command::load_plan(self, &job).await?))),
            _ => None,
        };
        Ok(Work::new(job, plan, tasks))
    }

    pub(super) async fn job_of(&self, id: JobId) -> Result<Job, LedgerError> {
        Ok(self.store.job(id).await?.ok_or(StoreError::Missing { noun: "job", id: id.to_string() })?)
    }

    async fn write(&self, work: Work, now: Timestamp) -> Result<(), LedgerError> {
        let (batch, _) = self.batch(work, now).await?;
        Ok(self.commit(batch).await?)
    }

    /// Everything that is to be written, and whether a character changes with it.
    async fn batch(&self, work: Work, now: Timestamp) -> Result<(Batch, bool), LedgerError> {
        let changed = match (&work.plan, self.profiled(&work.job, &work.tasks).await?) {
            (Some(Plan::Lora(plan)), _) => self.trained(&work, plan, now).await?,
            (_, Some(profiled)) => Some(profiled),
            (_, None) => self.calibrated(&work, now).await?,
        };
        let mut batch = Batch { events: work.events, ..Batch::new() };
        for (i, task) in work.tasks.iter().enumerate() {
            match work.seen.get(i) {
                Some(&was) if work.touched[i] => batch = batch.update_task(task.clone(), was),
                Some(_) => {}
                None => batch = batch.insert_task(task.clone()),
            }
        }
        let with_character = changed.is_some();
        if let Some(character) = changed {
            let state = state_name(&character.state).to_owned();
            let body = EventBody::CharacterChanged { character: character.id, state };
            batch.events.insert(0, event(&work.job, now, body));
            batch = batch.update_character(character);
        }
        if work.job_changed {
            batch = batch.update_job(work.job);
        }
        Ok((batch, with_character))
    }
}

/// A commit whose end nobody has heard of yet. Where it is dropped, by an error or because whoever waited has gone, it may be
/// written all the same, and the book is compared with the ledger.
struct Unsure<'a>(&'a Farm);

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        self.0.in_doubt();
    }
}

impl Work {
    fn new(job: Job, plan: Option<Plan>, tasks: Vec<Task>) -> Self {
        let seen = tasks.iter().map(Expected::of).collect();
        Self { touched: vec![false; tasks.len()], job, plan, tasks, seen, job_changed: false, events: vec![] }
    }

    /// Follows up until nothing more follows.
    fn settle(&mut self, now: Timestamp) {
        loop {
            let next = settle(&self.job, self.plan.as_ref(), &self.tasks, now, &mut clock::new_task);
            if next == Next::default() {
                return;
            }
            for task in next.update {
                if let Some(at) = self.tasks.iter().position(|t| t.id == task.id) {
                    self.put(at, task, now);
                }
            }
            for task in next.insert {
                self.insert(task, now);
            }
            if let Some(state) = next.job {
                self.end(state, now);
            }
        }
    }

    fn put(&mut self, at: usize, task: Task, now: Timestamp) {
        if task == self.tasks[at] {
            return;
        }
        if task.state.name() != self.tasks[at].state.name() {
            self.events.push(event(&self.job, now, task_event(&task)));
        }
        self.tasks[at] = task;
        self.touched[at] = true;
    }

    fn insert(&mut self, task: Task, now: Timestamp) {
        self.events.push(event(&self.job, now, task_event(&task)));
        self.tasks.push(task);
        self.touched.push(true);
    }

    fn end(&mut self, state: JobState, now: Timestamp) {
        self.job.state = state.clone();
        self.job_changed = true;
        self.events.push(event(&self.job, now, EventBody::JobChanged { state }));
    }
}

/// An event of a job.
pub(crate) const fn event(job: &Job, now: Timestamp, body: EventBody) -> Event {
    Event { seq: EventSeq(0), at: now, project: job.project, job: Some(job.id), body }
}

/// A task's state as an event.
pub(crate) fn task_event(task: &Task) -> EventBody {
    let (step, label) = match &task.spec {
        Some(Spec::Command(spec)) => (Some(spec.step.clone()), Some(spec.label.clone())),
        _ => (None, None),
    };
    EventBody::TaskChanged {
        task: task.id,
        kind: task.kind,
        shot: task.shot,
        take: task.take,
        step,
        label,
        state: task.state.name().to_owned(),
        note: note(task),
    }
}

/// `profiling`, `ready` or `refused`.
pub(crate) const fn state_name(state: &CharacterState) -> &'static str {
    match state {
        CharacterState::Profiling { .. } => "profiling",
        CharacterState::Ready { .. } => "ready",
        CharacterState::Refused { .. } => "refused",
    }
}

/// A sentence where there is something to say.
pub(crate) fn note(task: &Task) -> Option<String> {
    match &task.state {
        TaskState::Done { output: TaskOutput::Verdict { verdict, .. }, .. } => Some(verdict.to_string()),
        TaskState::Done { reused: true, .. } => Some("reused".into()),
        TaskState::Failed { problem, .. } => Some(problem.to_string()),
        TaskState::Ready { .. } | TaskState::Leased(_) => why(task),
        _ => None,
    }
}

/// Why a further take of a shot is made.
fn why(task: &Task) -> Option<String> {
    match task.spec.as_ref()? {
        Spec::Repair(spec) => {
            let doubles = spec.figures.iter().map(|figure| format!("removing a second {}", figure.character));
            let faces = spec.faces.iter().map(|face| format!("repairing {}", face.character));
            Some(format!("{} in take {}", doubles.chain(faces).collect::<Vec<_>>().join(" and "), spec.of))
        }
        Spec::Generate(spec) if spec.take > 1 => Some("a new seed".into()),
        _ => None,
    }
}
