//! The queue in order: the most urgent first, then who had least of the farm for their share, then the older job.

use greenroom_domain::{JobId, Timestamp};
use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    ops::Bound::{Excluded, Unbounded},
};

use super::MOST;
use crate::{
    Book,
    book::{
        Lane, LaneKey, Ticket,
        tally::{Leave, Tally, Use},
    },
};

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
    pub(super) fn skip_job(&mut self, lane: LaneKey, job: JobId) {
        let last = self.book.lanes.get(&lane).and_then(|l| l.tickets.iter().rfind(|t| t.job == job));
        if let Some(&last) = last {
            self.passed.insert(lane, last);
        }
    }

    /// How many of a lane wait still.
    pub(super) fn left(&self, lane: LaneKey) -> usize {
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
        let full = |most: Option<u32>, running: Option<&Use>| {
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
        let seconds = |used: Option<&Use>, share: Option<&greenroom_domain::Share>| {
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

/// When limits that count by the minute let something begin again.
pub(super) fn refills(book: &Book, now: Timestamp) -> Vec<Timestamp> {
    if book.policy.limit.values().all(|limit| limit.per_minute.is_none()) {
        return Vec::new();
    }
    let order = Order::of(book, now);
    let stops = book.lanes.keys().filter_map(|&lane| order.leave(lane).err());
    stops.filter_map(|stop| if let Stop::Limit(_, until) = stop { until } else { None }).collect()
}
