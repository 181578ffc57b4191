//! What the daemon is told of the workers on its own machine.

use greenroom_domain::Problem;
use serde::Deserialize;
use std::{fmt, path::PathBuf, str::FromStr};

use super::Engine;

/// `[workers]` of the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WorkersSection {
    pub count: Option<u32>,
    pub threads: Option<u32>,
    pub program: Option<PathBuf>,
    pub credential: Option<jiff::SignedDuration>,
    pub engine: Option<Engine>,
    pub devices: Option<Devices>,
    pub memory_max: Option<Memory>,
    pub simulated: Option<PathBuf>,
}

/// The workers that the daemon starts itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workers {
    /// Processes for work on the processor; with 0 the daemon starts none at all.
    pub count: u32,
    /// Which devices get one.
    pub devices: Devices,
    /// How much of the machine's memory each may use.
    pub memory_max: Option<Memory>,
    /// A file that says which devices to take for the machine's own.
    pub simulated: Option<PathBuf>,
}

/// Which devices get a worker of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Told")]
pub(crate) enum Devices {
    /// The processor, and every card and slice that the worker program can compute on.
    #[default]
    Auto,
    /// These alone: `cpu`, `cuda:0`, or a card's or slice's own id.
    Named(Vec<String>),
}

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Memory {
    mib: u64,
}

/// As the file may say it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Word(String),
    List(Vec<String>),
}

impl Workers {
    /// Whether something other than processors may be meant.
    pub(crate) fn wants_cards(&self) -> bool {
        self.count > 0
            && match &self.devices {
                Devices::Auto => true,
                Devices::Named(names) => names.iter().any(|name| name != "cpu"),
            }
    }

    /// Processes for work on the processor.
    pub(crate) fn processors(&self) -> u32 {
        match &self.devices {
            Devices::Named(names) if !names.iter().any(|name| name == "cpu") => 0,
            _ => self.count,
        }
    }

    /// # Errors
    /// If a limit leaves no room to start in.
    pub(super) fn check(self) -> Result<Self, Problem> {
        match self.memory_max {
            Some(memory) if memory.mib < 64 => {
                let remedy = "a worker needs some hundred MiB, and its models on top";
                Err(Problem::invalid("read configuration", "memory_max", format!("{memory} is too little"), remedy))
            }
            _ => Ok(self),
        }
    }
}

impl Memory {
    /// MiB.
    pub(crate) const fn mib(self) -> u64 {
        self.mib
    }
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(Told::List(text.split(',').map(|name| name.trim().to_owned()).collect()))
    }
}

impl TryFrom<Told> for Devices {
    type Error = String;

    fn try_from(told: Told) -> Result<Self, String> {
        let names = match told {
            Told::Word(word) => vec![word],
            Told::List(names) => names,
        };
        let known = |name: &String| {
            name == "cpu" || name.starts_with("cuda:") || name.starts_with("GPU-") || name.starts_with("MIG-")
        };
        match names.iter().find(|name| !known(name)) {
            Some(_) if names == ["auto"] => Ok(Self::Auto),
            Some(name) => Err(format!("`{name}` is no device: say auto, cpu, or a list of cpu, cuda:0, GPU-…, MIG-…")),
            None if names.is_empty() => Err("no device is named: say auto, cpu, or a list".into()),
            None => Ok(Self::Named(names)),
        }
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text[digits.len()..].trim() {
            "M" | "MiB" => Some(1),
            "G" | "GiB" => Some(1 << 10),
            "T" | "TiB" => Some(1 << 20),
            _ => None,
        };
        let mib = digits.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
        mib.map(|mib| Self { mib }).ok_or_else(|| format!("`{text}` is no amount of memory: write 512MiB or 16GiB"))
    }
}

impl TryFrom<String> for Memory {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.mib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WorkersSection, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn devices_are_a_word_or_a_list() {
        let devices = |text: &str| read(text).unwrap().devices.unwrap();
        assert_eq!(devices("devices = \"auto\""), Devices::Auto);
        assert_eq!(devices("devices = \"cpu\""), Devices::Named(vec!["cpu".into()]));
        let named = Devices::Named(vec!["cuda:0".into(), "MIG-1".into()]);
        assert_eq!((devices("devices = [\"cuda:0\", \"MIG-1\"]"), "cuda:0, MIG-1".parse()), (named.clone(), Ok(named)));
        let refused = read("devices = [\"gpu\"]").err().unwrap();
        assert_eq!(refused, "`gpu` is no device: say auto, cpu, or a list of cpu, cuda:0, GPU-…, MIG-…");
        assert!("".parse::<Devices>().is_err() && read("devices = []").is_err());
    }

    #[test]
    fn a_list_without_the_processor_leaves_it_alone() {
        let workers = |devices: &str, count| Workers { count, devices: devices.parse().unwrap(), ..Workers::default() };
        assert_eq!((workers("auto", 2).processors(), workers("cuda:0", 2).processors()), (2, 0));
        assert!(
            workers("auto", 1).wants_cards() && !workers("cpu", 1).wants_cards() && !workers("auto", 0).wants_cards()
        );
    }

    #[test]
    fn memory_has_a_unit() {
        let mib = |text: &str| text.parse::<Memory>().map(Memory::mib);
        assert_eq!((mib("512MiB"), mib("16 GiB"), mib("2T")), (Ok(512), Ok(16_384), Ok(2 << 20)));
        assert_eq!(mib("16").unwrap_err(), "`16` is no amount of memory: write 512MiB or 16GiB");
        assert!(mib("GiB").is_err() && mib("99999999999999TiB").is_err() && read("memory_max = \"x\"").is_err());
        let tight = Workers { memory_max: "8MiB".parse().ok(), ..Workers::default() }.check().unwrap_err();
        assert_eq!(tight.cause, "8 MiB is too little");
    }
}
