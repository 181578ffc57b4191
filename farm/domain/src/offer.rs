//! What a worker offers and what a task needs of it.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// What a worker computes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// The processor.
    #[default]
    Cpu,
    /// A whole graphics card.
    Gpu,
    /// A slice of one.
    Mig,
}

/// What a worker offers, as it said when it attached. Workers that name one device of one node share its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Offer {
    /// Name of its machine.
    pub node: String,
    /// `cpu`, `cuda:0`, `cuda:0:1` for a slice.
    pub device: String,
    /// Its name for good, `GPU-…` or `MIG-…`, where it has one.
    pub uuid: Option<String>,
    /// What that is.
    pub kind: DeviceKind,
    /// The card's or processor's name, `NVIDIA H200`.
    pub model: String,
    /// The slice's profile, `1g.10gb`, where it is one.
    pub profile: Option<String>,
    /// The device's memory, MiB; of a processor the machine's.
    pub memory_mib: u64,
    /// Memory of the machine that it may use, MiB: its limit where it has one; 0 where that is not known.
    pub ram_mib: u64,
    /// Threads that it computes with.
    pub threads: u32,
    /// Tasks that it runs at once.
    pub slots: u32,
    /// What its administrator says of it.
    pub tags: BTreeSet<String>,
    /// Models and LoRAs that it holds, by name or digest.
    pub warm: BTreeSet<String>,
}

/// What a task needs. The default needs nothing in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Memory of the device, MiB; 0 asks for none, and what asks for some asks for a graphics card or a slice of one.
    pub vram_mib: u64,
    /// Memory of the machine, MiB; 0 takes what there is.
    pub ram_mib: u64,
    /// Part of the device's name, upper and lower case alike.
    pub model: Option<String>,
    /// A slice of exactly this profile.
    pub profile: Option<String>,
    /// Threads; 0 takes what there is.
    pub threads: u32,
    /// Tags that the worker must have, all of them.
    pub tags: BTreeSet<String>,
    /// One of these nodes; any where there is none.
    pub nodes: BTreeSet<String>,
    /// Named limits that it counts against, besides those of its kind.
    pub limits: BTreeSet<String>,
    /// What the worker should hold already. A wish, never a condition.
    pub warm: BTreeSet<String>,
}

/// Why a worker is not for a task, whatever else it does. In the order in which they are told: the nearest miss is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// Another node.
    Node,
    /// It lacks a tag.
    Tags,
    /// No graphics card, or another model or slice.
    Device,
    /// Too few threads.
    Threads,
    /// Too little memory of the machine.
    Ram,
    /// Too little memory of the device.
    Vram,
}

impl Offer {
    /// The first thing that keeps a task from this worker even where it is idle.
    #[must_use]
    pub fn misfit(&self, needs: &Needs) -> Option<Misfit> {
        let model = |asked: &String| self.model.to_lowercase().contains(&asked.to_lowercase());
        let accelerated = needs.vram_mib == 0 || self.kind != DeviceKind::Cpu;
        let device = accelerated
            && needs.model.as_ref().is_none_or(model)
            && needs.profile.as_ref().is_none_or(|asked| self.profile.as_ref() == Some(asked));
        let checks = [
            (needs.nodes.is_empty() || needs.nodes.contains(&self.node), Misfit::Node),
            (needs.tags.is_subset(&self.tags), Misfit::Tags),
            (device, Misfit::Device),
            (needs.threads <= self.threads, Misfit::Threads),
            (self.ram_mib == 0 || needs.ram_mib <= self.ram_mib, Misfit::Ram),
            (needs.vram_mib <= self.memory_mib, Misfit::Vram),
        ];
        checks.into_iter().find(|(fits, _)| !fits).map(|(_, misfit)| misfit)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Mig => "mig",
        })
    }
}

impl fmt::Display for Needs {
    /// What is asked beyond any worker, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        let mut asked = Vec::new();
        if self.vram_mib > 0 {
            asked.push(format!("{} MiB of device memory", self.vram_mib));
        }
        asked.extend(self.model.as_ref().map(|model| format!("a device called {model}")));
        asked.extend(self.profile.as_ref().map(|profile| format!("a slice {profile}")));
        if self.ram_mib > 0 {
            asked.push(format!("{} MiB of memory", self.ram_mib));
        }
        if self.threads > 0 {
            asked.push(format!("{} threads", self.threads));
        }
        if !self.tags.is_empty() {
            asked.push(format!("tags {}", list(&self.tags)));
        }
        if !self.nodes.is_empty() {
            asked.push(format!("node {}", list(&self.nodes)));
        }
        f.write_str(if asked.is_empty() { "nothing in particular" } else { "" })?;
        f.write_str(&asked.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_device_memory_is_never_put_on_a_processor() {
        let cpu = Offer { memory_mib: 1 << 20, threads: 8, ..Offer::default() };
        let needs = Needs { vram_mib: 1, ..Needs::default() };
        assert_eq!(cpu.misfit(&needs), Some(Misfit::Device));
        let card = Offer { kind: DeviceKind::Gpu, ..cpu.clone() };
        assert_eq!(card.misfit(&needs), None);
        assert_eq!(cpu.misfit(&Needs::default()), None);
    }

    #[test]
    fn the_nearest_miss_is_told() {
        let card = Offer { kind: DeviceKind::Gpu, model: "NVIDIA H200".into(), memory_mib: 8, ..Offer::default() };
        let needs = Needs { vram_mib: 9, model: Some("h200".into()), ..Needs::default() };
        assert_eq!(card.misfit(&needs), Some(Misfit::Vram));
        let slice = Needs { profile: Some("1g.10gb".into()), ..Needs::default() };
        assert_eq!(card.misfit(&slice), Some(Misfit::Device));
        assert_eq!(needs.to_string(), "9 MiB of device memory, a device called h200");
    }
}
