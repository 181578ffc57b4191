//! One round: the queue in order, each task to its place, until nothing more can begin.

use greenroom_domain::{JobId, TaskId, Timestamp};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Action, MOST,
    order::{Order, level},
    place::{Asking, Fits, Place, expected},
};
use crate::{
    Book,
    book::{
        LaneKey, Ticket,
        floor::{Floor, Gate},
    },
};

/// Devices that are kept free at once for what was passed over.
const HOLDS: usize = 8;

/// A lane of which something could not begin for want of a worker, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hungry {
    pub lane: LaneKey,
    pub first: TaskId,
    /// Tasks of it that wait still.
    pub left: usize,
}

/// What begins now, and what could not for want of a worker.
pub(super) fn round(book: &Book, now: Timestamp) -> (Vec<Action>, Vec<Hungry>) {
    if book.lanes.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let mut round = Round {
        book,
        now,
        order: Order::of(book, now),
        floor: book.floor.clone(),
        fits: Fits::default(),
        leases: Vec::new(),
    };
    round.shut_silent();
    round.hold();
    let hungry = round.match_up();
    (round.leases, hungry)
}

struct Round<'a> {
    book: &'a Book,
    now: Timestamp,
    order: Order<'a>,
    floor: Floor,
    fits: Fits,
    leases: Vec<Action>,
}

impl Round<'_> {
    /// A worker of which nothing is heard gets nothing.
    fn shut_silent(&mut self) {
        let silence = self.book.policy.pace.silence.duration();
        for (&worker, _) in self.book.workers.iter().filter(|(_, seen)| self.now.since(seen.heard) >= silence) {
            self.floor.set_gate(worker, Gate { shut: true, ..Gate::default() });
        }
    }

    /// What was passed over for very long though nothing waits that is more urgent goes first; where there is no room for it, the
    /// worker that has room soonest takes only what is done by then.
    fn hold(&mut self) {
        let after = self.book.policy.pace.hold_after.duration();
        let (mut long, mut top) = (Vec::new(), i64::MIN);
        for (&key, lane) in &self.book.lanes {
            let level = level(self.book, key, lane, self.now);
            if self.now.since(lane.hungry) >= after {
                long.push((Reverse(level), lane.hungry, key));
            } else {
                top = top.max(level);
            }
        }
        long.sort_unstable();
        let ends = if long.is_empty() { BTreeMap::new() } else { self.ends() };
        let mut kept = BTreeSet::new();
        for (_, _, key) in long.into_iter().filter(|(Reverse(level), ..)| *level >= top).take(HOLDS) {
            let Ok(only) = self.order.leave(key) else { continue };
            let Some(ticket) = self.book.lanes.get(&key).and_then(|lane| lane.tickets.first().copied()) else {
                continue;
            };
            if let Some(place) = self.place(key, ticket, only.as_deref()) {
                self.lease(key, ticket, place);
                continue;
            }
            let none = BTreeSet::new();
            let (shape, account, room) = (key.shape, key.account, self.book.room_of(key.shape));
            let asking = Asking { shape, account, room, avoids: &none, only: only.as_deref() };
            let fits = &mut self.fits;
            let would =
                self.floor.desks().iter().filter(|(worker, desk)| {
                    !kept.contains(*worker) && fits.would_do(self.book, **worker, desk, &asking)
                });
            let free_at = |device: u32| ends.get(&device).copied().unwrap_or(self.now).max(self.now);
            let soonest = would.map(|(&worker, desk)| (free_at(desk.device), worker, desk.device)).min();
            let Some((at, worker, device)) = soonest else { continue };
            kept.insert(worker);
            let sharing: Vec<_> = self.floor.desks().iter().filter(|(_, desk)| desk.device == device).collect();
            let gates: Vec<_> = sharing.into_iter().map(|(&worker, desk)| (worker, desk.gate)).collect();
            for (worker, gate) in gates {
                let until = Some(gate.until.map_or(at, |until| until.min(at)));
                self.floor.set_gate(worker, Gate { until, but: None, ..gate });
            }
        }
    }

    /// When everything that runs on each device is taken to have ended.
    fn ends(&self) -> BTreeMap<u32, Timestamp> {
        let mut ends = BTreeMap::new();
        for held in self.book.held.values() {
            let Some(desk) = self.floor.desk(held.worker) else { continue };
            let end = held.since.after(expected(self.book, held.kind));
            let known = ends.entry(desk.device).or_insert(end);
            *known = end.max(*known);
        }
        ends
    }

    /// Lane after lane, level by level; within a level first what finds its models held, and a device that is its size.
    fn match_up(&mut self) -> Vec<Hungry> {
        let patience = self.book.policy.pace.warm_patience.duration();
        let (mut hungry, mut cold): (Vec<Hungry>, Vec<(LaneKey, i64)>) = (Vec::new(), Vec::new());
        let (mut patient, mut at) = (true, i64::MAX);
        while self.leases.len() < MOST {
            let next = self.order.next();
            let level = next.map(|(_, _, level)| level);
            // The level is through: what waits for a better worker takes any.
            if cold.first().is_some_and(|(_, of)| level.is_none_or(|level| level < *of)) {
                if let Some((lane, ..)) = next {
                    self.order.put_back(lane);
                }
                cold.drain(..).for_each(|(lane, _)| self.order.put_back(lane));
                patient = false;
                continue;
            }
            let Some((lane, ticket, level)) = next else { break };
            (patient, at) = (patient || level < at, level);
            let Ok(only) = self.order.leave(lane) else { continue };
            let Some(place) = self.place(lane, ticket, only.as_deref()) else {
                hungry.push(Hungry { lane, first: ticket.task, left: self.order.left(lane) });
                if self.avoids(ticket.job) {
                    self.order.skip_job(lane, ticket.job);
                    self.order.put_back(lane);
                }
                continue;
            };
            let waited = self.book.lanes.get(&lane).map_or(patience, |l| self.now.since(l.hungry));
            if patient && place.second && waited < patience {
                cold.push((lane, level));
                continue;
            }
            self.lease(lane, ticket, place);
            self.order.put_back(lane);
        }
        hungry
    }

    fn avoids(&self, job: JobId) -> bool {
        self.book.jobs.get(&job).is_some_and(|card| !card.avoids.is_empty())
    }

    fn place(&mut self, lane: LaneKey, ticket: Ticket, only: Option<&[u32]>) -> Option<Place> {
        let none = BTreeSet::new();
        let avoids = self.book.jobs.get(&ticket.job).map_or(&none, |card| &card.avoids);
        let room = self.book.room_of(lane.shape);
        let asking = Asking { shape: lane.shape, account: lane.account, room, avoids, only };
        self.fits.place(self.book, &self.floor, &asking, self.now)
    }

    fn lease(&mut self, lane: LaneKey, ticket: Ticket, place: Place) {
        let node = self.floor.desk(place.worker).map(|desk| desk.node);
        self.floor.take(place.worker, self.book.room_of(lane.shape));
        self.order.begun(lane, ticket, node);
        self.leases.push(Action::Lease { task: ticket.task, worker: place.worker });
    }
}
