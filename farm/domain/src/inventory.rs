//! What a machine has to compute on, as its drivers tell it.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

use crate::DeviceKind;

/// What a machine has to compute on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inventory {
    /// The machine's name.
    pub node: String,
    /// Version of the graphics driver; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Whether the program that looked can compute on graphics cards.
    pub cuda: bool,
    /// What is missing or does not answer, as sentences without a full stop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// The processor first, then cards, each before its slices.
    pub devices: Vec<Reading>,
}

/// One device, as it was when somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// Its name on the machine: `cpu`, `cuda:0`, and `cuda:0:1` for a slice.
    pub name: String,
    /// Its name for good, as `CUDA_VISIBLE_DEVICES` takes it: `GPU-…`, `MIG-…`; `cpu` for the processor.
    pub id: String,
    /// What it is.
    pub kind: DeviceKind,
    /// What it is called, `NVIDIA H200`; of a slice its card's.
    pub model: String,
    /// The slice's profile, `1g.18gb`, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Memory, MiB; of the processor the machine's.
    pub memory_mib: u64,
    /// Of that what nobody uses, MiB.
    pub free_mib: u64,
    /// Degrees Celsius; none where it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<u32>,
    /// From so many degrees on it slows itself down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_c: Option<u32>,
    /// Memory errors that were not corrected since the driver was loaded; none where it does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecc_errors: Option<u64>,
    /// Programs that have memory of it; none are told of the processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<DeviceProcess>,
    /// Whether it is cut into slices: they are devices of their own, and nothing runs on the whole.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sliced: bool,
}

/// A program that has memory of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceProcess {
    /// Its process id.
    pub pid: u32,
    /// Memory, MiB; 0 where the driver does not tell.
    pub memory_mib: u64,
}

/// Why a device is given nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// What is computed on it may be wrong.
    Ecc {
        /// So many errors.
        errors: u64,
    },
    /// It is too hot.
    Hot {
        /// Degrees Celsius now.
        now: u32,
        /// And from where on it slows down.
        critical: u32,
    },
}

impl Inventory {
    /// What tasks can be run on beside the processor: cards that are not cut, and slices.
    pub fn accelerators(&self) -> impl Iterator<Item = &Reading> {
        self.devices.iter().filter(|device| device.kind != DeviceKind::Cpu && !device.sliced)
    }

    /// What is wrong with it, if anything, as a sentence without a full stop.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        self.devices.iter().find_map(|device| {
            let (name, id) = (&device.name, &device.id);
            match () {
                () if name.is_empty() || id.is_empty() => Some("a device has no name or no id".to_owned()),
                () if !names.insert(name) => Some(format!("{name} is there twice")),
                () if !ids.insert(id) => Some(format!("{id} is there twice")),
                () if device.free_mib > device.memory_mib => Some(format!("{name} has more free memory than memory")),
                () => None,
            }
        })
    }
}

impl Reading {
    /// Why it is given nothing new, if it is not fit for work.
    #[must_use]
    pub fn unfit(&self) -> Option<Unfit> {
        if let Some(errors) = self.ecc_errors.filter(|&errors| errors > 0) {
            return Some(Unfit::Ecc { errors });
        }
        match (self.temperature_c, self.critical_c) {
            (Some(now), Some(critical)) if now >= critical => Some(Unfit::Hot { now, critical }),
            _ => None,
        }
    }
}

impl Unfit {
    /// What can be done about it, as an imperative without a full stop.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Ecc { .. } => "reset the device (nvidia-smi --gpu-reset) or replace it, and start its worker again",
            Self::Hot { .. } => "look after its cooling; it takes work again once it is cooler",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecc { errors: 1 } => f.write_str("one memory error was not corrected"),
            Self::Ecc { errors } => write!(f, "{errors} memory errors were not corrected"),
            Self::Hot { now, critical } => write!(f, "it has {now} °C, and slows down from {critical} °C on"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Reading {
        let (name, id, model) = ("cuda:0".into(), "GPU-1".into(), "NVIDIA H200".into());
        Reading { name, id, model, kind: DeviceKind::Gpu, memory_mib: 100, free_mib: 40, ..Reading::default() }
    }

    #[test]
    fn a_card_that_is_cut_is_offered_as_its_slices() {
        let whole = Reading { sliced: true, ..card() };
        let slice = Reading { name: "cuda:0:0".into(), id: "MIG-1".into(), kind: DeviceKind::Mig, ..card() };
        let other = Reading { name: "cuda:1".into(), id: "GPU-2".into(), ..card() };
        let cpu = Reading { name: "cpu".into(), id: "cpu".into(), ..Reading::default() };
        let inventory = Inventory { devices: vec![cpu, whole, slice, other], ..Inventory::default() };
        assert_eq!(inventory.accelerators().map(|d| &d.name[..]).collect::<Vec<_>>(), ["cuda:0:0", "cuda:1"]);
        assert_eq!(inventory.fault(), None);
    }

    #[test]
    fn devices_that_cannot_be_are_named() {
        let fault = |devices| Inventory { devices, ..Inventory::default() }.fault().unwrap_or_default();
        assert_eq!(fault(vec![card(), card()]), "cuda:0 is there twice");
        assert_eq!(fault(vec![card(), Reading { name: "cuda:1".into(), ..card() }]), "GPU-1 is there twice");
        assert_eq!(fault(vec![Reading { free_mib: 101, ..card() }]), "cuda:0 has more free memory than memory");
        assert_eq!(fault(vec![Reading { id: String::new(), ..card() }]), "a device has no name or no id");
    }

    #[test]
    fn a_device_with_errors_or_heat_is_unfit_and_says_so() {
        let hot = |now| Reading { temperature_c: Some(now), critical_c: Some(90), ecc_errors: Some(0), ..card() };
        assert_eq!(hot(89).unfit(), None);
        assert_eq!(hot(90).unfit().unwrap().to_string(), "it has 90 °C, and slows down from 90 °C on");
        let failing = Reading { ecc_errors: Some(3), ..hot(95) };
        assert_eq!(failing.unfit().unwrap().to_string(), "3 memory errors were not corrected");
    }
}
