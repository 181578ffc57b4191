//! What went wrong, said once: the step, the subject, the cause, and what to do about it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An error that a person can act on. It travels from a worker or the daemon to the terminal unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What sort of problem it is; decides the gRPC code and the exit code.
    pub kind: ProblemKind,
    /// What was being done: `read script`, `profile character`.
    pub step: String,
    /// To what: a file, a character, a model.
    pub subject: String,
    /// Why it failed, without a full stop.
    pub cause: String,
    /// What the person can do, as an imperative without a full stop.
    pub remedy: String,
}

/// Sorts of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The request is wrong and stays wrong.
    Invalid,
    /// What was named does not exist (or belongs to another project).
    NotFound,
    /// What was named was there and has been forgotten for good.
    Gone,
    /// It exists already, or changed meanwhile.
    Conflict,
    /// Not allowed.
    Denied,
    /// Something needed is missing or away; trying again may help.
    Unavailable,
    /// Memory ran out: more of it, or a smaller request, may do.
    OutOfMemory,
    /// A bug or a broken machine.
    Internal,
}

impl Problem {
    /// All four parts at once.
    pub fn new(
        kind: ProblemKind,
        step: impl Into<String>,
        subject: impl Into<String>,
        cause: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self { kind, step: step.into(), subject: subject.into(), cause: cause.to_string(), remedy: remedy.into() }
    }

    /// A request that is wrong and stays wrong.
    pub fn invalid(
        step: impl Into<String>,
        subject: impl Into<String>,
        cause: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(ProblemKind::Invalid, step, subject, cause, remedy)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.step, self.subject, self.cause)
    }
}

impl std::error::Error for Problem {}
