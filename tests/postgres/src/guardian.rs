//! Whoever ends the server when nobody needs it any more.

use std::{
    io::Write as _,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Starts the server, waits for a word or for the end of its input, and ends the server by its process id. A killed test
/// closes the pipe too, so the server and its folder go with it.
const SCRIPT: &str = r#"
folder=$1
shift
"$@" >>"$folder/log" 2>&1 &
server=$!
read -r signal || signal=INT abandoned=1
kill "-$signal" "$server"
wait "$server"
[ -z "$abandoned" ] || rm -rf "$folder"
"#;

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A shell with the server as its child.
#[derive(Debug)]
pub(crate) struct Guardian(Child);

impl Guardian {
    pub(crate) fn of(server: &Command, folder: &Path) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "guardian"]).arg(folder).arg(server.get_program()).args(server.get_args());
        shell.current_dir("/").env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").stdin(Stdio::piped());
        // In a group of its own, it outlives a test runner that kills the whole group of a test.
        shell.process_group(0);
        as_owner_of(folder, &mut shell);
        Self(shell.spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends the server a signal and waits for its end.
    pub(crate) fn end(mut self, signal: &str) {
        let mut word = self.0.stdin.take().unwrap();
        writeln!(word, "{signal}").unwrap();
        self.0.wait().unwrap();
    }
}

/// The shell runs as whoever owns the folder: the server's user.
fn as_owner_of(folder: &Path, shell: &mut Command) {
    if nix::unistd::Uid::effective().is_root() {
        let owner = std::fs::metadata(folder).unwrap();
        shell.uid(owner.uid()).gid(owner.gid());
    }
}

/// Asks until it is so; panics with the log if that takes too long.
#[expect(clippy::disallowed_methods, reason = "the server does not tell when it is ready")]
pub(crate) fn until(ready: impl Fn() -> bool, log: &Path) {
    let started = Instant::now();
    while !ready() {
        let log = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(started.elapsed() < READY_WITHIN, "PostgreSQL does not start: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}
