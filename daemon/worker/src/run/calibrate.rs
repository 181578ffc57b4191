//! Profiles → a character's own curve: its references against each other, the project's other characters and strangers.

use greenroom_domain::{CalibrateSpec, TaskOutput};
use greenroom_identity::{CalibrateInput, calibrate, uncalibrated};

use super::{Bench, Progress, go_on};
use crate::fault::Fault;

pub(super) fn run(bench: &mut Bench, spec: &CalibrateSpec, progress: &mut Progress<'_>) -> Result<TaskOutput, Fault> {
    go_on(progress(0.0, &format!("comparing {} with strangers", spec.character)))?;
    let profile = bench.profile(spec.profile)?;
    let others = spec.others.iter().map(|other| bench.profile(*other)).collect::<Result<Vec<_>, Fault>>()?;
    let strangers = bench.models.impostors()?;
    let identity = &bench.models.pack.identity;
    let input = CalibrateInput {
        profile: &profile,
        digest: spec.profile,
        others: &others,
        strangers: &strangers,
        fallback: &identity.calibration,
        scoring: &identity.scoring,
    };
    let made = calibrate(&input).unwrap_or_else(|why| uncalibrated(&input, &why));
    Ok(TaskOutput::Calibration { calibration: bench.keep_json(&made)?, summary: made.summary() })
}
