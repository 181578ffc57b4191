//! The queue: lanes of tasks that are alike to a decision.

use greenroom_domain::{JobId, ShotKey, TaskId, Timestamp};
use std::collections::BTreeSet;

use super::Book;
use crate::entry::rank;

/// What tasks of one lane have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    /// How urgent, before ageing.
    pub level: i32,
    /// Whose, by number.
    pub account: u32,
    /// What they need, by number.
    pub shape: u32,
}

/// Tasks that are alike to a decision.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// In the order in which they go.
    pub tickets: BTreeSet<Ticket>,
    /// Since when none of them was begun.
    pub hungry: Timestamp,
}

/// A task's place in its lane: older jobs first; within a job whatever finishes a shot comes before what starts one (assemble,
/// validate, repair, profile, generate), and shots go in the order of the script, earlier takes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub job: JobId,
    rank: u8,
    shot: Option<ShotKey>,
    take: Option<u32>,
    pub task: TaskId,
}

impl Book {
    /// Puts a task that can start where it belongs now.
    pub(super) fn shelve(&mut self, task: TaskId, now: Timestamp) {
        self.unlane(task);
        let Some(&queued) = self.ready.get(&task) else { return };
        let Some(card) = self.jobs.get(&queued.job) else { return };
        let (account, paused) = (card.account, card.paused);
        if let Some(at) = queued.not_before.filter(|&at| at > now) {
            self.later.insert((at, task));
            return;
        }
        if paused {
            return;
        }
        let key = LaneKey { level: self.level(queued.job, queued.kind), account, shape: self.shape(queued.own) };
        let lane = self.lanes.entry(key).or_insert_with(|| Lane { tickets: BTreeSet::new(), hungry: now });
        let (job, shot, take) = (queued.job, queued.shot, queued.take);
        lane.tickets.insert(Ticket { job, rank: rank(queued.kind), shot, take, task });
        if let Some(queued) = self.ready.get_mut(&task) {
            queued.lane = Some(key);
        }
    }

    /// Takes a task out of the queue.
    pub(super) fn unshelve(&mut self, task: TaskId) {
        self.unlane(task);
        if let Some(queued) = self.ready.remove(&task)
            && let Some(card) = self.jobs.get_mut(&queued.job)
        {
            card.ready.remove(&task);
        }
    }

    /// A lane was served: its hunger begins anew.
    pub(super) fn fed(&mut self, task: TaskId, now: Timestamp) {
        let lane = self.ready.get(&task).and_then(|queued| queued.lane);
        if let Some(lane) = lane.and_then(|key| self.lanes.get_mut(&key)) {
            lane.hungry = now;
        }
    }

    /// Tasks whose time has come join the queue.
    pub(super) fn due(&mut self, now: Timestamp) {
        while let Some(&(at, task)) = self.later.first().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, task));
            self.shelve(task, now);
        }
    }

    fn unlane(&mut self, task: TaskId) {
        let Some(queued) = self.ready.get_mut(&task) else { return };
        if let Some(at) = queued.not_before {
            self.later.remove(&(at, task));
        }
        let (job, shot, take, kind) = (queued.job, queued.shot, queued.take, queued.kind);
        let Some(key) = queued.lane.take() else { return };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.tickets.remove(&Ticket { job, rank: rank(kind), shot, take, task });
            if lane.tickets.is_empty() {
                self.lanes.remove(&key);
            }
        }
    }
}
