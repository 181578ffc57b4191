//! What the scheduler knows: every open task, every worker, and the policy; kept up to date by changes.
//!
//! Tasks lie in lanes of those that are alike to a decision: of one urgency, one project and user, and one need. A decision looks
//! at lanes and at pools of workers, so what it costs does not grow with the number of tasks. Nothing in here is stored: the
//! daemon builds it from the ledger when it starts, and tells it of every change after that.

mod audit;
mod booking;
pub(crate) mod floor;
mod lane;
mod reconcile;
mod shape;
pub(crate) mod table;
pub(crate) mod tally;
mod worker;

use greenroom_domain::{
    Job, JobId, LeaseEpoch, Needs, Policy, ProjectId, ShotKey, TaskId, TaskKind, Timestamp, WorkerId,
};
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Entry, Stand,
    entry::{can_pause, is_learning},
    plan::Order,
};
use floor::{Floor, Room};
use table::Table;
use tally::Tally;

pub(crate) use lane::{Lane, LaneKey, Ticket};
pub(crate) use worker::{Class, Node, Seen};

/// Learning counts as so much less urgent: somebody waits for shots, nobody for a LoRA.
const LEARNING: i32 = -5;

/// What the scheduler knows.
#[derive(Clone, Debug, Default)]
pub struct Book {
    pub(crate) policy: Policy,
    /// (project, user) by number; projects and users have numbers of their own.
    pub(crate) accounts: Table<(u32, u32)>,
    pub(crate) projects: Table<ProjectId>,
    pub(crate) users: Table<String>,
    project_names: BTreeMap<ProjectId, String>,
    /// What tasks ask themselves, and what they ask with what the policy adds.
    pub(crate) shapes: Table<(TaskKind, Needs)>,
    pub(crate) classes: Table<Class>,
    pub(crate) heats: Table<BTreeSet<String>>,
    pub(crate) node_names: Table<String>,
    devices: Table<(u32, String)>,
    pub(crate) nodes: BTreeMap<u32, Node>,
    pub(crate) jobs: BTreeMap<JobId, Card>,
    pub(crate) waiting: BTreeMap<TaskId, Waits>,
    pub(crate) ready: BTreeMap<TaskId, Queued>,
    pub(crate) later: BTreeSet<(Timestamp, TaskId)>,
    pub(crate) lanes: BTreeMap<LaneKey, Lane>,
    pub(crate) held: BTreeMap<TaskId, Held>,
    /// Room of tasks that ended without their workers' word: they compute still.
    pub(crate) lingering: BTreeMap<(TaskId, LeaseEpoch), (WorkerId, Room)>,
    pub(crate) workers: BTreeMap<WorkerId, Seen>,
    pub(crate) gone: BTreeSet<WorkerId>,
    pub(crate) floor: Floor,
    pub(crate) tally: Tally,
    pub(crate) usual: BTreeMap<TaskKind, f64>,
    turn: Option<Timestamp>,
    /// How far the wall clock is ahead of the book's time, ms.
    ahead: i64,
}

/// A job as the scheduler sees it.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub account: u32,
    pub priority: i32,
    pub paused: bool,
    /// Failed attempts of all its tasks.
    pub failures: u32,
    /// Nodes on which its tasks failed.
    pub avoids: BTreeSet<u32>,
    ready: BTreeSet<TaskId>,
}

/// A task that waits for others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub on: usize,
}

/// A task that can start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub job: JobId,
    pub kind: TaskKind,
    shot: Option<ShotKey>,
    take: Option<u32>,
    /// What it asks itself, by number.
    own: u32,
    /// Not before then: it failed, or was paused.
    pub not_before: Option<Timestamp>,
    /// Where it stands in the queue, unless its job is paused or it is too early.
    pub lane: Option<LaneKey>,
}

/// A task that runs.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub job: JobId,
    pub kind: TaskKind,
    pub worker: WorkerId,
    pub epoch: LeaseEpoch,
    pub since: Timestamp,
    /// When it last got further.
    pub moved: Timestamp,
    /// What it asks itself, by number; and with what the policy adds.
    own: u32,
    pub shape: u32,
    pub level: i32,
    pub account: u32,
    pub node: Option<u32>,
    pub room: Room,
    pub limits: Vec<String>,
    /// Its worker was asked to pause it.
    pub pausing: bool,
    /// Its worker does not have it, whatever the ledger says.
    pub dropped: bool,
    /// It never was given to its worker.
    pub undelivered: bool,
    /// Its worker has said how it ended.
    pub answered: bool,
    /// It ended because memory ran out.
    starved: bool,
    failures: u32,
}

impl Book {
    /// A farm without work and workers.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Puts another policy in force.
    pub fn set_policy(&mut self, policy: Policy, now: Timestamp) {
        let needs = self.policy.needs != policy.needs;
        self.policy = policy;
        if needs {
            let queued: Vec<_> = self.ready.keys().copied().collect();
            queued.into_iter().for_each(|task| self.shelve(task, now));
        }
        self.turn = None;
        self.wake(now);
    }

    /// A project's name, by which policies know it.
    pub fn name_project(&mut self, id: ProjectId, name: &str) {
        self.project_names.insert(id, name.to_owned());
    }

    /// A job came, or changed; one that ended is forgotten.
    pub fn put_job(&mut self, job: &Job, now: Timestamp) {
        if job.state.is_final() {
            self.jobs.remove(&job.id);
            return;
        }
        let project = self.projects.number(&job.project);
        let user = self.users.number(&job.user);
        let account = self.accounts.number(&(project, user));
        let (priority, paused) = (job.priority.get(), job.paused.is_some());
        let new = || Card { account, priority, paused, failures: 0, avoids: BTreeSet::new(), ready: BTreeSet::new() };
        let card = self.jobs.entry(job.id).or_insert_with(new);
        if (card.account, card.priority, card.paused) != (account, priority, paused) {
            (card.account, card.priority, card.paused) = (account, priority, paused);
            let ready = card.ready.clone();
            ready.into_iter().for_each(|task| self.shelve(task, now));
        }
    }

    /// A task came, or changed.
    pub fn put_task(&mut self, entry: &Entry, now: Timestamp) {
        let Some(card) = self.jobs.get(&entry.job) else { return self.drop_task(entry.id, now) };
        let account = card.account;
        let was = self.held.get(&entry.id).cloned();
        let mut own = (entry.kind, entry.needs.clone());
        if let Some(held) = &was {
            self.end(entry.id, held, matches!(entry.stand, Stand::Ended { well: true }), now);
            // It asked for more than its spec did, after it had run out of memory.
            own = self.shapes.get(held.own).clone();
        }
        let own = match self.ready.get(&entry.id) {
            Some(queued) if was.is_none() && self.asks_more(queued.own, &own.1) => queued.own,
            _ => self.shapes.number(&own),
        };
        // What can never be done, a picture without a face say, is not its node's fault.
        let ended = matches!(entry.stand, Stand::Ended { .. });
        let failed = !ended && was.as_ref().is_some_and(|held| entry.failures > held.failures);
        if failed {
            self.blame(entry.job, was.as_ref().filter(|held| !held.starved).and_then(|held| held.node));
        }
        if let (Some(held), Stand::Ended { well: true }) = (&was, entry.stand)
            && let Some(node) = held.node.and_then(|node| self.nodes.get_mut(&node))
        {
            node.failed.clear();
            node.healed = true;
        }
        if matches!(entry.stand, Stand::Leased { .. }) {
            self.fed(entry.id, now);
        }
        self.unshelve(entry.id);
        self.waiting.remove(&entry.id);
        match entry.stand {
            Stand::Waiting { on } => {
                self.waiting.insert(entry.id, Waits { on });
            }
            Stand::Ready { .. } => {
                let paused = was.as_ref().is_some_and(|held| !failed && can_pause(held.kind));
                let delay = self.policy.pace.retry_delay.duration();
                let not_before = match entry.failures {
                    // The task for which it made room goes first.
                    _ if paused => Some(now.after(delay)),
                    n if failed => Some(now.after(delay * (1 << n.saturating_sub(1).min(10)))),
                    _ => None,
                };
                let (job, kind, shot, take) = (entry.job, entry.kind, entry.shot, entry.take);
                self.ready.insert(entry.id, Queued { job, kind, shot, take, own, not_before, lane: None });
                if let Some(card) = self.jobs.get_mut(&entry.job) {
                    card.ready.insert(entry.id);
                }
                self.shelve(entry.id, now);
            }
            Stand::Leased { worker, epoch, since } => {
                let shape = self.shape(own);
                let held = Held {
                    job: entry.job,
                    kind: entry.kind,
                    worker,
                    epoch,
                    since,
                    moved: since,
                    own,
                    shape,
                    level: self.level(entry.job, entry.kind),
                    account,
                    node: self.floor.desk(worker).map(|desk| desk.node),
                    room: self.room_of(shape),
                    limits: self.limits_of(shape),
                    pausing: false,
                    dropped: false,
                    undelivered: false,
                    answered: false,
                    starved: false,
                    failures: entry.failures,
                };
                self.begin(entry.id, held);
            }
            Stand::Ended { .. } => {}
        }
    }

    /// A running task got further.
    pub fn moved(&mut self, task: TaskId, now: Timestamp) {
        if let Some(held) = self.held.get_mut(&task) {
            held.moved = now;
        }
    }

    /// Its worker was asked to pause it at its next checkpoint.
    pub fn pausing(&mut self, task: TaskId) {
        if let Some(held) = self.held.get_mut(&task) {
            held.pausing = true;
        }
    }

    /// The worker does not have the task that the ledger says it has.
    pub fn dropped(&mut self, task: TaskId, epoch: LeaseEpoch) {
        if let Some(held) = self.held.get_mut(&task).filter(|held| held.epoch == epoch) {
            (held.dropped, held.answered) = (true, true);
        }
    }

    /// The lease stands in the ledger, and its worker was never told of it: nobody is to blame.
    pub fn undelivered(&mut self, task: TaskId, epoch: LeaseEpoch) {
        if let Some(held) = self.held.get_mut(&task).filter(|held| held.epoch == epoch) {
            (held.undelivered, held.answered) = (true, true);
        }
    }

    /// Whether the task runs, as far as the book knows.
    #[must_use]
    pub fn is_held(&self, task: TaskId) -> bool {
        self.held.contains_key(&task)
    }

    /// Whether the task can start, as far as the book knows.
    #[must_use]
    pub fn is_ready(&self, task: TaskId) -> bool {
        self.ready.contains_key(&task)
    }

    /// A worker says how its task ended, or that it stopped: it has room for the next one. Before what follows is told.
    pub fn answered(&mut self, task: TaskId, epoch: LeaseEpoch) {
        if let Some(held) = self.held.get_mut(&task).filter(|held| held.epoch == epoch) {
            held.answered = true;
        } else if let Some((worker, room)) = self.lingering.remove(&(task, epoch)) {
            self.floor.give(worker, room);
        }
    }

    /// Whether a job's tasks have failed as often together as the policy allows.
    #[must_use]
    pub fn is_spent(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|card| card.failures >= self.policy.pace.retry_budget)
    }

    /// Tasks that can start, whatever keeps them.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.ready.len()
    }

    /// Tasks that could start now if there were workers enough: no delay, pause, quota or limit keeps them.
    #[must_use]
    pub fn wanting(&self, now: Timestamp) -> usize {
        let order = Order::of(self, now);
        let open = self.lanes.iter().filter(|(lane, _)| order.leave(**lane).is_ok());
        open.map(|(_, lane)| lane.tickets.len()).sum()
    }

    /// Tasks that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.held.len()
    }

    /// How urgent a task of a job is.
    pub(crate) fn level(&self, job: JobId, kind: TaskKind) -> i32 {
        let priority = self.jobs.get(&job).map_or(0, |card| card.priority);
        if is_learning(kind) { priority + LEARNING } else { priority }
    }

    /// What its kind usually takes, seconds.
    pub(crate) fn usual(&self, kind: TaskKind) -> Option<f64> {
        self.usual.get(&kind).copied()
    }

    /// An account's project and user, by the names that policies use.
    pub(crate) fn account(&self, account: u32) -> (&str, &str) {
        let (project, user) = *self.accounts.get(account);
        let name = self.project_names.get(self.projects.get(project));
        (name.map_or("", String::as_str), self.users.get(user))
    }

    fn blame(&mut self, job: JobId, node: Option<u32>) {
        let Some(card) = self.jobs.get_mut(&job) else { return };
        card.failures += 1;
        let Some(number) = node else { return };
        card.avoids.insert(number);
        if let Some(node) = self.nodes.get_mut(&number) {
            node.failed.insert(job);
            node.healed = false;
        }
    }

    /// Whether a shape asks for more memory than these needs: it was raised after a task had run out of it.
    fn asks_more(&self, shape: u32, needs: &Needs) -> bool {
        let raised = &self.shapes.get(shape).1;
        raised.vram_mib > needs.vram_mib || raised.ram_mib > needs.ram_mib
    }

    fn drop_task(&mut self, task: TaskId, now: Timestamp) {
        if let Some(held) = self.held.get(&task).cloned() {
            self.end(task, &held, false, now);
        }
        self.unshelve(task);
        self.waiting.remove(&task);
    }
}
