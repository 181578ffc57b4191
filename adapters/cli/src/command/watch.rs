//! `greenroom watch`

use clap::Args;

use super::{Context, Ended, steps};
use crate::{names::JobName, summary};

/// Watch a job until it ends.
///
/// A live bar for each shot; plain lines where nobody looks; with --json one line per event. A lost connection is taken up again
/// where it broke off.
///
/// Ctrl-C ends the watch, not the job. Exit codes are those of the job: 0 all shots accepted, 3 finished with drafts, 1 failed or
/// cancelled.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// Which job
    job: JobName,
}

impl Watch {
    /// Shows events.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let job = steps::watch(&farm, &self.job.to_string(), context.output.job()).await?;
        let summary = summary::end(&job)?;
        context.output.say(&summary.lines());
        Ok(summary.outcome())
    }
}
