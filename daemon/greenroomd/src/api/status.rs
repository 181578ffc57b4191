//! Problems as gRPC statuses: the sentence is the message, the four parts are google.rpc.ErrorInfo.

use greenroom_domain::{Problem, ProblemKind};
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::ledger::LedgerError;

/// A problem as the caller sees it.
pub(crate) fn status(problem: &Problem) -> Status {
    let (code, kind) = match problem.kind {
        ProblemKind::Invalid => (Code::InvalidArgument, "invalid"),
        ProblemKind::NotFound => (Code::NotFound, "not_found"),
        // gRPC has no code of its own for what is gone for good; over HTTP this kind is 410.
        ProblemKind::Gone => (Code::NotFound, "gone"),
        ProblemKind::Conflict => (Code::FailedPrecondition, "conflict"),
        ProblemKind::Denied => (Code::Unauthenticated, "denied"),
        ProblemKind::Unavailable => (Code::Unavailable, "unavailable"),
        ProblemKind::OutOfMemory => (Code::ResourceExhausted, "out_of_memory"),
        ProblemKind::Internal => (Code::Internal, "internal"),
    };
    with_code(code, kind, problem)
}

/// The caller is known, and may not.
pub(crate) fn denied(problem: &Problem) -> Status {
    with_code(Code::PermissionDenied, "denied", problem)
}

/// The name is taken.
pub(crate) fn exists(step: &str, name: &str, remedy: &str) -> Status {
    let problem = Problem::new(ProblemKind::Conflict, step, name, "the name is taken", remedy);
    with_code(Code::AlreadyExists, "conflict", &problem)
}

fn with_code(code: Code, kind: &str, problem: &Problem) -> Status {
    let parts = [
        ("kind", kind),
        ("step", &problem.step),
        ("subject", &problem.subject),
        ("cause", &problem.cause),
        ("remedy", &problem.remedy),
    ];
    let metadata: HashMap<_, _> = parts.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let details = ErrorDetails::with_error_info(kind.to_uppercase(), "greenroom", metadata);
    Status::with_error_details(code, problem.to_string(), details)
}

/// An error of the ledger as the caller sees it.
pub(crate) fn ledger(error: &LedgerError) -> Status {
    status(&error.problem())
}

/// An error of the store as the caller sees it.
#[expect(clippy::needless_pass_by_value, reason = "used as map_err(store)")]
pub(crate) fn store(error: greenroom_store::StoreError) -> Status {
    status(&error.problem())
}

/// There is no such thing, or it belongs to another project.
pub(crate) fn not_found(noun: &str, name: &str) -> Status {
    let remedy = format!("list the {noun}s to see which exist");
    status(&Problem::new(ProblemKind::NotFound, format!("find {noun}"), name, "there is none of that name", remedy))
}

/// A field of the request cannot be read.
pub(crate) fn invalid(step: &str, subject: &str, cause: impl std::fmt::Display, remedy: &str) -> Status {
    status(&Problem::invalid(step, subject, cause, remedy))
}
