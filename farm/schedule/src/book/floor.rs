//! Workers and the room that is left on them, pooled by what matters to a decision, so that one looks at pools and not at workers.

use greenroom_domain::{Timestamp, WorkerId};
use std::collections::{BTreeMap, BTreeSet};

/// Where workers sit. A plan works on a copy of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floor {
    desks: BTreeMap<WorkerId, Desk>,
    devices: BTreeMap<u32, Device>,
    pools: BTreeMap<Pool, BTreeSet<WorkerId>>,
}

/// One worker and what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desk {
    /// What it offers, by number.
    pub class: u32,
    /// What it holds, by number.
    pub heat: u32,
    /// Its machine, by number.
    pub node: u32,
    /// Its device, by number.
    pub device: u32,
    /// All that it has.
    pub whole: Room,
    /// What its own tasks use.
    pub used: Room,
    /// Who may come in.
    pub gate: Gate,
    pool: Option<Pool>,
}

/// A device that workers may share.
#[derive(Clone, Debug, Default)]
struct Device {
    used_mib: u64,
    /// What programs have that are not the farm's.
    others_mib: u64,
    desks: BTreeSet<WorkerId>,
}

/// Room on a worker, or what a task takes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Room {
    /// Tasks.
    pub slots: u32,
    /// Memory of the device, MiB.
    pub mib: u64,
    /// Threads.
    pub threads: u32,
}

/// Who may come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gate {
    /// Nobody: drained, or in maintenance.
    pub shut: bool,
    /// Only whom this reservation is for, by its place in the policy.
    pub kept_for: Option<u32>,
    /// What is begun must be done by then …
    pub until: Option<Timestamp>,
    /// … unless it is of whom this reservation is for.
    pub but: Option<u32>,
}

/// Workers that are alike to every decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pool {
    pub class: u32,
    pub heat: u32,
    pub room: Room,
    pub gate: Gate,
}

impl Room {
    /// Whether that much is there.
    pub(crate) const fn holds(self, ask: Self) -> bool {
        self.slots >= ask.slots && self.mib >= ask.mib && self.threads >= ask.threads
    }
}

impl Desk {
    pub(crate) fn new(class: u32, heat: u32, node: u32, device: u32, whole: Room) -> Self {
        Self { class, heat, node, device, whole, used: Room::default(), gate: Gate::default(), pool: None }
    }
}

impl Floor {
    pub(crate) fn insert(&mut self, worker: WorkerId, desk: Desk) {
        self.devices.entry(desk.device).or_default().desks.insert(worker);
        self.desks.insert(worker, desk);
        self.repool(worker);
    }

    pub(crate) fn remove(&mut self, worker: WorkerId) {
        let Some(desk) = self.desks.remove(&worker) else { return };
        self.leave(worker, desk.pool);
        if let Some(device) = self.devices.get_mut(&desk.device) {
            device.desks.remove(&worker);
            // Its memory goes with the process.
            device.used_mib = device.used_mib.saturating_sub(desk.used.mib);
            if device.desks.is_empty() {
                self.devices.remove(&desk.device);
            }
        }
    }

    pub(crate) fn desk(&self, worker: WorkerId) -> Option<&Desk> {
        self.desks.get(&worker)
    }

    pub(crate) fn desks(&self) -> &BTreeMap<WorkerId, Desk> {
        &self.desks
    }

    pub(crate) const fn pools(&self) -> &BTreeMap<Pool, BTreeSet<WorkerId>> {
        &self.pools
    }

    /// What is free on a worker.
    pub(crate) fn room(&self, desk: &Desk) -> Room {
        let used_mib = self.devices.get(&desk.device).map_or(0, |device| device.used_mib + device.others_mib);
        Room {
            slots: desk.whole.slots.saturating_sub(desk.used.slots),
            mib: desk.whole.mib.saturating_sub(used_mib),
            threads: desk.whole.threads.saturating_sub(desk.used.threads),
        }
    }

    /// A task begins there.
    pub(crate) fn take(&mut self, worker: WorkerId, ask: Room) {
        self.change(worker, ask, |used, ask| used + ask);
    }

    /// A task ended there.
    pub(crate) fn give(&mut self, worker: WorkerId, ask: Room) {
        self.change(worker, ask, u64::saturating_sub);
    }

    pub(crate) fn set_heat(&mut self, worker: WorkerId, heat: u32) {
        if let Some(desk) = self.desks.get_mut(&worker) {
            desk.heat = heat;
            self.repool(worker);
        }
    }

    /// Programs that are not the farm's have so much of a worker's device.
    pub(crate) fn set_others(&mut self, worker: WorkerId, mib: u64) {
        let Some(desk) = self.desks.get(&worker) else { return };
        let Some(device) = self.devices.get_mut(&desk.device) else { return };
        if device.others_mib != mib {
            device.others_mib = mib;
            device.desks.clone().into_iter().for_each(|worker| self.repool(worker));
        }
    }

    pub(crate) fn set_gate(&mut self, worker: WorkerId, gate: Gate) {
        if let Some(desk) = self.desks.get_mut(&worker)
            && desk.gate != gate
        {
            desk.gate = gate;
            self.repool(worker);
        }
    }

    fn change(&mut self, worker: WorkerId, ask: Room, by: impl Fn(u64, u64) -> u64) {
        let Some(desk) = self.desks.get_mut(&worker) else { return };
        let count = |used: u32, ask: u32| by(used.into(), ask.into()) as u32;
        desk.used.slots = count(desk.used.slots, ask.slots);
        desk.used.threads = count(desk.used.threads, ask.threads);
        desk.used.mib = by(desk.used.mib, ask.mib);
        let Some(device) = self.devices.get_mut(&desk.device) else { return };
        device.used_mib = by(device.used_mib, ask.mib);
        if ask.mib == 0 || device.desks.len() == 1 {
            self.repool(worker);
        } else {
            device.desks.clone().into_iter().for_each(|worker| self.repool(worker));
        }
    }

    fn repool(&mut self, worker: WorkerId) {
        let Some(&desk) = self.desks.get(&worker) else { return };
        let room = self.room(&desk);
        let open = !desk.gate.shut && room.slots > 0;
        let pool = open.then_some(Pool { class: desk.class, heat: desk.heat, room, gate: desk.gate });
        if pool == desk.pool {
            return;
        }
        self.leave(worker, desk.pool);
        if let Some(pool) = pool {
            self.pools.entry(pool).or_default().insert(worker);
        }
        if let Some(desk) = self.desks.get_mut(&worker) {
            desk.pool = pool;
        }
    }

    fn leave(&mut self, worker: WorkerId, pool: Option<Pool>) {
        let Some(pool) = pool else { return };
        if let Some(workers) = self.pools.get_mut(&pool) {
            workers.remove(&worker);
            if workers.is_empty() {
                self.pools.remove(&pool);
            }
        }
    }
}
