//! One round: the queue in order, each task to its place, until nothing more can begin.

use greenroom_domain::{JobId, TaskId, Timestamp};
use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    ops::Bound::{Excluded, Unbounded},
};

use super::{
    Action, MOST,
    place::{Asking, Fits, Place, expected},
};
use crate::{
    Book,
    book::{
        Lane, LaneKey, Ticket,
        floor::{Floor, Gate},
        tally::{Leave, Tally},
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

/// Why a lane gets nothing now, whatever is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its project has as many tasks as it may.
    Project(u32),
    /// Its user has.
    User(u32),
    /// A limit is reached, until then where it is a rate.
    Limit(String, Option<Timestamp>),
}

/// A lane's place in the order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    level: i64,
    /// Seconds of the farm by share: the project's, then the user's.
    had: (f64, f64),
    ticket: Ticket,
    lane: LaneKey,
}

/// The queue in order, as it is used up. What is used counts at once.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    book: &'a Book,
    now: Timestamp,
    pub tally: Tally,
    heap: BinaryHeap<Reverse<Turn>>,
    passed: BTreeMap<LaneKey, Ticket>,
    fed: BTreeSet<LaneKey>,
}

impl Eq for Turn {}

impl Ord for Turn {
    /// The first is the least.
    fn cmp(&self, other: &Self) -> Ordering {
        let had = self.had.0.total_cmp(&other.had.0).then(self.had.1.total_cmp(&other.had.1));
        other.level.cmp(&self.level).then(had).then(self.ticket.cmp(&other.ticket)).then(self.lane.cmp(&other.lane))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> Order<'a> {
    pub(crate) fn of(book: &'a Book, now: Timestamp) -> Self {
        let (passed, fed) = (BTreeMap::new(), BTreeSet::new());
        let mut order = Self { book, now, tally: book.tally.clone(), heap: BinaryHeap::new(), passed, fed };
        let turns: Vec<_> = book.lanes.keys().filter_map(|&lane| order.turn(lane)).map(Reverse).collect();
        order.heap = turns.into();
        order
    }

    /// The next lane and its first task. It is out until it is put back.
    pub(crate) fn next(&mut self) -> Option<(LaneKey, Ticket, i64)> {
        loop {
            let Reverse(turn) = self.heap.pop()?;
            let Some(real) = self.turn(turn.lane) else { continue };
            // What others began since only moves a lane back.
            if real > turn {
                self.heap.push(Reverse(real));
                continue;
            }
            return Some((real.lane, real.ticket, real.level));
        }
    }

    /// Back with what is left of it.
    pub(crate) fn put_back(&mut self, lane: LaneKey) {
        if let Some(turn) = self.turn(lane) {
            self.heap.push(Reverse(turn));
        }
    }

    /// A task of it was begun, or is taken as begun.
    pub(crate) fn begun(&mut self, lane: LaneKey, ticket: Ticket, node: Option<u32>) {
        let (project, user) = *self.book.accounts.get(lane.account);
        self.tally.projects.entry(project).or_default().begin(self.now);
        self.tally.users.entry(user).or_default().begin(self.now);
        if let Some(node) = node {
            self.tally.begin(&self.book.limits_of(lane.shape), node, self.now);
        }
        self.fed.insert(lane);
        self.passed.insert(lane, ticket);
    }

    /// Nothing of this job in this lane for now.
    fn skip_job(&mut self, lane: LaneKey, job: JobId) {
        let last = self.book.lanes.get(&lane).and_then(|l| l.tickets.iter().rfind(|t| t.job == job));
        if let Some(&last) = last {
            self.passed.insert(lane, last);
        }
    }

    fn left(&self, lane: LaneKey) -> usize {
        let Some(tickets) = self.book.lanes.get(&lane).map(|lane| &lane.tickets) else { return 0 };
        self.passed
            .get(&lane)
            .map_or(tickets.len(), |&last| tickets.range((Excluded(last), Unbounded)).take(MOST).count())
    }

    /// Why a lane gets nothing now, and on which nodes a licence keeps it else.
    pub(crate) fn leave(&self, lane: LaneKey) -> Result<Option<Vec<u32>>, Stop> {
        let book = self.book;
        let (project, user) = *book.accounts.get(lane.account);
        let (project_name, user_name) = book.account(lane.account);
        let full = |most: Option<u32>, running: Option<&crate::book::tally::Use>| {
            most.is_some_and(|most| running.map_or(0, |used| used.running) >= most)
        };
        if full(book.policy.project.get(project_name).and_then(|s| s.max_running), self.tally.projects.get(&project)) {
            return Err(Stop::Project(project));
        }
        if full(book.policy.user.get(user_name).and_then(|s| s.max_running), self.tally.users.get(&user)) {
            return Err(Stop::User(user));
        }
        let (kind, needs) = book.shapes.get(lane.shape);
        let mut only: Option<Vec<u32>> = None;
        for (name, limit) in book.policy.limits_of(*kind, needs) {
            match self.tally.leave(name, limit, self.now) {
                Leave::Anywhere => {}
                Leave::Nowhere(until) => return Err(Stop::Limit(name.clone(), until)),
                Leave::On(nodes) => {
                    let both = |known: Vec<u32>| known.into_iter().filter(|node| nodes.contains(node)).collect();
                    only = Some(only.map_or_else(|| nodes.clone(), both));
                }
            }
        }
        Ok(only)
    }

    fn turn(&self, lane: LaneKey) -> Option<Turn> {
        let shelf = self.book.lanes.get(&lane)?;
        let ticket = match self.passed.get(&lane) {
            None => *shelf.tickets.first()?,
            Some(&last) => *shelf.tickets.range((Excluded(last), Unbounded)).next()?,
        };
        let level = if self.fed.contains(&lane) { lane.level.into() } else { level(self.book, lane, shelf, self.now) };
        Some(Turn { level, had: self.had(lane.account), ticket, lane })
    }

    /// What an account had, for its share.
    pub(crate) fn had(&self, account: u32) -> (f64, f64) {
        let policy = &self.book.policy;
        let (project, user) = *self.book.accounts.get(account);
        let (project_name, user_name) = self.book.account(account);
        let seconds = |used: Option<&crate::book::tally::Use>, share: Option<&greenroom_domain::Share>| {
            let seconds = used.map_or(0.0, |used| used.seconds(self.now, policy.pace.half_life));
            seconds / share.map_or(1.0, |share| share.share)
        };
        (
            seconds(self.tally.projects.get(&project), policy.project.get(project_name)),
            seconds(self.tally.users.get(&user), policy.user.get(user_name)),
        )
    }
}

/// How urgent a lane is by now: one more for each span in which it was passed over.
pub(crate) fn level(book: &Book, key: LaneKey, lane: &Lane, now: Timestamp) -> i64 {
    let aged = now.since(lane.hungry).as_millis() / book.policy.pace.ageing.duration().as_millis().max(1);
    i64::from(key.level) + aged as i64
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

/// When limits that count by the minute let something begin again.
pub(super) fn refills(book: &Book, now: Timestamp) -> Vec<Timestamp> {
    let order = Order::of(book, now);
    let stops = book.lanes.keys().filter_map(|&lane| order.leave(lane).err());
    stops.filter_map(|stop| if let Stop::Limit(_, until) = stop { until } else { None }).collect()
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
