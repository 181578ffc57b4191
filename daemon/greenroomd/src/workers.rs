//! Workers that are attached, as the daemon knows them. In memory only: the ledger knows leases, not processes.

use greenroom_domain::{JobId, LeaseEpoch, TaskId, Timestamp, WorkerId};
use greenroom_proto::worker_v1 as wire;
use greenroom_schedule::{Holder, WorkerView};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// What a worker's stream carries.
pub(crate) type Outbox = mpsc::Sender<Result<wire::AttachResponse, tonic::Status>>;

/// One attached worker.
#[derive(Debug)]
pub(crate) struct Attached {
    /// What it computes on.
    pub device: String,
    /// Messages to it.
    pub outbox: Outbox,
    /// What it was given last and has not answered yet.
    pub running: Option<Running>,
    /// When it last said something.
    pub heard: Timestamp,
}

/// A task that a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    /// Of which job.
    pub job: JobId,
    /// Which task.
    pub task: TaskId,
    /// Under which lease.
    pub epoch: LeaseEpoch,
}

/// The registry.
#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    attached: BTreeMap<WorkerId, Attached>,
    lost: BTreeSet<WorkerId>,
}

impl Workers {
    pub(crate) fn attach(&self, id: WorkerId, worker: Attached) {
        self.lock().attached.insert(id, worker);
    }

    pub(crate) fn detach(&self, id: WorkerId) {
        let mut registry = self.lock();
        if registry.attached.remove(&id).is_some() {
            registry.lost.insert(id);
        }
    }

    /// All have gone: this daemon leads no more. What they hold is the next leader's to judge.
    pub(crate) fn detach_all(&self) {
        let mut registry = self.lock();
        registry.attached.clear();
        registry.lost.clear();
    }

    /// It said something.
    pub(crate) fn heard(&self, id: WorkerId, now: Timestamp) {
        if let Some(worker) = self.lock().attached.get_mut(&id) {
            worker.heard = now;
        }
    }

    /// It was given a task. Answers the stream to send it on; none if it has gone meanwhile.
    pub(crate) fn start(&self, id: WorkerId, running: Running) -> Option<Outbox> {
        let mut registry = self.lock();
        let worker = registry.attached.get_mut(&id)?;
        worker.running = Some(running);
        Some(worker.outbox.clone())
    }

    /// It answered, or its task was taken away before it began.
    pub(crate) fn finish(&self, id: WorkerId, task: TaskId, epoch: LeaseEpoch) {
        if let Some(worker) = self.lock().attached.get_mut(&id) {
            worker.running = worker.running.filter(|r| (r.task, r.epoch) != (task, epoch));
        }
    }

    /// What it runs, if it is this task under this lease.
    pub(crate) fn running(&self, id: WorkerId, task: TaskId, epoch: LeaseEpoch) -> Option<Running> {
        let running = self.lock().attached.get(&id)?.running?;
        (running.task == task && running.epoch == epoch).then_some(running)
    }

    /// Streams of the workers that run something of a job, with what they run.
    pub(crate) fn of_job(&self, job: JobId) -> Vec<(Outbox, Running)> {
        let registry = self.lock();
        let running = registry.attached.values().filter_map(|w| Some((w.outbox.clone(), w.running?)));
        running.filter(|(_, r)| r.job == job).collect()
    }

    /// All streams.
    pub(crate) fn outboxes(&self) -> Vec<Outbox> {
        self.lock().attached.values().map(|w| w.outbox.clone()).collect()
    }

    /// What the planner sees.
    pub(crate) fn views(&self) -> Vec<WorkerView> {
        self.lock().attached.iter().map(|(&id, w)| WorkerView { id, busy: w.running.is_some() }).collect()
    }

    /// What is known of a leaseholder. One that is attached but does not run the task (its outcome could not be written,
    /// say) has lost it.
    pub(crate) fn holder(&self, id: WorkerId, task: TaskId, epoch: LeaseEpoch) -> Holder {
        let registry = self.lock();
        match registry.attached.get(&id) {
            Some(Attached { running: Some(r), heard, .. }) if r.task == task && r.epoch == epoch => {
                Holder::Attached { heard: *heard }
            }
            Some(_) => Holder::Lost,
            None if registry.lost.contains(&id) => Holder::Lost,
            None => Holder::Unknown,
        }
    }

    /// (id, device, running task) of each, for people.
    pub(crate) fn list(&self) -> Vec<(WorkerId, String, Option<TaskId>)> {
        self.lock().attached.iter().map(|(&id, w)| (id, w.device.clone(), w.running.map(|r| r.task))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
