//! Jobs of plain commands: a template's steps, what a task of one is given, and what it gives back.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::{Digest, JobId};

/// Everything that a job of commands is made from. Its digest names the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandPlan {
    /// What was pushed.
    pub source: CommandSource,
    /// The job's name, as the template and its parameters say.
    pub title: String,
    /// How paths of the machine that pushed are found on the farm, as the farm was set up at the push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathRule>,
    /// In an order in which each comes after those that it depends on.
    pub steps: Vec<CommandStep>,
}

/// A template with what it is filled in with. Whoever has it and the artifacts that it names makes the same job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandSource {
    /// The template's file name, for messages.
    pub file: String,
    /// The job template (YAML or JSON).
    pub template: Digest,
    /// Environment templates around every session, (file name, text), the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<(String, Digest)>,
    /// Parameters that were given, as they were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Where the template lay: relative defaults of PATH parameters begin there.
    pub template_folder: String,
    /// Where it was pushed from: relative PATH parameters begin there.
    pub working_folder: String,
    /// Tells a push from an equal one before it: commands read files that nobody hashed, so they may be wanted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandStep {
    /// Its name in the template.
    pub name: String,
    /// Steps all of whose tasks must be done first.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub depends_on: BTreeSet<String>,
    /// What a host must have.
    #[serde(default, skip_serializing_if = "HostRequirements::is_empty")]
    pub requires: HostRequirements,
    /// Its tasks by their parameters, `Frame=3`; one empty text where it has none.
    pub tasks: Vec<String>,
}

/// What a host must have, as a template says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostRequirements {
    /// Reserved for the task: `amount.worker.gpu` → between 1 and any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub amounts: BTreeMap<String, AmountRange>,
    /// What it must be: `attr.worker.os.family` → one of linux.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeChoice>,
}

/// What a host has, in the words of requirements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// `amount.worker.vcpu` → 8.
    pub amounts: BTreeMap<String, f64>,
    /// `attr.worker.os.family` → linux.
    pub attributes: BTreeMap<String, BTreeSet<String>>,
}

/// How much of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AmountRange {
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Which values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChoice {
    /// One of these; any where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<String>,
    /// All of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<String>,
}

/// What is below one folder where it was pushed from is below another on the farm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRule {
    /// There.
    pub from: String,
    /// Here.
    pub to: String,
    /// How `from` is written.
    #[serde(default)]
    pub format: PathFormat,
}

/// How paths are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathFormat {
    /// `/shows/lab`
    #[default]
    Posix,
    /// `S:\lab`
    Windows,
}

/// Command: one task of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandSpec {
    /// Of which job: what a command gave is never another job's, for nobody knows what it read.
    pub job: JobId,
    /// The [`CommandPlan`] (JSON).
    pub plan: Digest,
    /// Which step.
    pub step: String,
    /// The step's place in the plan, from 0.
    pub place: u32,
    /// Which task of it, from 0.
    pub index: u32,
    /// Its parameters, `Frame=3`.
    pub label: String,
    /// What the steps that it depends on gave: a list of [`CommandFile`] (JSON). None where they gave nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// What a host must have.
    #[serde(default, skip_serializing_if = "HostRequirements::is_empty")]
    pub requires: HostRequirements,
}

/// A file that a command left in one of its output folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandFile {
    /// The parameter that names the folder, and the path below it: `OutputDir/beauty/0001.exr`.
    pub path: String,
    /// Its bytes.
    pub digest: Digest,
    /// Their number.
    pub bytes: u64,
    /// Whether it may be run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl HostRequirements {
    /// Any host will do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.amounts.is_empty() && self.attributes.is_empty()
    }

    /// What a host lacks, if anything. What it does not name it does not have.
    #[must_use]
    pub fn unmet(&self, host: &Host) -> Option<String> {
        let amount = self.amounts.iter().find_map(|(name, range)| {
            let (asked, has) = (range.min.unwrap_or(0.0), host.amounts.get(name).copied().unwrap_or(0.0));
            (has < asked).then(|| format!("{name} of {asked} is asked, and it has {has}"))
        });
        let attribute = || {
            self.attributes.iter().find_map(|(name, choice)| {
                let has = host.attributes.get(name).cloned().unwrap_or_default();
                let is = |value: &String| has.contains(&value.to_ascii_lowercase());
                let fits = (choice.any_of.is_empty() || choice.any_of.iter().any(is)) && choice.all_of.iter().all(is);
                let asked = || choice.any_of.iter().chain(&choice.all_of).cloned().collect::<Vec<_>>().join(", ");
                (!fits).then(|| format!("{name} is to be {}", asked()))
            })
        };
        amount.or_else(attribute)
    }
}

impl CommandSpec {
    /// For people: `Render Frame=3`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.label.is_empty() { self.step.clone() } else { format!("{} {}", self.step, self.label) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_gpu_is_not_for_what_asks_for_one() {
        let linux = BTreeSet::from(["linux".to_owned()]);
        let host = Host {
            amounts: [("amount.worker.vcpu".into(), 8.0)].into(),
            attributes: [("attr.worker.os.family".into(), linux)].into(),
        };
        let asking = |name: &str, min| HostRequirements {
            amounts: [(name.to_owned(), AmountRange { min: Some(min), max: None })].into(),
            attributes: [(
                "attr.worker.os.family".to_owned(),
                AttributeChoice { any_of: vec!["Linux".into(), "macos".into()], all_of: vec![] },
            )]
            .into(),
        };
        assert_eq!(asking("amount.worker.vcpu", 8.0).unmet(&host), None);
        let lacking = asking("amount.worker.gpu", 1.0).unmet(&host);
        assert_eq!(lacking.as_deref(), Some("amount.worker.gpu of 1 is asked, and it has 0"));
        let windows = AttributeChoice { any_of: vec!["windows".into()], all_of: vec![] };
        let attributes = [("attr.worker.os.family".to_owned(), windows)].into();
        let other = HostRequirements { attributes, ..HostRequirements::default() };
        assert_eq!(other.unmet(&host).as_deref(), Some("attr.worker.os.family is to be windows"));
    }
}
