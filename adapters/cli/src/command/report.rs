//! `greenroom report`

use clap::Args;
use serde_json::json;
use std::path::PathBuf;

use super::{Context, Ended, steps};
use crate::{download, failure::Outcome, follow, names::JobName, summary};

/// Tell what came of a job: shots accepted, drafts and why.
///
/// --json gives the whole report.
#[derive(Args, Debug)]
pub(crate) struct Report {
    /// Which job
    job: JobName,
    /// Save the report here, as a page for people, or as JSON where the name ends in .json
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Report {
    /// Fetches and shows or saves it.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let (farm, output) = (context.farm().await?, &context.output);
        let name = self.job.to_string();
        let report = steps::report(&farm, &name).await?;
        if let Some(path) = &self.out {
            let is_json = path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("json"));
            download::write(path, if is_json { &report.json } else { &report.html }.as_bytes()).await?;
            output.answer(&json!({"file": path.display().to_string()}), &[path.display().to_string()]);
        } else if output.is_json() {
            output.raw(&report.json);
        } else {
            output.say(&summary::end(&follow::get(&farm, &name).await?)?.lines());
        }
        Ok(Outcome::Complete)
    }
}
