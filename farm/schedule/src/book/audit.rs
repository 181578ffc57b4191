//! Whether the book agrees with itself: counters equal the sum of bookings, and nothing is beyond what a worker has.

use greenroom_domain::LimitPer;
use std::collections::BTreeMap;

use super::{Book, floor::Room};

impl Book {
    /// Everything in which it does not; nothing, unless there is a mistake in the scheduler. Slow: for `doctor` and tests.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut count = |what: String, counted: usize, booked: usize| {
            if counted != booked {
                faults.push(format!("{what}: counted {counted}, booked {booked}"));
            }
        };
        let (mut projects, mut users, mut limits) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut used = BTreeMap::<_, Room>::new();
        for held in self.held.values() {
            let (project, user) = *self.accounts.get(held.account);
            *projects.entry(project).or_insert(0) += 1;
            *users.entry(user).or_insert(0) += 1;
            for name in held.limits.iter().filter(|_| held.node.is_some()) {
                *limits.entry(name).or_insert(0) += 1;
            }
        }
        let booked = self.held.values().map(|held| (held.worker, held.room));
        for (worker, more) in booked.chain(self.lingering.values().copied()) {
            let room = used.entry(worker).or_default();
            room.slots += more.slots;
            room.mib += more.mib;
            room.threads += more.threads;
        }
        for (&number, tally) in &self.tally.projects {
            count(format!("project {number}"), tally.running as usize, projects.get(&number).copied().unwrap_or(0));
        }
        for (&number, tally) in &self.tally.users {
            count(format!("user {number}"), tally.running as usize, users.get(&number).copied().unwrap_or(0));
        }
        for name in self.policy.limit.keys() {
            let counted = self.tally.count(name, LimitPer::Task) as usize;
            count(format!("limit {name}"), counted, limits.get(name).copied().unwrap_or(0));
        }
        let in_lanes: usize = self.lanes.values().map(|lane| lane.tickets.len()).sum();
        count("queue".into(), in_lanes, self.ready.values().filter(|queued| queued.lane.is_some()).count());
        let mut devices = BTreeMap::<_, u64>::new();
        for (worker, desk) in self.floor.desks() {
            let room = used.get(worker).copied().unwrap_or_default();
            if desk.used != room {
                faults.push(format!("worker {worker}: counted {:?}, booked {room:?}", desk.used));
            }
            if room.slots > desk.whole.slots || room.threads > desk.whole.threads {
                faults.push(format!("worker {worker} has {:?} and {room:?} is booked", desk.whole));
            }
            let mib = devices.entry(desk.device).or_default();
            *mib += room.mib;
            if *mib > desk.whole.mib {
                faults.push(format!("the device of worker {worker} has {} MiB and {mib} are booked", desk.whole.mib));
            }
        }
        faults
    }
}
