//! Where a ledger is: everything that is needed to reach it, and what of that people may read.

use greenroom_domain::{Problem, ProblemKind};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use std::{fmt, str::FromStr as _, time::Duration};

/// The schema of the ledger's tables: other programs may have theirs in the same database.
pub(crate) const SCHEMA: &str = "greenroom";

/// A server that does not take a connection within this time is away.
pub(crate) const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// A database. Shown without the password, which is in no log and no error.
#[derive(Clone)]
pub(crate) struct Place {
    options: PgConnectOptions,
}

impl Place {
    /// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`. What is left out is as libpq has it.
    ///
    /// # Errors
    /// If it is no such address; the error does not repeat it.
    pub(crate) fn parse(url: &str) -> Result<Self, Problem> {
        let fail = |cause: String| {
            let remedy = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE; special characters of a password as %XX";
            Problem::new(ProblemKind::Invalid, "read ledger's address", "ledger", cause, remedy)
        };
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(fail("it does not begin with postgres://".into()));
        }
        // sqlx's own words may hold parts of the address.
        let options = PgConnectOptions::from_str(url).map_err(|_| fail("it cannot be read".into()))?;
        if options.get_database().is_none() {
            return Err(fail("it names no database".into()));
        }
        Ok(Self { options: options.application_name("greenroomd") })
    }

    /// Sessions that read and write this ledger.
    ///
    /// A commit is on the server's disk before it answers, whatever the database is set to. The server learns within seconds
    /// that the other end has gone, and lets go of its locks.
    pub(crate) fn sessions(&self) -> PgConnectOptions {
        self.sessions_in(SCHEMA)
    }

    /// One session that writes. All that it touches it finds by key, so what the planner saves on a small table by reading all
    /// of it, it would lose a hundredfold when the table has grown and the plan is still kept.
    pub(crate) async fn connect(&self) -> sqlx::Result<PgConnection> {
        self.connect_in(SCHEMA).await
    }

    /// The same, with another schema's tables.
    pub(crate) async fn connect_in(&self, schema: &str) -> sqlx::Result<PgConnection> {
        let options = self.sessions_in(schema).options([("enable_seqscan", "off")]);
        let connected = tokio::time::timeout(CONNECTED_WITHIN, options.connect()).await;
        connected.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    fn sessions_in(&self, schema: &str) -> PgConnectOptions {
        self.options.clone().options([
            ("search_path", schema),
            ("synchronous_commit", "on"),
            ("tcp_keepalives_idle", "1"),
            ("tcp_keepalives_interval", "1"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "4000"),
            ("client_connection_check_interval", "1000"),
        ])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        match self.options.get_socket() {
            Some(folder) => write!(f, "postgres database {database} in {}", folder.display()),
            None => {
                write!(f, "postgres database {database} on {}:{}", self.options.get_host(), self.options.get_port())
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_password_is_shown_nowhere() {
        let place = Place::parse("postgres://farm:s3cret@db.studio:5433/ledger").unwrap();
        assert_eq!(place.to_string(), "postgres database ledger on db.studio:5433");
        assert!(!format!("{place:?}").contains("s3cret"));
        for wrong in ["mysql://farm:s3cret@db/ledger", "postgres://farm:s3cret@db:port/x", "postgres://farm:s3cret@db"]
        {
            let problem = Place::parse(wrong).unwrap_err();
            assert!(!format!("{problem} {problem:?}").contains("s3cret"), "{problem}");
        }
    }
}
