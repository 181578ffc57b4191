//! Stands in for a device, behind the same messages: takes its time, and publishes what it made up.

use greenroom_domain::{LeaseEpoch, Problem, ProblemKind, Spec, TaskOutput, mark, rehearse};
use std::time::Duration;

use crate::{
    fault::Fault,
    run::{Bench, Progress, go_on},
};

/// A task tells how far it is so often while it takes its time.
const PARTS: u32 = 10;

/// Runs one task: it takes so long, and its outputs hold the mark of the attempt.
pub(crate) fn run(
    bench: &Bench,
    spec: &Spec,
    (task, epoch): (&str, u64),
    takes: Duration,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    for part in 0..PARTS {
        go_on(progress(part as f32 / PARTS as f32, "pretending"))?;
        pause(takes / PARTS);
    }
    let made = rehearse(spec, &mark(task, LeaseEpoch(epoch))).ok_or_else(|| {
        Problem::new(ProblemKind::Internal, "simulate task", task, "no worker does such a task", "report this as a bug")
    })?;
    for bytes in made.artifacts {
        bench.keep_bytes(bytes)?;
    }
    Ok(made.output)
}

#[expect(clippy::disallowed_methods, reason = "taking its time is all that it does")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
