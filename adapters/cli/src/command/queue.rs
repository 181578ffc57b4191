//! `greenroom queue`

use clap::Args;
use greenroom_proto::v1;
use serde_json::json;

use super::{Context, Ended};
use crate::{failure::Outcome, json};

/// Show what can start, in the order in which it will, and why it waits.
#[derive(Args, Debug)]
pub(crate) struct Queue {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

impl Queue {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let answer = match farm.schedule().list_queue(v1::ListQueueRequest { page_size: self.limit }).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let document = json!({
            "queued": answer.queued,
            "running": answer.running,
            "tasks": answer.tasks.iter().map(json::queued).collect::<Vec<_>>(),
        });
        context.output.answer(&document, &lines(&answer));
        Ok(Outcome::Complete)
    }
}

fn lines(answer: &v1::ListQueueResponse) -> Vec<String> {
    let mut lines = vec![format!("{} queued, {} running", answer.queued, answer.running)];
    for queued in &answer.tasks {
        let Some(why) = &queued.why else { continue };
        let position = if queued.position > 0 { queued.position.to_string() } else { "-".into() };
        let eta = queued.eta.as_ref().map(|eta| format!("  about {}", json::local_time(Some(eta)))).unwrap_or_default();
        let shot = if why.shot.is_empty() { String::new() } else { format!("{} take {}", why.shot, why.take) };
        let (task, kind, code) = (&why.task, &why.kind, &why.code);
        lines.push(format!("{position:>4}  {task}  {kind:<9} {shot:<12} {code:<18} {}{eta}", why.sentence));
    }
    lines
}
