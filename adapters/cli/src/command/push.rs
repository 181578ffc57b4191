//! `greenroom push`

use clap::Args;
use greenroom_domain::Priority;
use serde_json::json;
use std::path::PathBuf;

use super::{Context, Ended, steps};
use crate::{
    failure::Outcome,
    json,
    names::{self, ProjectName},
    summary,
};

/// Push a script to a project.
///
/// An unchanged script answers with the job that exists, and no work is done again.
#[derive(Args, Debug)]
pub(crate) struct Push {
    /// Project to push to
    project: ProjectName,
    /// Script (Fountain), or one shot (.toml)
    script: PathBuf,
    /// How urgent it is, -10 to 10
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    priority: Priority,
    /// Watch the job until it ends
    #[arg(long)]
    watch: bool,
}

impl Push {
    /// Pushes, and watches where asked.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let (farm, output) = (context.farm().await?, &context.output);
        let user = context.environment.user.clone().unwrap_or_default();
        let whose = steps::Whose { user, priority: self.priority };
        let (job, answer) = steps::push(&farm, output, &self.project, &self.script, whose).await?;
        answer.notes.iter().for_each(|note| output.note(note));
        if self.watch {
            let job = steps::watch(&farm, &job.name, output.job()).await?;
            let summary = summary::end(&job)?;
            output.say(&summary.lines());
            return Ok(summary.outcome());
        }
        let known = if answer.created { "" } else { " (pushed before)" };
        let line = format!("{}: {}{known}", names::last(&job.name), json::job_state(&job));
        let document = json!({"job": json::job(&job), "created": answer.created, "notes": answer.notes});
        output.answer(&document, &[line]);
        Ok(Outcome::Complete)
    }
}
