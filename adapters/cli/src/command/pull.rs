//! `greenroom pull`

use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

use super::{Context, Ended, run, steps};
use crate::{failure::Outcome, names::JobName};

/// Save what a job made: episode, clips, contact sheet and report.
///
/// Files that are there already are left alone.
#[derive(Args, Debug)]
pub(crate) struct Pull {
    /// Which job
    job: JobName,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Pull {
    /// Saves.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let (farm, output) = (context.farm().await?, &context.output);
        let files = steps::pull(&farm, output, &self.job.to_string(), &self.out).await?;
        let paths = files.iter().map(|file| file.display().to_string()).collect::<Value>();
        output.answer(&json!({"files": paths}), &run::where_to_look(&self.out, &files)[1..]);
        Ok(Outcome::Complete)
    }
}
