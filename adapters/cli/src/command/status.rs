//! `greenroom status`

use clap::Args;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{failure::Outcome, json};

/// Show the farm: the daemon's version, its models, and what each worker does.
#[derive(Args, Debug)]
pub(crate) struct Status {}

impl Status {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let answer = match farm.farm().get_farm(v1::GetFarmRequest {}).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let mut lines = vec![
            format!("address  {}", farm.address()),
            format!("version  {} (this command: {})", answer.version, env!("CARGO_PKG_VERSION")),
            format!("pack     {}", answer.pack),
        ];
        if !answer.leader.is_empty() {
            lines.push(format!("leader   {} (this daemon stands by)", answer.leader));
        }
        for v1::Worker { uid, device, task } in &answer.workers {
            let task = if task.is_empty() { "idle" } else { task };
            lines.push(format!("worker   {uid}  {device}  {task}"));
        }
        if answer.workers.is_empty() {
            lines.push("worker   none attached".to_owned());
        }
        context.output.answer(&json::farm(farm.address(), &answer), &lines);
        Ok(Outcome::Complete)
    }
}
