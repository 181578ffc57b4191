//! `greenroom job`

use clap::{Args, Subcommand};
use greenroom_domain::Priority;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{
    failure::Outcome,
    json,
    names::{self, JobName},
};

/// Pause a job, let it go on, make it more or less urgent, or begin again what runs of it.
#[derive(Args, Debug)]
pub(crate) struct Job {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Begin nothing more of it; what runs ends, a training pauses at its next checkpoint
    Pause {
        /// Which job
        job: JobName,
    },
    /// Let a paused job go on
    Resume {
        /// Which job
        job: JobName,
    },
    /// Make it more or less urgent
    Priority {
        /// Which job
        job: JobName,
        /// From -10 to 10; 0 is as urgent as any
        #[arg(allow_negative_numbers = true)]
        priority: Priority,
    },
    /// Take what runs of it away from its workers, and put it back into the queue
    Requeue {
        /// Which job
        job: JobName,
    },
}

impl Job {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let mut jobs = farm.jobs();
        let adjust = |job: &JobName, paused, priority| v1::AdjustJobRequest { name: job.to_string(), paused, priority };
        let answer = match &self.what {
            What::Pause { job } => jobs.adjust_job(adjust(job, Some(true), None)).await,
            What::Resume { job } => jobs.adjust_job(adjust(job, Some(false), None)).await,
            What::Priority { job, priority } => jobs.adjust_job(adjust(job, None, Some(priority.get()))).await,
            What::Requeue { job } => jobs.requeue_job(v1::RequeueJobRequest { name: job.to_string() }).await,
        };
        let job = match answer {
            Ok(job) => job.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let paused = if job.paused { ", paused" } else { "" };
        let line = format!("{}: {}{paused}, priority {}", names::last(&job.name), json::job_state(&job), job.priority);
        context.output.answer(&json::job(&job), &[line]);
        Ok(Outcome::Complete)
    }
}
