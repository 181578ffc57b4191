//! Devices that a file says are there.

use greenroom_domain::{DeviceKind, Inventory, Problem};
use std::path::Path;

use super::processor;

/// The file's devices; the processor is the machine's own where it is left out.
pub(super) fn read(file: &Path) -> Result<Inventory, Problem> {
    let refused = |cause: String| {
        let remedy = "write it as packaging/devices.example.toml shows";
        Problem::invalid("read simulated devices", file.display().to_string(), cause.trim(), remedy)
    };
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let mut inventory: Inventory = toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
    if inventory.node.is_empty() {
        inventory.node = processor::node();
    }
    if inventory.devices.first().is_none_or(|device| device.kind != DeviceKind::Cpu) {
        inventory.devices.insert(0, processor::reading());
    }
    inventory.cuda = true;
    inventory.fault().map_or(Ok(inventory), |fault| Err(refused(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Inventory, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        read(file.path()).map_err(|problem| problem.cause)
    }

    #[test]
    fn the_example_is_a_machine_with_a_card_that_is_cut() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/devices.example.toml");
        let inventory = read(&example).unwrap();
        let offered: Vec<_> = inventory.accelerators().map(|device| &device.name[..]).collect();
        assert_eq!(offered, ["cuda:0", "cuda:1:0", "cuda:1:1"]);
        assert_eq!(inventory.devices[0].name, "cpu");
        assert!(inventory.devices.iter().all(|device| device.unfit().is_none()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let twice = "[[devices]]\nname = \"cuda:0\"\nid = \"GPU-1\"\nkind = \"gpu\"\n";
        assert_eq!(said(&format!("{twice}{twice}")).unwrap_err(), "cuda:0 is there twice");
        assert!(said("[[devices]]\nname = \"cuda:0\"\nmemory = 1\n").unwrap_err().contains("unknown field `memory`"));
        assert!(read(Path::new("/no/such/file")).is_err());
    }
}
