//! What this machine has to compute on: processor, graphics cards and their slices, or what a file says instead.

mod command;
mod nvml;
mod processor;
mod simulated;

use greenroom_domain::{Inventory, Problem, Reading};
use std::{collections::BTreeSet, path::PathBuf};

pub(crate) use command::Devices;
pub(crate) use processor::{memory_mib, node};

/// What CUDA and Slurm tell a process of the cards that it may use.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// Where a machine's devices are read.
#[derive(Debug)]
pub(crate) enum Source {
    /// From its drivers.
    Machine(nvml::Driver),
    /// From a file (TOML), each time anew: a farm can be tried out without its cards.
    Simulated(PathBuf),
}

/// A worker's own device, to be read again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    source: Source,
    id: String,
}

impl Source {
    /// The file, if there is one to simulate by.
    pub(crate) fn of(simulated: Option<PathBuf>) -> Self {
        simulated.map_or_else(|| Self::Machine(nvml::Driver::open()), Self::Simulated)
    }

    /// Looks.
    ///
    /// # Errors
    /// If a simulated inventory cannot be read, or cannot be.
    pub(crate) fn look(&self) -> Result<Inventory, Problem> {
        match self {
            Self::Simulated(file) => simulated::read(file),
            Self::Machine(driver) => {
                let (mut devices, mut remarks) = (vec![processor::reading()], vec![]);
                driver.read(&mut devices, &mut remarks);
                let cuda = cfg!(feature = "cuda");
                if !cuda && devices.len() > 1 {
                    remarks.push("this greenroom-worker was built without CUDA and leaves the cards alone".into());
                }
                Ok(Inventory { node: processor::node(), driver: driver.version(), cuda, remarks, devices })
            }
        }
    }

    /// Whether a file is read instead of the machine.
    pub(crate) const fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    /// The device that a worker computes on, from now on watched: a card by its number among those that the process sees, or the
    /// processor. None where the drivers do not know it.
    pub(crate) fn watch(self, number: Option<usize>) -> Result<Option<(Reading, Watch)>, Problem> {
        #[expect(clippy::disallowed_methods, reason = "how CUDA and Slurm tell a process which cards it may use")]
        let visible = std::env::var(VISIBLE).ok();
        let inventory = self.look()?;
        let own = own(&inventory, number, visible.as_deref()).cloned();
        Ok(own.map(|reading| (reading.clone(), Watch { source: self, id: reading.id })))
    }
}

impl Watch {
    /// How the device is now, and which processes are this worker's; none where it does not answer at present.
    pub(crate) fn read(&self) -> Option<(Reading, BTreeSet<u32>)> {
        let inventory = self.source.look().ok()?;
        let reading = inventory.devices.into_iter().find(|device| device.id == self.id)?;
        let pids = if reading.processes.is_empty() { BTreeSet::new() } else { processor::own_processes() };
        Some((reading, pids))
    }
}

/// The device of that number among the visible ones. They are told by id, by the beginning of one, or by the card's number.
fn own<'a>(inventory: &'a Inventory, number: Option<usize>, visible: Option<&str>) -> Option<&'a Reading> {
    let Some(number) = number else { return inventory.devices.first() };
    let Some(visible) = visible else { return inventory.accelerators().nth(number) };
    let told = visible.split(',').nth(number)?.trim();
    let mut devices = inventory.devices.iter();
    match told.parse::<u32>() {
        Ok(card) => devices.find(|device| device.name == format!("cuda:{card}")),
        Err(_) => devices.find(|device| !told.is_empty() && device.id.starts_with(told)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_domain::DeviceKind;

    #[test]
    fn a_worker_finds_its_device_by_what_cuda_is_told() {
        let device =
            |name: &str, id: &str, kind| Reading { name: name.into(), id: id.into(), kind, ..Reading::default() };
        let devices = vec![
            device("cpu", "cpu", DeviceKind::Cpu),
            device("cuda:0", "GPU-aa11", DeviceKind::Gpu),
            device("cuda:1", "GPU-bb22", DeviceKind::Gpu),
            device("cuda:1:0", "MIG-cc33", DeviceKind::Mig),
        ];
        let inventory = Inventory { devices, ..Inventory::default() };
        let found = |number, visible| own(&inventory, number, visible).map_or("none", |device| &device.name);
        assert_eq!(found(None, Some("GPU-aa11")), "cpu");
        assert_eq!((found(Some(1), None), found(Some(1), Some("1,0"))), ("cuda:1", "cuda:0"));
        assert_eq!((found(Some(0), Some("GPU-bb22")), found(Some(0), Some("GPU-bb"))), ("cuda:1", "cuda:1"));
        assert_eq!((found(Some(0), Some("MIG-cc33")), found(Some(0), Some(""))), ("cuda:1:0", "none"));
        assert_eq!((found(Some(1), Some("GPU-aa11")), found(Some(0), Some("GPU-no"))), ("none", "none"));
    }
}
