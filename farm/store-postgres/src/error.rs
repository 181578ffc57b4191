//! What PostgreSQL says, told as the store's errors.

use greenroom_domain::{Problem, ProblemKind};
use greenroom_store::{Result, StoreError};
use std::io::ErrorKind;

use crate::place::Place;

/// What a query answers: its value, a broken rule, or PostgreSQL's own error, which does not know its place yet.
pub(crate) type Query<T> = std::result::Result<T, Error>;

/// Why a query failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The store's rules.
    Rule(StoreError),
    /// The database.
    Sql(sqlx::Error),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Rule(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl Error {
    /// Whether the session is of no more use, and with it everything that hangs on it.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Self::Rule(_) => false,
            Self::Sql(sqlx::Error::Database(error)) => {
                // Connection exceptions, the server's shutdown, a crash of another session, a time limit on idleness.
                error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P") || code == "25P03")
            }
            Self::Sql(_) => true,
        }
    }
}

/// Gives an error its step and its database.
pub(crate) trait Failing<T> {
    fn failing(self, step: &'static str, place: &Place) -> Result<T>;
}

impl<T, E: Into<Error>> Failing<T> for std::result::Result<T, E> {
    fn failing(self, step: &'static str, place: &Place) -> Result<T> {
        self.map_err(|error| match error.into() {
            Error::Rule(error) => error,
            Error::Sql(error) => told(step, place, error),
        })
    }
}

/// A ledger that a person must do something about.
pub(crate) fn unusable(
    kind: ProblemKind,
    step: &str,
    place: &Place,
    cause: impl std::fmt::Display,
    remedy: &str,
) -> StoreError {
    StoreError::Unusable(Problem::new(kind, step, place.to_string(), cause, remedy))
}

/// A database that does not answer: whatever it was, trying again may help.
pub(crate) fn away(step: &str, place: &Place, cause: impl std::fmt::Display) -> StoreError {
    let remedy = "see that PostgreSQL runs and can be reached; what was asked can be asked again";
    unusable(ProblemKind::Unavailable, step, place, cause, remedy)
}

fn told(step: &'static str, place: &Place, error: sqlx::Error) -> StoreError {
    use ProblemKind::{Denied, Internal, NotFound, Unavailable};
    let sqlx::Error::Database(database) = &error else {
        return match &error {
            sqlx::Error::Tls(cause) => away(step, place, format!("no safe connection: {cause}")),
            // What rustls refuses comes as an error of reading.
            sqlx::Error::Io(cause) if cause.kind() == ErrorKind::InvalidData => {
                away(step, place, format!("no safe connection: {cause}"))
            }
            sqlx::Error::Io(cause) => away(step, place, format!("no connection: {cause}")),
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => away(step, place, "no connection"),
            _ => StoreError::io(step, error),
        };
    };
    let code = database.code().unwrap_or_default().into_owned();
    let said = database.message();
    match code.as_str() {
        "53100" => {
            unusable(Unavailable, step, place, "the database's disk is full", "free some space on it and try again")
        }
        "53300" => {
            let remedy = "raise max_connections of the server, or let fewer programs use it";
            unusable(Unavailable, step, place, "the server has no connection left", remedy)
        }
        "28P01" | "28000" => {
            unusable(Denied, step, place, format!("the server refuses the user: {said}"), "check user and password")
        }
        "3D000" => {
            let remedy = "make it first: createdb --owner USER NAME";
            unusable(NotFound, step, place, "there is no such database", remedy)
        }
        "42501" => {
            let remedy = "make the user the database's owner, or grant it CREATE on the database";
            unusable(Denied, step, place, format!("the user may not: {said}"), remedy)
        }
        "25006" => {
            let remedy = "name the primary server: a standby of PostgreSQL takes no changes";
            unusable(Unavailable, step, place, "the server takes no changes", remedy)
        }
        code if code.starts_with("08") || code.starts_with("57P") => {
            away(step, place, format!("the connection was ended: {said}"))
        }
        "XX001" | "XX002" => StoreError::Corrupt(format!("{place}: {said}")),
        "XX000" => unusable(Internal, step, place, said, "look into the server's log"),
        _ => StoreError::io(step, error),
    }
}
