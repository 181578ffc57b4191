//! `greenroom jobs`

use clap::Args;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{
    failure::Outcome,
    json,
    names::{self, ProjectName},
};

/// List jobs, newest first.
#[derive(Args, Debug)]
pub(crate) struct Jobs {
    /// Only those of one project
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

impl Jobs {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let parent = self.project.as_ref().map_or_else(|| "projects/-".to_owned(), ToString::to_string);
        let jobs = match farm.jobs().list_jobs(v1::ListJobsRequest { parent, page_size: self.limit }).await {
            Ok(list) => list.into_inner().jobs,
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        context.output.answer(&jobs.iter().map(json::job).collect(), &lines(&jobs));
        Ok(Outcome::Complete)
    }
}

fn lines(jobs: &[v1::Job]) -> Vec<String> {
    if jobs.is_empty() {
        return vec!["no jobs".to_owned()];
    }
    let line = |job: &v1::Job| {
        let mut parts = job.name.split('/');
        let project = parts.nth(1).unwrap_or_default();
        let done = job.task_counts.get("done").copied().unwrap_or(0);
        let all = job.task_counts.values().sum::<u32>();
        let state = json::job_state(job);
        let state = match job.draft_shots.is_empty() {
            true => state,
            false => format!("{state} {}", job.draft_shots.join(" ")),
        };
        format!(
            "{}  {}  {done:>3}/{all:<3}  {project}: {}  {state}",
            names::last(&job.name),
            json::local_time(job.create_time.as_ref()),
            job.title,
        )
    };
    jobs.iter().map(line).collect()
}
