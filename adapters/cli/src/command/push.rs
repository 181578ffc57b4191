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
    template::{self, TemplateArgs},
};

/// Push a script, or a job template of Open Job Description, to a project.
///
/// An unchanged script or template answers with the job that exists, and no work is done again.
///
/// A template (.yaml, .yml, .json) makes a job of commands, where the farm runs them. What commands leave below PATH parameters with
/// dataFlow OUT or INOUT, and their logs, comes with `greenroom pull`.
#[derive(Args, Debug)]
pub(crate) struct Push {
    /// Project to push to
    project: ProjectName,
    /// Script (Fountain), one shot (.toml), or a job template (.yaml, .yml, .json)
    script: PathBuf,
    /// How urgent it is, -10 to 10
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    priority: Priority,
    #[command(flatten)]
    template: TemplateArgs,
    /// Watch the job until it ends
    #[arg(long)]
    watch: bool,
}

impl Push {
    /// Pushes, and watches where asked.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let (farm, output) = (context.farm().await?, &context.output);
        let (job, created, notes) = if template::is_template(&self.script) {
            self.template.push(&farm, output, &self.project, &self.script).await?
        } else {
            self.template.refuse(&self.script)?;
            let user = context.environment.user.clone().unwrap_or_default();
            let whose = steps::Whose { user, priority: self.priority };
            let (job, answer) = steps::push(&farm, output, &self.project, &self.script, whose).await?;
            (job, answer.created, answer.notes)
        };
        notes.iter().for_each(|note| output.note(note));
        if self.watch {
            let job = steps::watch(&farm, &job.name, output.job()).await?;
            let summary = summary::end(&job)?;
            output.say(&summary.lines());
            return Ok(summary.outcome());
        }
        let known = if created { "" } else { " (pushed before)" };
        let line = format!("{}: {}{known}", names::last(&job.name), json::job_state(&job));
        let document = json!({"job": json::job(&job), "created": created, "notes": notes});
        output.answer(&document, &[line]);
        Ok(Outcome::Complete)
    }
}
