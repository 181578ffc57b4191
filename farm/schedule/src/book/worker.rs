//! Workers that come, report and go, their nodes, and who may use them when.

use greenroom_domain::{DeviceKind, DeviceProcess, JobId, Offer, Reading, Reservation, Timestamp, Unfit, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

use super::{
    Book,
    floor::{Desk, Gate, Room},
};

/// Clocks that differ by less are the same, ms.
const A_STEP: i64 = 500;

/// A worker that is attached.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// What it said of itself.
    pub offer: Offer,
    /// When it last said something.
    pub heard: Timestamp,
    /// How its device is, as it said last.
    pub reading: Option<Reading>,
    /// It goes, and wants nothing new.
    pub leaving: bool,
}

/// What of an offer decides whether a task fits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    pub kind: DeviceKind,
    pub model: String,
    pub profile: Option<String>,
    pub memory_mib: u64,
    pub ram_mib: u64,
    pub threads: u32,
    pub tags: BTreeSet<String>,
}

impl Class {
    /// A worker of this class, for comparing with what is needed.
    pub(crate) fn offer(&self) -> Offer {
        Offer {
            kind: self.kind,
            model: self.model.clone(),
            profile: self.profile.clone(),
            memory_mib: self.memory_mib,
            ram_mib: self.ram_mib,
            threads: self.threads,
            tags: self.tags.clone(),
            ..Offer::default()
        }
    }
}

/// A machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Jobs whose tasks failed here since one last succeeded.
    pub failed: BTreeSet<JobId>,
    /// A task succeeded since one last failed.
    pub healed: bool,
    /// Processes of its workers.
    pub pids: BTreeMap<WorkerId, BTreeSet<u32>>,
}

impl Book {
    /// A worker came.
    pub fn attach(&mut self, worker: WorkerId, offer: Offer, now: Timestamp) {
        let node = self.node_names.number(&offer.node);
        self.nodes.entry(node).or_default();
        let device = self.devices.number(&(node, offer.device.clone()));
        let heat = self.heats.number(&offer.warm);
        let whole = Room { slots: offer.slots.max(1), mib: offer.memory_mib, threads: offer.threads };
        let (kind, model, profile, tags) = (offer.kind, offer.model.clone(), offer.profile.clone(), offer.tags.clone());
        let (memory_mib, ram_mib, threads) = (offer.memory_mib, offer.ram_mib, offer.threads);
        let class = Class { kind, model, profile, memory_mib, ram_mib, threads, tags };
        let class = self.classes.number(&class);
        self.workers.insert(worker, Seen { offer, heard: now, reading: None, leaving: false });
        self.floor.insert(worker, Desk::new(class, heat, node, device, whole));
        let gate = self.gate(worker, now);
        self.floor.set_gate(worker, gate);
    }

    /// A worker went. What it ran is lost.
    pub fn detach(&mut self, worker: WorkerId) {
        if self.workers.remove(&worker).is_some() {
            if let Some(node) = self.floor.desk(worker).and_then(|desk| self.nodes.get_mut(&desk.node)) {
                node.pids.remove(&worker);
            }
            self.floor.remove(worker);
            self.lingering.retain(|_, (of, _)| *of != worker);
            self.gone.insert(worker);
        }
    }

    /// It said something.
    pub fn heard(&mut self, worker: WorkerId, now: Timestamp) {
        if let Some(seen) = self.workers.get_mut(&worker) {
            seen.heard = now;
        }
    }

    /// How a worker's device is, and which processes there are its own. One that is not fit is given nothing new.
    pub fn reads(&mut self, worker: WorkerId, reading: Reading, pids: BTreeSet<u32>, now: Timestamp) {
        let Some(seen) = self.workers.get_mut(&worker) else { return };
        seen.reading = Some(reading);
        if let Some(node) = self.floor.desk(worker).and_then(|desk| self.nodes.get_mut(&desk.node)) {
            node.pids.insert(worker, pids);
        }
        let others = self.others_mib(worker);
        self.floor.set_others(worker, others);
        let gate = self.gate(worker, now);
        self.floor.set_gate(worker, gate);
    }

    /// A worker goes: it is given nothing new.
    pub fn leaves(&mut self, worker: WorkerId, now: Timestamp) {
        let Some(seen) = self.workers.get_mut(&worker) else { return };
        seen.leaving = true;
        let gate = self.gate(worker, now);
        self.floor.set_gate(worker, gate);
    }

    /// Why a worker's device is given nothing new, if it is not fit for work.
    pub(crate) fn unfit(&self, worker: WorkerId) -> Option<Unfit> {
        self.workers.get(&worker)?.reading.as_ref()?.unfit()
    }

    /// Memory of a worker's device that programs have which are not the farm's, MiB.
    pub(crate) fn others_mib(&self, worker: WorkerId) -> u64 {
        self.foreign(worker).map(|process| process.memory_mib).sum()
    }

    /// Those programs, by process id.
    pub(crate) fn others(&self, worker: WorkerId) -> Vec<u32> {
        self.foreign(worker).map(|process| process.pid).collect()
    }

    fn foreign(&self, worker: WorkerId) -> impl Iterator<Item = &DeviceProcess> {
        let reading = self.workers.get(&worker).and_then(|seen| seen.reading.as_ref());
        let node = self.floor.desk(worker).and_then(|desk| self.nodes.get(&desk.node));
        let ours = move |pid| node.is_some_and(|node| node.pids.values().any(|pids| pids.contains(pid)));
        let processes = reading.map_or(&[][..], |reading| &reading.processes);
        processes.iter().filter(move |process| !ours(&process.pid))
    }

    /// What a worker holds now, by its own account.
    pub fn holds(&mut self, worker: WorkerId, warm: BTreeSet<String>) {
        let heat = self.heats.number(&warm);
        self.floor.set_heat(worker, heat);
        if let Some(seen) = self.workers.get_mut(&worker) {
            seen.offer.warm = warm;
        }
    }

    /// An administrator trusts a node again: what failed there is forgotten.
    pub fn heal(&mut self, node: &str) {
        let number = self.node_names.number(&node.to_owned());
        if let Some(node) = self.nodes.get_mut(&number) {
            node.failed.clear();
        }
        for card in self.jobs.values_mut() {
            card.avoids.remove(&number);
        }
    }

    /// Lets time pass: tasks whose delay is over join the queue, windows open and close. Before every plan.
    pub fn wake(&mut self, now: Timestamp) {
        self.due(now);
        if self.turn.is_some_and(|turn| now < turn) {
            return;
        }
        let workers: Vec<_> = self.workers.keys().copied().collect();
        for worker in workers {
            let gate = self.gate(worker, now);
            self.floor.set_gate(worker, gate);
        }
        self.turn = Some(self.next_window(now).unwrap_or(Timestamp::from_millis(i64::MAX)));
    }

    /// What the wall clock says at this moment of the book's own time, which goes on evenly: windows are meant by the wall.
    pub fn set_wall(&mut self, wall: Timestamp, now: Timestamp) {
        let ahead = wall.as_millis() - now.as_millis();
        if (ahead - self.ahead).abs() >= A_STEP {
            self.ahead = ahead;
            self.turn = None;
        }
    }

    /// What the wall clock says at a moment of the book's time.
    pub(crate) const fn wall(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis().saturating_add(self.ahead))
    }

    /// A moment by the wall clock in the book's time; what lies at the end of time stays there.
    const fn own(&self, wall: Timestamp) -> Timestamp {
        match wall.as_millis() {
            i64::MAX => wall,
            ms => Timestamp::from_millis(ms.saturating_sub(self.ahead)),
        }
    }

    /// When the next window opens or closes.
    pub(crate) fn next_window(&self, now: Timestamp) -> Option<Timestamp> {
        let kept = self.policy.reservation.iter().map(Reservation::window);
        let closed = self.policy.maintenance.iter().map(|window| (window.from.0, window.until.0));
        let moments = kept.chain(closed).flat_map(|(from, until)| [self.own(from), self.own(until)]);
        moments.filter(|&at| at > now && at.as_millis() < i64::MAX).min()
    }

    /// Whether a reservation keeps this worker.
    pub(crate) fn keeps(&self, reservation: &Reservation, offer: &Offer) -> bool {
        let tagged = !reservation.tags.is_empty() && reservation.tags.is_subset(&offer.tags);
        reservation.nodes.contains(&offer.node) || tagged
    }

    /// Whom a reservation is for.
    pub(crate) fn is_for(&self, reservation: u32, account: u32) -> bool {
        let Some(reservation) = self.policy.reservation.get(reservation as usize) else { return false };
        let (project, user) = self.account(account);
        let is = |asked: &Option<String>, name: &str| asked.as_ref().is_some_and(|asked| asked == name);
        is(&reservation.project, project) || is(&reservation.user, user)
    }

    pub(super) fn warm_up(&mut self, worker: WorkerId, wants: &BTreeSet<String>) {
        let Some(seen) = self.workers.get_mut(&worker) else { return };
        if !wants.is_subset(&seen.offer.warm) {
            // Of what names no model of a pack, a LoRA say, a worker wears one at a time.
            seen.offer.warm.retain(|held| held.contains('/'));
            seen.offer.warm.extend(wants.iter().cloned());
            let heat = self.heats.number(&seen.offer.warm);
            self.floor.set_heat(worker, heat);
        }
    }

    fn gate(&self, worker: WorkerId, now: Timestamp) -> Gate {
        let Some(seen) = self.workers.get(&worker) else { return Gate::default() };
        let drained = self.policy.drained.contains_key(&seen.offer.node);
        let shut = drained || seen.leaving || self.unfit(worker).is_some();
        let mut gate = Gate { shut, ..Gate::default() };
        let soonest = |gate: &mut Gate, at: Timestamp, but| {
            if gate.until.is_none_or(|until| at < until) {
                (gate.until, gate.but) = (Some(at), but);
            }
        };
        for window in self.policy.maintenance.iter().filter(|window| window.nodes.contains(&seen.offer.node)) {
            let (from, until) = (self.own(window.from.0), self.own(window.until.0));
            if from > now {
                soonest(&mut gate, from, None);
            } else if until > now {
                gate.shut = true;
            }
        }
        for (number, reservation) in self.policy.reservation.iter().enumerate() {
            let (from, until) = reservation.window();
            let (from, until) = (self.own(from), self.own(until));
            if !self.keeps(reservation, &seen.offer) || until <= now {
                continue;
            }
            if from > now {
                soonest(&mut gate, from, Some(number as u32));
            } else {
                gate.kept_for = gate.kept_for.or(Some(number as u32));
            }
        }
        gate
    }
}
