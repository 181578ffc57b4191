//! `greenroom watch`

use clap::Args;
use greenroom_domain::Problem;
use greenroom_proto::v1::watch_job_response::Update;
use std::path::{Path, PathBuf};

use super::{Context, Ended};
use crate::{
    connection::Farm,
    follow::{Heard, follow},
    names::JobName,
    output::JobView,
    summary,
};

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
    /// Also save pictures made on the way, as a LoRA's training draws them, to this folder
    #[arg(long, value_name = "DIR")]
    samples: Option<PathBuf>,
}

impl Watch {
    /// Shows events.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let (name, view) = (self.job.to_string(), context.output.job());
        let job = match &self.samples {
            None => super::steps::watch(&farm, &name, view).await?,
            Some(folder) => with_samples(&farm, &name, view, folder).await?,
        };
        let summary = summary::end(&job)?;
        context.output.say(&summary.lines());
        Ok(summary.outcome())
    }
}

/// Watches, and writes `sample-1.jpg`, `sample-2.jpg` … as they come.
async fn with_samples(
    farm: &Farm,
    name: &str,
    mut view: JobView,
    folder: &Path,
) -> Result<greenroom_proto::v1::Job, Problem> {
    let unwritable = |error: std::io::Error| {
        Problem::invalid("save sample", folder.display().to_string(), error, "name a folder that can be written")
    };
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let (mut count, mut failed) = (0, None);
    let job = follow(farm, name, &mut |heard| {
        if let Heard::Update(Update::Progress(progress)) = &heard
            && !progress.picture.is_empty()
        {
            count += 1;
            let file = folder.join(format!("sample-{count}.jpg"));
            failed = failed.take().or(std::fs::write(file, &progress.picture).err());
        }
        view.hear(&heard);
    })
    .await;
    view.close();
    failed.map_or(job, |error| Err(unwritable(error)))
}
