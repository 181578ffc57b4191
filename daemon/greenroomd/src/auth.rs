//! Who may call: a bearer token per role, made at the first start and kept in the state folder, readable by its owner only.

use greenroom_domain::{Problem, ProblemKind};
use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc};
use subtle::ConstantTimeEq as _;
use tonic::{Request, Status, service::Interceptor};

use crate::clock;

/// The tokens in force.
#[derive(Clone)]
pub(crate) struct Tokens {
    /// For people and tools.
    pub admin: Arc<str>,
    /// For workers.
    pub worker: Arc<str>,
}

impl Tokens {
    /// Reads `admin.token` and `worker.token`, making those that are not there.
    pub(crate) fn open(state: &Path) -> Result<Self, Problem> {
        Ok(Self { admin: token(&state.join("admin.token"))?, worker: token(&state.join("worker.token"))? })
    }
}

/// Lets calls with this token through.
#[derive(Clone)]
pub(crate) struct Require(pub Arc<str>);

impl Interceptor for Require {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let given = request.metadata().get("authorization").and_then(|v| v.to_str().ok());
        let given = given.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
        if bool::from(given.as_bytes().ct_eq(self.0.as_bytes())) {
            Ok(request)
        } else {
            let cause = if given.is_empty() { "no token was given" } else { "the token is not the daemon's" };
            let remedy = "pass --token-file with the admin.token of the daemon's state folder";
            Err(crate::api::status(&Problem::new(ProblemKind::Denied, "call daemon", "token", cause, remedy)))
        }
    }
}

fn token(path: &Path) -> Result<Arc<str>, Problem> {
    let fail = |e: std::io::Error| {
        let remedy = "make the state folder writable for the daemon";
        Problem::new(ProblemKind::Unavailable, "open token", path.display().to_string(), e, remedy)
    };
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let secret = clock::new_secret();
            file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
            Ok(secret.into())
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path).map_err(fail)?;
            let text = text.trim();
            if text.len() < 32 {
                return Err(fail(std::io::Error::other("the token is shorter than 32 characters")));
            }
            Ok(text.into())
        }
        Err(e) => Err(fail(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_made_once_and_is_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let first = Tokens::open(folder.path()).unwrap();
        let second = Tokens::open(folder.path()).unwrap();
        assert_eq!(first.admin, second.admin);
        assert_ne!(first.admin, first.worker);
        let mode = std::fs::metadata(folder.path().join("admin.token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn only_the_right_token_passes() {
        let mut require = Require("a".repeat(64).into());
        let mut with = |text: &str| {
            let mut request = Request::new(());
            request.metadata_mut().insert("authorization", text.parse().unwrap());
            require.call(request).map(|_| ()).map_err(|s| s.code())
        };
        assert_eq!(with(&format!("Bearer {}", "a".repeat(64))), Ok(()));
        assert_eq!(with(&format!("Bearer {}", "b".repeat(64))), Err(tonic::Code::Unauthenticated));
        assert_eq!(with("Basic abc"), Err(tonic::Code::Unauthenticated));
    }
}
