//! What a worker died of: memory that ran out is the task's, a crash is the node's.

use greenroom_domain::{Digest, Problem, ProblemKind, TaskId, Token};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeMap,
    fmt, fs,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

use super::cgroup::Group;

/// What the kernel has killed for lack of memory is looked at this often, so that a kill can be told from an old one.
pub(super) const LOOKING: Duration = Duration::from_secs(2);
/// After a worker's stream has ended, its end is waited for so long.
const MOURNING: Duration = Duration::from_secs(5);

/// How a worker process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The kernel killed it: its cgroup had used up its memory, or where there is no limit the machine had.
    OutOfMemory {
        /// The limit, MiB.
        limit_mib: Option<u64>,
    },
    /// By a signal.
    Signal(i32),
    /// By itself.
    Code(i32),
    /// Nobody knows.
    Unknown(String),
}

/// Workers that the daemon started, by what they show, and how they ended.
#[derive(Debug, Default)]
pub(crate) struct Children(Mutex<BTreeMap<Digest, Life>>);

/// How a worker ended, once it has.
pub(crate) type Life = watch::Receiver<Option<Fate>>;

/// What tells a kill for memory from others: counts before the worker died.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    group: Option<&'a Group>,
    /// Kills for memory on the whole machine, a moment ago.
    machine: Option<u64>,
}

impl Fate {
    /// What its task is told; none where nothing can be said against the worker.
    pub(crate) fn problem(&self, task: TaskId) -> Option<Problem> {
        let (kind, cause, remedy) = match self {
            Self::Code(0) | Self::Unknown(_) => return None,
            Self::OutOfMemory { limit_mib: Some(mib) } => (
                ProblemKind::OutOfMemory,
                format!("its worker ran out of memory (limit {mib} MiB)"),
                "raise [workers] memory_max, or ask for smaller or shorter pictures",
            ),
            Self::OutOfMemory { limit_mib: None } => (
                ProblemKind::OutOfMemory,
                "its worker ran out of memory: the kernel killed it, for there was none left".to_owned(),
                "end other programs there, start fewer workers, or attach a machine with more memory",
            ),
            died => (
                ProblemKind::Unavailable,
                format!("its worker died: {died}"),
                "look at what it said last in the daemon's log",
            ),
        };
        Some(Problem::new(kind, "run task", task.to_string(), cause, remedy))
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory { limit_mib: Some(mib) } => write!(f, "out of memory (limit {mib} MiB)"),
            Self::OutOfMemory { limit_mib: None } => f.write_str("out of memory (the kernel killed it)"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "signal {number} ({signal})"),
                Err(_) => write!(f, "signal {number}"),
            },
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Unknown(error) => f.write_str(error),
        }
    }
}

impl Children {
    /// A worker was started with this secret. Whoever holds the answer tells how it ended.
    pub(super) fn born(&self, secret: &str) -> watch::Sender<Option<Fate>> {
        let (grave, life) = watch::channel(None);
        let mut children = self.lock();
        // Its predecessors are of interest to their own streams only, and those have theirs.
        children.retain(|_, life| life.has_changed().is_ok());
        children.insert(Token::hash_of(secret), life);
        grave
    }

    /// The worker that shows this.
    pub(crate) fn life(&self, hash: Digest) -> Option<Life> {
        self.lock().get(&hash).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Life>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a worker whose stream has ended died, if it is dead within a moment.
pub(crate) async fn fate(mut life: Life) -> Option<Fate> {
    let ended = tokio::time::timeout(MOURNING, life.wait_for(Option::is_some)).await;
    ended.ok()?.ok()?.clone()
}

impl<'a> Evidence<'a> {
    pub(super) fn new(group: Option<&'a Group>) -> Self {
        Self { group, machine: machine_kills() }
    }

    /// Takes the counts of this moment for those before its death.
    pub(super) fn look(&mut self) {
        self.machine = machine_kills();
    }

    /// What this status means.
    pub(super) fn fate(&self, status: ExitStatus) -> Fate {
        let Some(signal) = status.signal() else { return Fate::Code(status.code().unwrap_or_default()) };
        if let Some(group) = self.group.filter(|group| group.kills() > 0) {
            return Fate::OutOfMemory { limit_mib: group.limit().map(|limit| limit.mib()) };
        }
        let killed = signal == Signal::SIGKILL as i32 && machine_kills() > self.machine;
        if killed { Fate::OutOfMemory { limit_mib: None } } else { Fate::Signal(signal) }
    }
}

/// Processes that the kernel has killed for lack of memory since it started, whoever's limit it was.
fn machine_kills() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_domain::Timestamp;

    fn told(fate: &Fate) -> String {
        fate.problem(TaskId::new(Timestamp::from_millis(1), [1; 10])).map_or("nothing".into(), |problem| problem.cause)
    }

    #[test]
    fn memory_is_told_from_a_crash_and_a_crash_from_an_end() {
        let killed = ExitStatus::from_raw(Signal::SIGKILL as i32);
        let group = Group::on(tempfile::tempdir().unwrap().keep(), "512MiB".parse().ok());
        let events = group.path().join("memory.events");
        fs::write(&events, "low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\noom_group_kill 0\n").unwrap();
        let evidence = Evidence::new(Some(&group));
        assert_eq!(evidence.fate(killed), Fate::Signal(9), "somebody killed it");
        fs::write(&events, "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n").unwrap();
        assert_eq!(told(&evidence.fate(killed)), "its worker ran out of memory (limit 512 MiB)");
        assert_eq!(told(&evidence.fate(ExitStatus::from_raw(11))), "its worker ran out of memory (limit 512 MiB)");
        let alone = Evidence::new(None);
        assert_eq!(told(&alone.fate(ExitStatus::from_raw(11))), "its worker died: signal 11 (SIGSEGV)");
        assert_eq!(told(&alone.fate(ExitStatus::from_raw(101 << 8))), "its worker died: exit code 101");
        assert_eq!(told(&alone.fate(ExitStatus::from_raw(0))), "nothing");
        fs::remove_dir_all(group.path()).unwrap();
    }

    #[test]
    fn where_nothing_is_limited_a_kill_counts_if_the_kernel_has_just_killed_for_memory() {
        let killed = ExitStatus::from_raw(Signal::SIGKILL as i32);
        let now = machine_kills().unwrap();
        let before = Evidence { group: None, machine: now.checked_sub(1).or(Some(0)) };
        let expected = if now == 0 { Fate::Signal(9) } else { Fate::OutOfMemory { limit_mib: None } };
        assert_eq!(before.fate(killed), expected);
        assert_eq!(Evidence { group: None, machine: Some(u64::MAX) }.fate(killed), Fate::Signal(9));
    }

    #[tokio::test]
    async fn a_stream_that_ends_before_its_worker_waits_for_it() {
        let children = Children::default();
        let grave = children.born("secret");
        let life = children.life(Token::hash_of("secret")).unwrap();
        let soon = Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, fate(life.clone())).await.is_err(), "it lives");
        let waits = tokio::spawn(fate(life));
        grave.send(Some(Fate::Code(3))).unwrap();
        assert_eq!(waits.await.unwrap(), Some(Fate::Code(3)));
        assert!(children.life(Token::hash_of("other")).is_none());
    }
}
