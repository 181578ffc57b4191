//! How a command can end, and the exit code of each.

use greenroom_domain::Problem;
use std::process::ExitCode;

/// A command that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything asked was done, and what was filmed was accepted.
    Complete,
    /// Filmed, but some shots are drafts.
    Drafts,
    /// Everything was looked at, and something keeps the farm from working.
    Faults,
}

/// A command that did not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// With what to do about it.
    Problem(Box<Problem>),
    /// By Ctrl-C or a request to end.
    Interrupted,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

/// 0, 1, 3 or 130; clap itself ends with 2.
pub(crate) fn exit_code(result: &Result<Outcome, Failure>) -> ExitCode {
    ExitCode::from(match result {
        Ok(Outcome::Complete) => 0,
        Ok(Outcome::Drafts) => 3,
        Ok(Outcome::Faults) => 1,
        Err(Failure::Problem(_)) => 1,
        Err(Failure::Interrupted) => 130,
    })
}
