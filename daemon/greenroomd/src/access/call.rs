//! The call that is being answered: who made it, what it needs, and what of it goes to the audit log.
//!
//! It travels with the task that answers, so that whoever finds a project can ask for the caller's role, and whoever commits can
//! sign the batch. Tasks that outlive the call are nobody's.

use greenroom_domain::{Deed, Digest, Problem, ProblemKind, Project, ProjectId, Role};
use greenroom_store::{Batch, Change};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};
use tonic::Status;

use super::{
    Caller, lock,
    rules::{Needs, Rule},
};
use crate::{api, clock};

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// A call that is being answered.
pub(super) struct Call {
    pub(super) rule: &'static Rule,
    pub(super) caller: Caller,
    /// The resource, as far as it is known.
    about: Mutex<String>,
    /// What was sent so far.
    pub(super) request: Mutex<Sha256>,
    /// Whether the audit log has a row that says that it was done.
    signed: Mutex<bool>,
}

impl Call {
    pub(super) fn new(rule: &'static Rule, caller: Caller) -> Self {
        let (about, request, signed) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { rule, caller, about, request, signed }
    }

    /// Answers it.
    pub(super) async fn answer<T>(self: Arc<Self>, answer: impl Future<Output = T>) -> T {
        CALL.scope(self, answer).await
    }

    /// The audit log's row.
    pub(super) fn deed(&self, outcome: &str) -> Deed {
        Deed {
            at: clock::now(),
            user: self.caller.name().to_owned(),
            token: self.caller.token().map(|t| t.id.to_string()).unwrap_or_default(),
            method: self.rule.method.to_owned(),
            resource: lock(&self.about).clone(),
            outcome: outcome.to_owned(),
            request: Digest::from_bytes(lock(&self.request).clone().finalize().into()),
        }
    }

    pub(super) fn is_signed(&self) -> bool {
        *lock(&self.signed)
    }
}

/// Says what the call is about, for the audit log: names of projects and ids, nothing that somebody wrote.
pub(crate) fn about(resource: impl Into<String>) {
    let _ = CALL.try_with(|call| *lock(&call.about) = resource.into());
}

/// Says of what in its project the call is; what was said first stays.
pub(crate) fn about_part(kind: &str, id: impl std::fmt::Display) {
    let _ = CALL.try_with(|call| {
        let mut about = lock(&call.about);
        if about.matches('/').count() == 1 {
            *about = format!("{about}/{kind}/{id}");
        }
    });
}

/// Who calls. None for what the daemon does by itself.
pub(crate) fn caller() -> Option<Caller> {
    CALL.try_with(|call| call.caller.clone()).ok()
}

/// The user who calls, for what remembers it; empty where it is none.
pub(crate) fn user() -> String {
    match caller() {
        Some(Caller::User { user, .. }) => user.name,
        _ => String::new(),
    }
}

/// Whether the caller is a member of the project, as anything.
pub(crate) fn is_member(project: ProjectId) -> bool {
    CALL.try_with(|call| call.caller.role_in(project).is_some()).unwrap_or(false)
}

/// Lets the caller at something of a project, if it has the role there that the method needs. Who is no member gets `none`.
pub(crate) fn admit(project: &Project, none: impl FnOnce() -> Status) -> Result<(), Status> {
    let checked = CALL.try_with(|call| {
        let Some(has) = call.caller.role_in(project.id) else { return Err(none()) };
        *lock(&call.about) = format!("projects/{}", project.name);
        match call.rule.needs {
            Needs::In(role) if has < role => Err(api::denied(&lacks(call, project, has, role))),
            _ => Ok(()),
        }
    });
    checked.unwrap_or_else(|_| Err(Status::internal("nobody's call")))
}

fn lacks(call: &Call, project: &Project, has: Role, needed: Role) -> Problem {
    let (who, name) = (call.caller.name(), &project.name);
    let cause = format!("{who} is {has} there, and it needs the role {needed}");
    let remedy = format!("ask an administrator for `greenroom user role {who} {needed} --project {name}`");
    Problem::new(ProblemKind::Denied, call.rule.step(), format!("project {name}"), cause, remedy)
}

/// A task that goes on should the caller leave, and stays the caller's.
pub(crate) fn carry<T>(task: impl Future<Output = T>) -> impl Future<Output = T> {
    let call = CALL.try_with(Arc::clone).ok();
    async move {
        match call {
            Some(call) => CALL.scope(call, task).await,
            None => task.await,
        }
    }
}

/// The batch with the audit log's row of this call, if it has none yet: both become true together.
pub(crate) fn sign(batch: Batch) -> Batch {
    let deed = CALL.try_with(|call| (call.rule.writes && !call.is_signed()).then(|| call.deed("ok")));
    match deed {
        Ok(Some(deed)) => batch.change(Change::AppendAudit(deed)),
        _ => batch,
    }
}

/// The signed batch was written.
pub(crate) fn signed() {
    let _ = CALL.try_with(|call| *lock(&call.signed) = true);
}
