//! PostgreSQL's programs, and the user who may run them.

use std::{
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::unistd::{Uid, User};

/// The version that the farm is tested with: Debian 12's.
const FOLDER: &str = "/usr/lib/postgresql/15/bin";

#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    user: Option<(u32, u32)>,
}

impl Programs {
    /// Where the package puts them. initdb and postgres refuse root, so root runs them as `postgres`, the user that Debian's
    /// postgresql-common makes when it is installed: no user is added for a test. Everybody else runs them as themselves.
    pub(crate) fn find() -> Self {
        let folder = PathBuf::from(FOLDER);
        assert!(
            folder.join("initdb").is_file(),
            "there is no {FOLDER}/initdb: `packaging/setup/setup.sh test` installs it"
        );
        let user = Uid::effective().is_root().then(|| {
            let user = User::from_name("postgres").unwrap();
            let user = user.expect("the user postgres is missing, whom the package postgresql-common makes");
            (user.uid.as_raw(), user.gid.as_raw())
        });
        Self { folder, user }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program of the folder, or of a whole path, as the server's user.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        // The user may not enter the folder in which the tests run.
        command.current_dir("/").env_clear().env("LC_ALL", "C").stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Makes a folder and what lies in it the user's.
    pub(crate) fn own(&self, folder: &Path) {
        let Some((uid, gid)) = self.user else { return };
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.chain([folder.to_owned()]) {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }
}

/// What a program says; panics with its complaints if it fails.
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{:?} failed: {}", command.get_program(), text(&output.stderr));
    text(&output.stdout)
}
