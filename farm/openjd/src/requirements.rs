//! What a step asks of a host.

use greenroom_domain::{AmountRange, AttributeChoice, HostRequirements, Problem};
use openjd_model::job;

use crate::fault;

/// More than any host has. Such a task would wait for ever.
const ABSURD: [(&str, f64, &str); 6] = [
    ("amount.worker.vcpu", 65_536.0, "processors"),
    ("amount.worker.memory", 1_073_741_824.0, "MiB"),
    ("amount.worker.gpu", 1_024.0, "GPUs"),
    ("amount.worker.gpu.memory", 16_777_216.0, "MiB of GPU memory"),
    ("amount.worker.disk.scratch", 1_073_741_824.0, "MiB of scratch space"),
    ("", 1e15, "of anything"),
];

/// As the domain says it. Names are told apart without regard to case, so they are written small.
pub(crate) fn of(file: &str, step: &str, given: Option<&job::HostRequirements>) -> Result<HostRequirements, Problem> {
    let mut requirements = HostRequirements::default();
    let Some(given) = given else { return Ok(requirements) };
    for amount in given.amounts.iter().flatten() {
        let (name, range) = (amount.name.to_ascii_lowercase(), AmountRange { min: amount.min, max: amount.max });
        check(file, step, &name, range)?;
        requirements.amounts.insert(name, range);
    }
    for attribute in given.attributes.iter().flatten() {
        let choice = AttributeChoice {
            any_of: attribute.any_of.clone().unwrap_or_default(),
            all_of: attribute.all_of.clone().unwrap_or_default(),
        };
        requirements.attributes.insert(attribute.name.to_ascii_lowercase(), choice);
    }
    Ok(requirements)
}

fn check(file: &str, step: &str, name: &str, range: AmountRange) -> Result<(), Problem> {
    let refuse = |cause: String| Err(fault::refused(file, format!("step {step}: {cause}"), "ask for what a host has"));
    let (most, unit) =
        ABSURD.iter().find(|(known, ..)| *known == name || known.is_empty()).map_or((1e15, ""), |row| (row.1, row.2));
    for amount in [range.min, range.max].into_iter().flatten() {
        if !amount.is_finite() || amount < 0.0 {
            return refuse(format!("{name} cannot be {amount}"));
        }
    }
    match (range.min, range.max) {
        (Some(min), _) if min > most => refuse(format!("{name} asks for {min} {unit}, and no host has that")),
        (Some(min), Some(max)) if min > max => refuse(format!("{name} asks for at least {min} and at most {max}")),
        _ => Ok(()),
    }
}
