//! The daemon's own tokens: one for whoever owns the state folder, one for workers on this machine that somebody starts by hand.
//! Made at the first start, readable by their owner only.

use greenroom_domain::{Problem, ProblemKind};
use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};
use subtle::ConstantTimeEq as _;

use crate::clock;

/// The tokens in the state folder.
pub(super) struct Tokens {
    admin: String,
    worker: String,
}

impl Tokens {
    /// Reads `admin.token` and `worker.token`, making those that are not there.
    pub(super) fn open(state: &Path) -> Result<Self, Problem> {
        Ok(Self { admin: token(&state.join("admin.token"))?, worker: token(&state.join("worker.token"))? })
    }

    /// Whether it is that of the state folder's owner.
    pub(super) fn is_admin(&self, given: &str) -> bool {
        bool::from(given.as_bytes().ct_eq(self.admin.as_bytes()))
    }

    /// Whether it is the workers'.
    pub(super) fn is_worker(&self, given: &str) -> bool {
        bool::from(given.as_bytes().ct_eq(self.worker.as_bytes()))
    }
}

fn token(path: &Path) -> Result<String, Problem> {
    let fail = |e: std::io::Error| {
        let remedy = "make the state folder writable for the daemon";
        Problem::new(ProblemKind::Unavailable, "open token", path.display().to_string(), e, remedy)
    };
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let secret = clock::new_secret();
            file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
            Ok(secret)
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
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let admin = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
        assert!(tokens.is_admin(&admin) && !tokens.is_worker(&admin));
        assert!(!tokens.is_admin("") && !tokens.is_admin(&admin[1..]));
    }
}
