//! `greenroom cancel`

use clap::Args;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{
    failure::Outcome,
    json,
    names::{self, JobName},
};

/// Stop a job.
///
/// What runs is stopped, what is done stays. A job that has ended stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Cancel {
    /// Which job
    job: JobName,
}

impl Cancel {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let job = match farm.jobs().cancel_job(v1::CancelJobRequest { name: self.job.to_string() }).await {
            Ok(job) => job.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let line = format!("{}: {}", names::last(&job.name), json::job_state(&job));
        context.output.answer(&json::job(&job), &[line]);
        Ok(Outcome::Complete)
    }
}
