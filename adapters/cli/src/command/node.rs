//! `greenroom node`

use clap::{Args, Subcommand};
use greenroom_proto::v1;

use super::{Context, Ended, nodes};
use crate::{failure::Outcome, json};

/// Take a machine out of work, and let it work again.
#[derive(Args, Debug)]
pub(crate) struct Node {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Begin nothing new there; what runs ends, trainings pause at their next checkpoint
    Drain {
        /// Which
        name: String,
        /// Why, for others
        #[arg(long, value_name = "TEXT", default_value = "by hand")]
        reason: String,
    },
    /// Let a drained node take work again
    Resume {
        /// Which
        name: String,
    },
    /// Trust a sick node again, and forget what failed there
    Heal {
        /// Which
        name: String,
    },
}

impl Node {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let request = match &self.what {
            What::Drain { name, reason } => {
                v1::SetNodeRequest { name: name.clone(), drained: true, reason: reason.clone() }
            }
            What::Resume { name } | What::Heal { name } => {
                v1::SetNodeRequest { name: name.clone(), ..v1::SetNodeRequest::default() }
            }
        };
        let name = request.name.clone();
        let answer = match farm.schedule().set_node(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let line = answer.node.as_ref().map_or_else(|| format!("{name}: no worker is attached"), nodes::line);
        context.output.answer(&answer.node.as_ref().map(json::node).into(), &[line]);
        Ok(Outcome::Complete)
    }
}
