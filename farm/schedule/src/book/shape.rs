//! What tasks ask of workers: their own needs, and what the policy adds for their kind.

use greenroom_domain::{DeviceKind, Needs, Offer, TaskId};
use std::collections::BTreeSet;

use super::{Book, floor::Room};

impl Book {
    /// Memory that a task asks of a device, MiB, with what the policy adds.
    #[must_use]
    pub fn asked(&self, task: TaskId) -> u64 {
        let lane = self.ready.get(&task).and_then(|queued| queued.lane);
        lane.map_or(0, |lane| self.shapes.get(lane.shape).1.vram_mib)
    }

    /// A worker ran out of its device's memory over a task that it has: the next one gets half as much again, or as much as this
    /// one had. That is the task's fault and not the node's.
    pub fn out_of_memory(&mut self, task: TaskId) {
        let Some(held) = self.held.get_mut(&task) else { return };
        held.starved = true;
        let held = &*held;
        let (kind, needs) = self.shapes.get(held.own).clone();
        let had = self.workers.get(&held.worker).map_or(0, |seen| seen.offer.memory_mib);
        let asked = self.shapes.get(held.shape).1.vram_mib;
        let vram_mib = if asked == 0 { had + 1 } else { asked + asked.div_ceil(2) };
        // Where nothing larger is attached, another attempt on the same may still find more of it free.
        if !self.workers.values().any(|seen| seen.offer.kind != DeviceKind::Cpu && seen.offer.memory_mib >= vram_mib) {
            return;
        }
        let own = self.shapes.number(&(kind, Needs { vram_mib, ..needs }));
        if let Some(held) = self.held.get_mut(&task) {
            held.own = own;
        }
    }

    /// A worker was killed over a task that it has, for it took more of the machine's memory than it may: the next one may use
    /// more, where there is one. That is the task's fault and not the node's.
    pub fn out_of_ram(&mut self, task: TaskId) {
        let Some(held) = self.held.get_mut(&task) else { return };
        held.starved = true;
        let held = &*held;
        let (kind, needs) = self.shapes.get(held.own).clone();
        let had = self.workers.get(&held.worker).map_or(0, |seen| seen.offer.ram_mib);
        let next = Needs { ram_mib: had + 1, ..needs };
        let larger = |offer: &Offer| offer.ram_mib > had && offer.misfit(&next).is_none();
        if had == 0 || !self.workers.values().any(|seen| larger(&seen.offer)) {
            return;
        }
        let own = self.shapes.number(&(kind, next));
        if let Some(held) = self.held.get_mut(&task) {
            held.own = own;
        }
    }

    /// What of a worker a task of this shape takes.
    pub(crate) fn room_of(&self, shape: u32) -> Room {
        let needs = &self.shapes.get(shape).1;
        Room { slots: 1, mib: needs.vram_mib, threads: needs.threads }
    }

    pub(crate) fn limits_of(&self, shape: u32) -> Vec<String> {
        let (kind, needs) = self.shapes.get(shape);
        self.policy.limits_of(*kind, needs).map(|(name, _)| name.clone()).collect()
    }

    /// What a task asks with what the policy adds for its kind.
    pub(super) fn shape(&mut self, own: u32) -> u32 {
        let (kind, needs) = self.shapes.get(own).clone();
        let Some(more) = self.policy.needs.get(&kind).cloned() else { return own };
        let both = |a: BTreeSet<String>, b: BTreeSet<String>| a.into_iter().chain(b).collect();
        let needs = Needs {
            vram_mib: needs.vram_mib.max(more.vram_mib),
            ram_mib: needs.ram_mib.max(more.ram_mib),
            model: needs.model.or(more.model),
            profile: needs.profile.or(more.profile),
            threads: needs.threads.max(more.threads),
            tags: both(needs.tags, more.tags),
            nodes: both(needs.nodes, more.nodes),
            limits: both(needs.limits, more.limits),
            warm: both(needs.warm, more.warm),
        };
        self.shapes.number(&(kind, needs))
    }
}
