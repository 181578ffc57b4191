//! Workers that are attached, as the daemon knows them. In memory only: the ledger knows leases, not processes.

use greenroom_domain::{JobId, LeaseEpoch, TaskId, TokenId, WorkerId};
use greenroom_proto::worker_v1 as wire;
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
    /// What it was given and has not answered yet.
    pub running: Vec<Running>,
    /// The join token by which it became one of the farm's, where it did.
    pub joined: Option<TokenId>,
    /// It goes once it has answered for that.
    pub leaving: bool,
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
pub(crate) struct Workers(Mutex<BTreeMap<WorkerId, Attached>>);

impl Workers {
    pub(crate) fn attach(&self, id: WorkerId, worker: Attached) {
        self.lock().insert(id, worker);
    }

    pub(crate) fn detach(&self, id: WorkerId) {
        self.lock().remove(&id);
    }

    /// All have gone: this daemon leads no more. What they hold is the next leader's to judge.
    pub(crate) fn detach_all(&self) {
        self.lock().clear();
    }

    /// It was given a task. Answers the stream to send it on; none if it has gone meanwhile.
    pub(crate) fn start(&self, id: WorkerId, running: Running) -> Option<Outbox> {
        let mut attached = self.lock();
        let worker = attached.get_mut(&id).filter(|worker| !worker.leaving)?;
        worker.running.push(running);
        Some(worker.outbox.clone())
    }

    /// It answered, or its task was taken away before it began.
    pub(crate) fn finish(&self, id: WorkerId, task: TaskId, epoch: LeaseEpoch) {
        if let Some(worker) = self.lock().get_mut(&id) {
            worker.running.retain(|r| (r.task, r.epoch) != (task, epoch));
        }
    }

    /// What it runs, if it is this task under this lease.
    pub(crate) fn running(&self, id: WorkerId, task: TaskId, epoch: LeaseEpoch) -> Option<Running> {
        let attached = self.lock();
        attached.get(&id)?.running.iter().find(|r| r.task == task && r.epoch == epoch).copied()
    }

    /// It goes.
    pub(crate) fn leaves(&self, id: WorkerId) {
        if let Some(worker) = self.lock().get_mut(&id) {
            worker.leaving = true;
        }
    }

    /// The stream of a worker that goes and has answered for everything.
    pub(crate) fn done(&self, id: WorkerId) -> Option<Outbox> {
        let attached = self.lock();
        let worker = attached.get(&id).filter(|worker| worker.leaving && worker.running.is_empty())?;
        Some(worker.outbox.clone())
    }

    /// Join tokens by which those that are attached became the farm's.
    pub(crate) fn joined(&self) -> BTreeSet<TokenId> {
        self.lock().values().filter_map(|worker| worker.joined).collect()
    }

    /// What a worker runs.
    pub(crate) fn of_worker(&self, id: WorkerId) -> Vec<Running> {
        self.lock().get(&id).map(|worker| worker.running.clone()).unwrap_or_default()
    }

    /// The stream of the worker that runs a task, with what it runs.
    pub(crate) fn of_task(&self, task: TaskId) -> Option<(Outbox, Running)> {
        let attached = self.lock();
        let mut running = attached.values().flat_map(|w| w.running.iter().map(|r| (w.outbox.clone(), *r)));
        running.find(|(_, r)| r.task == task)
    }

    /// Streams of the workers that run something of a job, with what they run.
    pub(crate) fn of_job(&self, job: JobId) -> Vec<(Outbox, Running)> {
        let attached = self.lock();
        let running = attached.values().flat_map(|w| w.running.iter().map(|r| (w.outbox.clone(), *r)));
        running.filter(|(_, r)| r.job == job).collect()
    }

    /// All streams.
    pub(crate) fn outboxes(&self) -> Vec<Outbox> {
        self.lock().values().map(|w| w.outbox.clone()).collect()
    }

    /// (id, device, running task) of each, for people.
    pub(crate) fn list(&self) -> Vec<(WorkerId, String, Option<TaskId>)> {
        let attached = self.lock();
        attached.iter().map(|(&id, w)| (id, w.device.clone(), w.running.first().map(|r| r.task))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, Attached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
