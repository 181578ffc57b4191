//! Every change of a job: read, decide by the pure crates, commit with its events, ring the bells.

mod character;

use greenroom_domain::{
    CharacterState, Event, EventBody, EventSeq, Job, JobId, JobState, LeaseEpoch, Problem, ProblemKind, Spec, Task,
    TaskError, TaskId, TaskKind, TaskOutput, TaskState, Timestamp, TransitionError, WorkerId,
};
use greenroom_schedule::{Next, Plan, settle};
use greenroom_store::{Batch, Expected, StoreError};
use thiserror::Error;

use crate::{access, clock, farm::Farm, learn, push};

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
    /// Gives a ready task to a worker.
    pub(crate) async fn lease(&self, task: TaskId, worker: WorkerId) -> Result<Task, LedgerError> {
        self.change(task, |t, now| Ok(t.lease(worker, now)?)).await
    }

    /// The leaseholder's output.
    pub(crate) async fn finish(
        &self,
        task: TaskId,
        epoch: LeaseEpoch,
        output: TaskOutput,
    ) -> Result<Task, LedgerError> {
        self.change(task, |t, now| Ok(t.finish(epoch, output, now)?)).await
    }

    /// The leaseholder's failure.
    pub(crate) async fn fail(&self, task: TaskId, epoch: LeaseEpoch, error: TaskError) -> Result<Task, LedgerError> {
        self.change(task, |t, now| Ok(t.fail(epoch, error, now)?)).await
    }

    /// An earlier equal task's output.
    pub(crate) async fn reuse(&self, task: TaskId, output: TaskOutput) -> Result<Task, LedgerError> {
        self.change(task, |t, now| Ok(t.reuse(output, now)?)).await
    }

    /// The leaseholder is gone. With blame it counts as a failed attempt.
    pub(crate) async fn requeue(&self, task: TaskId, blame: bool) -> Result<Task, LedgerError> {
        self.change(task, |t, now| {
            let epoch = t.epoch;
            if !blame {
                return Ok(t.release(epoch)?);
            }
            let cause = "its worker went away";
            let remedy = "look at the worker's log; it may lack memory";
            let problem = Problem::new(ProblemKind::Unavailable, "run task", t.id.to_string(), cause, remedy);
            Ok(t.fail(epoch, TaskError { problem, retry: true }, now)?)
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
        let events = self.store.commit(access::sign(batch)).await?;
        access::signed();
        if let Some(last) = events.last() {
            self.committed.send_if_modified(|seq| std::mem::replace(seq, last.seq.max(*seq)) < last.seq);
        }
        self.work.notify_one();
        Ok(())
    }

    async fn change(
        &self,
        id: TaskId,
        transition: impl FnOnce(Task, Timestamp) -> Result<Task, LedgerError>,
    ) -> Result<Task, LedgerError> {
        let _turn = self.writing.lock().await;
        let now = clock::now();
        let missing = || StoreError::Missing { noun: "task", id: id.to_string() };
        let task = self.store.task(id).await?.ok_or_else(missing)?;
        let job = task.job;
        let changed = transition(task.clone(), now)?;
        // Only what has ended lets something follow, and only for that are the other tasks and the plan read.
        let mut work = if changed.state.is_final() { self.work_on(job).await? } else { self.work_alone(task).await? };
        let at = work.tasks.iter().position(|t| t.id == id).ok_or_else(missing)?;
        work.put(at, changed.clone(), now);
        if changed.state.is_final() {
            self.calibrate(&mut work, &changed, now).await?;
            work.settle(now);
        }
        self.write(work, now).await?;
        Ok(changed)
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
            _ => None,
        };
        Ok(Work::new(job, plan, tasks))
    }

    /// A task whose change nothing follows.
    async fn work_alone(&self, task: Task) -> Result<Work, LedgerError> {
        Ok(Work::new(self.job_of(task.job).await?, None, vec![task]))
    }

    async fn job_of(&self, id: JobId) -> Result<Job, LedgerError> {
        Ok(self.store.job(id).await?.ok_or(StoreError::Missing { noun: "job", id: id.to_string() })?)
    }

    async fn write(&self, work: Work, now: Timestamp) -> Result<(), LedgerError> {
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
        if let Some(character) = changed {
            let state = state_name(&character.state).to_owned();
            let body = EventBody::CharacterChanged { character: character.id, state };
            batch.events.insert(0, event(&work.job, now, body));
            batch = batch.update_character(character);
        }
        if work.job_changed {
            batch = batch.update_job(work.job);
        }
        Ok(self.commit(batch).await?)
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
    EventBody::TaskChanged {
        task: task.id,
        kind: task.kind,
        shot: task.shot,
        take: task.take,
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
