//! NVIDIA's cards, asked through the driver's own library (NVML), which is loaded when the program runs. A machine without that
//! library has no cards.

use greenroom_domain::{DeviceKind, DeviceProcess, Reading};
use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor, TemperatureThreshold},
    enums::device::UsedGpuMemory,
    error::NvmlError,
};
use std::ffi::OsStr;

/// What a driver brings; the name without a number comes with its development files only.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The driver, or why there is none.
#[derive(Debug)]
pub(crate) struct Driver(Result<Box<Nvml>, String>);

impl Driver {
    /// Loads its library.
    pub(super) fn open() -> Self {
        Self(Nvml::builder().lib_path(OsStr::new(LIBRARY)).init().map(Box::new).map_err(|error| match error {
            NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
                format!("no NVIDIA driver is installed ({LIBRARY} is not there), so there are no graphics cards")
            }
            error => format!("the NVIDIA driver does not answer: {error}"),
        }))
    }

    /// Its version.
    pub(super) fn version(&self) -> Option<String> {
        self.0.as_ref().ok()?.sys_driver_version().ok()
    }

    /// Adds every card and slice, and what could not be read.
    pub(super) fn read(&self, devices: &mut Vec<Reading>, remarks: &mut Vec<String>) {
        let nvml = match &self.0 {
            Ok(nvml) => nvml,
            Err(remark) => return remarks.push(remark.clone()),
        };
        let count = nvml.device_count().unwrap_or_else(|error| {
            remarks.push(format!("the NVIDIA driver does not tell its cards: {error}"));
            0
        });
        for number in 0..count {
            match nvml.device_by_index(number).and_then(|card| of_card(&card, number)) {
                Ok(found) => devices.extend(found),
                Err(error) => remarks.push(format!("card {number} does not answer: {error}")),
            }
        }
    }
}

/// A card and its slices.
fn of_card(card: &Device<'_>, number: u32) -> Result<Vec<Reading>, NvmlError> {
    let sliced = card.mig_mode().is_ok_and(|mode| mode.current == 1);
    let threshold = |threshold| card.temperature_threshold(threshold).ok();
    let whole = Reading {
        temperature_c: card.temperature(TemperatureSensor::Gpu).ok(),
        critical_c: threshold(TemperatureThreshold::Slowdown).or_else(|| threshold(TemperatureThreshold::GpuMax)),
        ecc_errors: card.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok(),
        sliced,
        ..reading(card, format!("cuda:{number}"), DeviceKind::Gpu)?
    };
    let slots = if sliced { card.mig_device_count().unwrap_or(0) } else { 0 };
    // A slot without a slice is no fault.
    let slices = (0..slots).filter_map(|slot| {
        let slice = card.mig_device_by_index(slot).ok()?;
        let slice = reading(&slice, format!("cuda:{number}:{slot}"), DeviceKind::Mig).ok()?;
        let profile = slice.model.rsplit_once("MIG ").map(|(_, profile)| profile.to_owned());
        // Heat and errors are the card's.
        let (temperature_c, critical_c, ecc_errors) = (whole.temperature_c, whole.critical_c, whole.ecc_errors);
        Some(Reading { profile, model: whole.model.clone(), temperature_c, critical_c, ecc_errors, ..slice })
    });
    let slices: Vec<_> = slices.collect();
    Ok([whole].into_iter().chain(slices).collect())
}

fn reading(device: &Device<'_>, name: String, kind: DeviceKind) -> Result<Reading, NvmlError> {
    let memory = device.memory_info()?;
    let processes = device.running_compute_processes().unwrap_or_default().into_iter().map(|process| {
        let memory_mib = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => bytes >> 20,
            UsedGpuMemory::Unavailable => 0,
        };
        DeviceProcess { pid: process.pid, memory_mib }
    });
    Ok(Reading {
        name,
        id: device.uuid()?,
        kind,
        model: device.name()?,
        memory_mib: memory.total >> 20,
        free_mib: memory.free >> 20,
        processes: processes.collect(),
        ..Reading::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_driver_has_no_cards_and_says_so_once() {
        let (mut devices, mut remarks) = (vec![], vec![]);
        let driver = Driver::open();
        driver.read(&mut devices, &mut remarks);
        if driver.version().is_none() {
            assert!(devices.is_empty() && remarks.len() == 1 && remarks[0].contains("NVIDIA driver"), "{remarks:?}");
        }
        // Where there is one, its cards have memory.
        assert!(devices.iter().all(|card: &Reading| card.memory_mib > 0 && !card.id.is_empty()), "{devices:?}");
    }
}
