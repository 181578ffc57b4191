//! `greenroom limits`

use clap::Args;
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{failure::Outcome, json};

/// Show limits (licences, what providers allow) and what counts against them.
#[derive(Args, Debug)]
pub(crate) struct Limits {}

impl Limits {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let limits = match farm.schedule().list_limits(v1::ListLimitsRequest {}).await {
            Ok(answer) => answer.into_inner().limits,
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let mut lines: Vec<_> = limits.iter().map(line).collect();
        if lines.is_empty() {
            lines.push("no limits; `greenroom policy set FILE` puts some in force".to_owned());
        }
        context.output.answer(&limits.iter().map(json::limit).collect(), &lines);
        Ok(Outcome::Complete)
    }
}

fn line(limit: &v1::LimitUse) -> String {
    let of = |most: Option<u32>| most.map_or_else(|| "any".to_owned(), |most| most.to_string());
    let (used, begun) = (limit.used, limit.begun);
    let (at_once, per_minute) = (of(limit.at_once), of(limit.per_minute));
    format!("{:<16} {used} of {at_once} {}s at once, {begun} of {per_minute} in the last minute", limit.name, limit.per)
}
