//! A session as the worker has it: a process of its own, what it says, and its end.

use greenroom_domain::{Problem, ProblemKind};
use greenroom_openjd::session::{
    self, tree,
    wire::{Ended, Header, Order, Said, receive, send},
};
use nix::unistd::{User, geteuid};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};
use tempfile::TempDir;

use crate::{fault::Fault, run::Commands};

/// Where programs are looked for if nobody says otherwise.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// What commands may know of the worker's surroundings.
const PASSED_ON: [&str; 4] = ["PATH", "TZ", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"];
/// So many things may be said before the worker listens; then the session waits.
const AHEAD: usize = 256;
/// Leaving environments may take so long, then it is over.
const LEAVING: Duration = Duration::from_secs(120);

/// What a session said; a file is here already.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A line.
    Said(Said),
    /// A file and where its bytes lie.
    File(Header, tempfile::TempPath),
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Whose tasks: the plan's digest and the step.
    key: (String, String),
    child: Child,
    orders: Option<BufWriter<ChildStdin>>,
    heard: Receiver<Heard>,
    /// Files on their way to the artifact store.
    _inbox: TempDir,
}

impl Session {
    /// Starts the process under its user.
    pub(crate) fn start(commands: &Commands, key: (String, String), scratch: &Path) -> Result<Self, Fault> {
        let user = user(&commands.user)?;
        // Should the session itself be killed, what it started comes to us.
        tree::adopt()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("greenroom-worker").arg("session").env_clear().current_dir("/").process_group(0);
        command.env("PATH", PATH).env("LANG", "C.UTF-8").envs(passed_on());
        command.env("HOME", &user.dir).env("USER", &user.name).env("LOGNAME", &user.name);
        if geteuid() != user.uid {
            // From root this also lets go of every other group.
            command.gid(user.gid.as_raw()).uid(user.uid.as_raw());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let orders = child.stdin.take().map(BufWriter::new);
        let Some(said) = child.stdout.take() else { return Err(lost(&key).into()) };
        let inbox = TempDir::new_in(scratch)?;
        let (hear, heard) = sync_channel(AHEAD);
        let folder = inbox.path().to_owned();
        std::thread::spawn(move || listen(said, &hear, &folder));
        Ok(Self { key, child, orders, heard, _inbox: inbox })
    }

    /// Whether it was opened for these tasks.
    pub(crate) fn serves(&self, key: &(String, String)) -> bool {
        self.key == *key
    }

    /// Tells it something.
    pub(crate) fn order(&mut self, order: &Order) -> Result<(), Fault> {
        let told = self.orders.as_mut().map(|orders| send(orders, order));
        told.and_then(Result::ok).ok_or_else(|| lost(&self.key).into())
    }

    /// Gives it a file.
    pub(crate) fn put(&mut self, header: Header, path: &Path) -> Result<(), Fault> {
        let bytes = header.bytes;
        self.order(&Order::File(header))?;
        let copied = self.orders.as_mut().map(|orders| {
            io::copy(&mut File::open(path)?.take(bytes), orders)?;
            orders.flush()
        });
        copied.and_then(Result::ok).ok_or_else(|| lost(&self.key).into())
    }

    /// What it says next; none where it says nothing for a while.
    pub(crate) fn hear(&mut self, within: Duration) -> Result<Option<Heard>, Fault> {
        match self.heard.recv_timeout(within) {
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(lost(&self.key).into()),
        }
    }

    /// Lets it leave its environments. What goes wrong there is the worker's to know: the tasks are done.
    pub(crate) fn close(mut self) {
        if self.order(&Order::Close).is_err() {
            return;
        }
        loop {
            match self.heard.recv_timeout(LEAVING) {
                Ok(Heard::Said(Said::Ended(Ended::Well))) => return,
                Ok(Heard::Said(Said::Ended(ended))) => {
                    tracing::warn!(step = self.key.1, ?ended, "an environment could not be left");
                    return;
                }
                Ok(Heard::Said(Said::Log { line, .. })) => tracing::debug!(step = self.key.1, line, "session.close"),
                Ok(_) => {}
                Err(_) => {
                    tracing::warn!(step = self.key.1, "the session does not end; it is killed");
                    return;
                }
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It ends when nobody gives it orders, and cleans up after itself.
        self.orders = None;
        while self.heard.recv_timeout(Duration::from_secs(5)).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
        tree::end_children();
    }
}

/// The session's side: this program, started as `greenroom-worker session`.
pub(crate) fn serve() -> ExitCode {
    match session::serve(BufReader::new(io::stdin()), own_environment().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Reads what the session says until it has ended.
fn listen(said: ChildStdout, hear: &SyncSender<Heard>, inbox: &Path) {
    let mut said = BufReader::new(said);
    while let Ok(Some(next)) = receive(&mut said) {
        let heard = match next {
            Said::File(header) => match take(&header, &mut said, inbox) {
                Ok(path) => Heard::File(header, path),
                Err(_) => return,
            },
            other => Heard::Said(other),
        };
        if hear.send(heard).is_err() {
            return;
        }
    }
}

fn take(header: &Header, from: &mut impl io::Read, inbox: &Path) -> io::Result<tempfile::TempPath> {
    let mut file = tempfile::NamedTempFile::new_in(inbox)?;
    if io::copy(&mut from.take(header.bytes), &mut file)? < header.bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(file.into_temp_path())
}

/// The user that commands run as, if this process may become it.
fn user(name: &str) -> Result<User, Fault> {
    let refuse = |cause: String, remedy: String| {
        Err(Fault::for_now(Problem::new(ProblemKind::Denied, "open session", format!("user {name}"), cause, remedy)))
    };
    let user = match User::from_name(name) {
        Ok(Some(user)) => user,
        Ok(None) => {
            return refuse(
                "there is no such user on this machine".into(),
                format!("make it (useradd --system {name}), or name another as [commands] user"),
            );
        }
        Err(error) => return refuse(error.to_string(), "look at the machine's user database".into()),
    };
    if user.uid.is_root() {
        return refuse("commands never run as root".into(), "name a user without rights as [commands] user".into());
    }
    let own = geteuid();
    if own != user.uid && !own.is_root() {
        let own = User::from_uid(own).ok().flatten().map_or_else(|| own.to_string(), |own| own.name);
        return refuse(
            format!("the worker runs as {own} and may not become another user"),
            format!("start greenroomd as root, or let [commands] user be {own}"),
        );
    }
    Ok(user)
}

fn lost((_, step): &(String, String)) -> Problem {
    let remedy = "it is tried again; if it stays, look at the worker's log: the machine may lack memory";
    Problem::new(ProblemKind::Unavailable, "run command", step, "its session ended all of a sudden", remedy)
}

#[expect(clippy::disallowed_methods, reason = "what commands may know of the worker's surroundings")]
fn passed_on() -> Vec<(&'static str, std::ffi::OsString)> {
    PASSED_ON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect()
}

#[expect(clippy::disallowed_methods, reason = "the session's surroundings are what the worker gave it")]
fn own_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
