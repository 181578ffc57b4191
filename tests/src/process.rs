//! The programs, and processes by their ids.

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

/// What is waited for comes well within this, or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Where the programs and what they need are.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
    /// The folder of the models.
    pub pack: PathBuf,
    /// ONNX Runtime's shared library.
    pub onnxruntime: PathBuf,
}

impl Programs {
    /// The programs that were built with this test, and the pack of this repository.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks where ONNX Runtime was put")]
    pub fn find() -> Self {
        let own = std::env::current_exe().unwrap();
        let folder = own.ancestors().nth(2).unwrap().to_owned();
        let missing = |name: &&&str| !folder.join(name).is_file();
        if let Some(name) = ["greenroomd", "greenroom-worker", "greenroom"].iter().find(missing) {
            panic!("{name} is not in {}; build the workspace first: cargo build --workspace", folder.display());
        }
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/greenroom");
        let cache = std::env::var_os("GREENROOM_CACHE").map_or_else(home, PathBuf::from);
        let onnxruntime = std::env::var_os("GREENROOM_ONNXRUNTIME")
            .map_or_else(|| cache.join("onnxruntime/libonnxruntime.so"), PathBuf::from);
        assert!(
            onnxruntime.is_file(),
            "there is no {}; `make test` fetches it, or set GREENROOM_ONNXRUNTIME",
            onnxruntime.display()
        );
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/packs/puppet");
        Self { folder, pack, onnxruntime }
    }

    /// The path of a program.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Runs `greenroom` with a farm of its own, as somebody does who has configured nothing.
pub async fn greenroom<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let programs = Programs::find();
    let mut command = tokio::process::Command::new(programs.path("greenroom"));
    command.args(["--config", "/dev/null"]).args(arguments).env_clear();
    command.env("GREENROOM_PACK", &programs.pack).env("GREENROOM_ONNXRUNTIME", &programs.onnxruntime);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.unwrap()
}

/// Whether a process exists and has not ended.
#[must_use]
pub fn alive(pid: u32) -> bool {
    status(pid).is_some_and(|(_, state)| state != 'Z')
}

/// Whether a process was stopped by a signal and not continued.
#[must_use]
pub(crate) fn is_stopped(pid: u32) -> bool {
    status(pid).is_some_and(|(_, state)| state == 'T')
}

/// The processes that a process started and that have not ended.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let mut children: Vec<_> = processes()
        .into_iter()
        .filter(|&pid| status(pid).is_some_and(|(of, state)| of == parent && state != 'Z'))
        .collect();
    children.sort_unstable();
    children
}

/// All processes that there are.
pub(crate) fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).collect()
}

/// Kills a process at once (SIGKILL).
pub(crate) fn kill_now(pid: u32) {
    match kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("cannot kill {pid}: {error}"),
    }
}

/// Asks again and again until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// (parent, state) of a process.
fn status(pid: u32) -> Option<(u32, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in brackets and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}
