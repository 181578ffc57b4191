//! `greenroom policy`

use clap::{Args, Subcommand};
use greenroom_domain::{Policy as Checked, Problem};
use greenroom_proto::v1;
use serde_json::json;
use std::path::PathBuf;

use super::{Context, Ended};
use crate::failure::Outcome;

/// Show and set what the scheduler is asked: shares, quotas, limits, time-outs, reservations, maintenance.
///
/// A policy is a TOML file: `[project.NAME]` and `[user.NAME]` with share and max_running; `[limit.NAME]` with at_once,
/// per_minute, per = "task" or "node", and kinds; `[needs.KIND]` and `[timeout]`; `[[reservation]]` and `[[maintenance]]`;
/// `[pace]`. What it does not say is as ever. Drained nodes stay drained.
#[derive(Args, Debug)]
pub(crate) struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the policy in force, as a file that `set` takes
    Show,
    /// Put a policy in force; it is checked first
    Set {
        /// The file (TOML)
        file: PathBuf,
        /// Only if this revision is in force still
        #[arg(long, value_name = "REVISION")]
        replaces: Option<u64>,
    },
}

impl Policy {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let (request, farm) = match &self.what {
            What::Show => (None, context.farm().await?),
            What::Set { file, replaces } => {
                let subject = file.display().to_string();
                let toml = std::fs::read_to_string(file).map_err(|error| {
                    Problem::invalid("read policy", &subject, error, "name a file that can be read")
                })?;
                Checked::parse(&toml, &subject)?;
                (Some(v1::SetPolicyRequest { toml, replaces: *replaces }), context.farm().await?)
            }
        };
        let set = request.is_some();
        let answer = match request {
            Some(request) => farm.schedule().set_policy(request).await,
            None => farm.schedule().get_policy(v1::GetPolicyRequest {}).await,
        };
        let policy = match answer {
            Ok(policy) => policy.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let lines = match set {
            true => vec![format!("revision {} is in force", policy.revision)],
            false => [format!("# revision {}", policy.revision)]
                .into_iter()
                .chain(policy.toml.lines().map(str::to_owned))
                .collect(),
        };
        context.output.answer(&json!({"revision": policy.revision, "toml": policy.toml}), &lines);
        Ok(Outcome::Complete)
    }
}
