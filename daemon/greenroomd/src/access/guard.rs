//! The door: no call gets to a service but through here.

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::StreamExt as _;
use greenroom_domain::{Problem, ProblemKind, Role};
use greenroom_store::{Batch, Change};
use sha2::Digest as _;
use std::sync::Arc;
use tonic::{Code, Status};

use super::{
    Caller,
    call::Call,
    lock,
    rules::{Needs, Rule},
};
use crate::{api, farm::Farm};

/// Supervisors probe without a token.
const HEALTH: &str = "grpc.health.v1.Health/";

/// Finds who calls and whether it may, has the call answered, and writes what changed something to the audit log.
pub(crate) async fn guard(State(farm): State<Arc<Farm>>, request: Request, next: Next) -> Response {
    let method = request.uri().path().trim_start_matches('/').to_owned();
    if method.starts_with(HEALTH) {
        return next.run(request).await;
    }
    let caller = match Caller::find(&farm, request.headers()).await {
        Ok(caller) => caller,
        Err(problem) => {
            tracing::warn!(method, "{problem}");
            return api::status(&problem).into_http();
        }
    };
    let Some(rule) = Rule::of(&method) else {
        return Status::unimplemented(format!("{method} is no method of this daemon")).into_http();
    };
    let call = Arc::new(Call::new(rule, caller));
    if let Err(problem) = may(rule, &call.caller) {
        farm.metrics.answered(rule.method, "denied");
        if rule.writes
            && let Err(status) = write_down(&farm, &call, "denied").await
        {
            return status.into_http();
        }
        return api::denied(&problem).into_http();
    }
    if !rule.writes {
        let response = call.answer(next.run(request)).await;
        farm.metrics.answered(rule.method, outcome(&response));
        return response;
    }
    let response = call.clone().answer(next.run(hashed(request, call.clone()))).await;
    let outcome = outcome(&response);
    farm.metrics.answered(rule.method, outcome);
    if outcome == "ok" && call.is_signed() {
        return response;
    }
    match write_down(&farm, &call, outcome).await {
        Ok(()) => response,
        Err(status) => status.into_http(),
    }
}

/// The request, of which every byte is also hashed on its way.
fn hashed(request: Request, call: Arc<Call>) -> Request {
    request.map(|body| {
        let note = move |bytes: &Result<axum::body::Bytes, axum::Error>| {
            if let Ok(bytes) = bytes {
                lock(&call.request).update(bytes);
            }
        };
        Body::from_stream(body.into_data_stream().inspect(note))
    })
}

async fn write_down(farm: &Farm, call: &Call, outcome: &str) -> Result<(), Status> {
    let row = Batch::new().change(Change::AppendAudit(call.deed(outcome)));
    farm.store.commit(row).await.map(|_| ()).map_err(|error| {
        tracing::error!(%error, method = call.rule.method, outcome, "the audit log cannot be written");
        api::status(&error.problem())
    })
}

/// What the method needs of the caller, whatever the project.
fn may(rule: &Rule, caller: &Caller) -> Result<(), Problem> {
    let is_person = matches!(caller, Caller::Owner | Caller::User { .. });
    let fine = match rule.needs {
        Needs::Anyone | Needs::In(_) => is_person,
        Needs::Somewhere(role) => caller.highest() >= Some(role),
        Needs::Admin => caller.is_admin(),
        Needs::Join => matches!(caller, Caller::Joining(_)),
        Needs::Worker => matches!(caller, Caller::Joined(..) | Caller::OwnWorker(_)),
    };
    if fine {
        return Ok(());
    }
    let who = caller.name();
    let (needed, remedy) = match rule.needs {
        _ if !is_person => ("a user's token", "pass --token-file with the token of a user".to_owned()),
        Needs::Somewhere(role) => {
            (role.name(), format!("ask an administrator for `greenroom user role {who} {role} --project NAME`"))
        }
        Needs::Join => ("a join token", "make one with `greenroom token create --worker`".to_owned()),
        Needs::Worker => ("the role worker", "let the worker join with `greenroom token create --worker`".to_owned()),
        Needs::Admin | Needs::Anyone | Needs::In(_) => {
            (Role::Admin.name(), "ask an administrator of the farm to do it".to_owned())
        }
    };
    let needed = if needed.contains(' ') { needed.to_owned() } else { format!("the role {needed}") };
    let cause = format!("it needs {needed}");
    Err(Problem::new(ProblemKind::Denied, rule.step(), who, cause, remedy))
}

/// How a call ended, in a word.
fn outcome(response: &Response) -> &'static str {
    let code = response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    match code {
        Code::Ok => "ok",
        Code::InvalidArgument => "invalid",
        Code::NotFound => "not_found",
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => "conflict",
        Code::PermissionDenied | Code::Unauthenticated => "denied",
        Code::Unavailable => "unavailable",
        _ => "internal",
    }
}
