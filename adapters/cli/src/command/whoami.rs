//! `greenroom whoami`

use clap::Args;
use greenroom_proto::v1;
use serde_json::json;

use super::{Context, Ended, user};
use crate::{
    failure::{Failure, Outcome},
    json,
};

/// Say as whom the farm knows you, and what you may do.
#[derive(Args, Debug)]
pub(crate) struct WhoAmI {}

impl WhoAmI {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let me = match farm.users().who_am_i(v1::WhoAmIRequest {}).await {
            Ok(me) => me.into_inner(),
            Err(status) => return Err(Failure::from(farm.problem(status).await)),
        };
        let mut line = format!("{}  {}", me.user, user::may(me.admin, &me.roles));
        if me.expire_time.is_some() {
            line += &format!("  until {}", json::local_time(me.expire_time.as_ref()));
        }
        let document = json!({
            "user": me.user,
            "admin": me.admin,
            "roles": me.roles.iter().collect::<std::collections::BTreeMap<_, _>>(),
            "token": Some(&me.token).filter(|token| !token.is_empty()),
            "expire_time": me.expire_time.as_ref().map(json::time),
        });
        context.output.answer(&document, &[line]);
        Ok(Outcome::Complete)
    }
}
