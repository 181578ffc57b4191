//! What everybody in the simulation shares: who is there, the weather, and what has happened so far.

use greenroom_domain::{JobId, LeaseEpoch, TaskId};
use greenroom_proto::worker_v1::{AttachRequest, attach_request::Message as Said};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

use super::{
    Breach,
    daemon::Daemon,
    door::Ground,
    fault::{Kind, Planned},
    link::Link,
};

/// A seed calls the ledger a few thousand times.
const MOST_CALLS: u32 = 100_000;

/// One seed's farm.
pub(super) struct World {
    pub seed: u64,
    /// What lies under every daemon: the ledger and the artifacts.
    pub ground: Ground,
    pub breach: Option<Breach>,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    log: String,
    over: bool,
    daemon: Option<Arc<Daemon>>,
    links: Vec<Arc<Link>>,
    weather: Weather,
    attempts: BTreeMap<(TaskId, LeaseEpoch), Attempt>,
    asked: Vec<JobId>,
    fired: BTreeSet<u32>,
    /// Workers that live on without their connection, and the faults that this was.
    zombies: Vec<(u32, Planned)>,
    broken: Vec<String>,
    calls: u32,
}

/// One lease, as it went to a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempt {
    /// It may have failed for a fault of its worker or of its connection.
    pub disturbed: bool,
}

/// What the store does to whoever uses it.
#[derive(Default)]
pub(super) struct Weather {
    /// What happens to a commit, when so many others are through.
    pub armed: VecDeque<Armed>,
    /// What everybody meets meanwhile.
    pub bad: Vec<Bad>,
    /// Pushes whose caller goes after so long.
    pub impatient: VecDeque<(Planned, Duration)>,
}

/// A fault that lasts.
#[derive(Clone, Copy)]
pub(super) struct Bad {
    pub fault: Planned,
    pub until: Instant,
    /// How long everything takes, where it makes that slow.
    pub each: Duration,
}

/// A fault that waits for a commit.
#[derive(Clone, Copy)]
pub(super) struct Armed {
    pub fault: Planned,
    pub after: u32,
}

impl World {
    pub(super) fn new(seed: u64, ground: Ground, breach: Option<Breach>) -> Self {
        Self { seed, ground, breach, began: Instant::now(), state: Mutex::default() }
    }

    /// Writes a line to the log, with the simulated time.
    pub(super) fn say(&self, line: impl std::fmt::Display) {
        let ms = self.began.elapsed().as_millis();
        let _ = writeln!(self.state().log, "{ms:>8} {line}");
    }

    /// Something happened that never may.
    pub(super) fn broken(&self, what: String) {
        self.say(format_args!("BROKEN {what}"));
        self.state().broken.push(what);
    }

    /// A planned fault happened.
    pub(super) fn fired(&self, fault: Planned) {
        if self.state().fired.insert(fault.number) {
            self.say(format_args!("fault {} {}", fault.number, fault.kind));
        }
    }

    /// The daemon that runs.
    pub(super) fn daemon(&self) -> Option<Arc<Daemon>> {
        self.state().daemon.clone()
    }

    pub(super) fn started(&self, daemon: Arc<Daemon>) {
        self.say("daemon.start");
        self.state().daemon = Some(daemon);
    }

    /// Kills the daemon, if there is one.
    pub(super) fn kill(&self, why: &str) -> bool {
        let Some(daemon) = self.state().daemon.take() else { return false };
        self.say(format_args!("daemon.kill {why}"));
        daemon.kill();
        true
    }

    pub(super) fn linked(&self, link: Arc<Link>) {
        self.say(format_args!("worker {} attach", link.worker));
        self.state().links.push(link);
    }

    pub(super) fn unlinked(&self, link: &Arc<Link>) {
        self.say(format_args!("worker {} detach", link.worker));
        self.state().links.retain(|other| !Arc::ptr_eq(other, link));
    }

    /// Connections whose workers have something to do.
    pub(super) fn busy_links(&self) -> Vec<Arc<Link>> {
        let links = self.state().links.clone();
        links.into_iter().filter(|link| !link.cut.is_cancelled() && link.is_busy()).collect()
    }

    /// Looks at the weather, or changes it.
    pub(super) fn weather<T>(&self, look: impl FnOnce(&mut Weather) -> T) -> T {
        look(&mut self.state().weather)
    }

    /// A lease left the daemon.
    pub(super) fn leased(&self, (task, epoch): (TaskId, LeaseEpoch), worker: u32, disturbed: bool) {
        self.say(format_args!("lease {task} {} worker {worker}", epoch.0));
        self.state().attempts.insert((task, epoch), Attempt { disturbed });
    }

    /// These leases may fail for what was just done to their worker.
    pub(super) fn blame_may_follow(&self, leases: &BTreeSet<(TaskId, LeaseEpoch)>) {
        let mut state = self.state();
        for lease in leases {
            state.attempts.entry(*lease).or_default().disturbed = true;
        }
    }

    /// A worker is to live on without its connection.
    pub(super) fn lives_on(&self, worker: u32, fault: Planned) {
        self.state().zombies.push((worker, fault));
    }

    /// A worker answers for a lease that this connection never carried.
    pub(super) fn came_late(&self, worker: u32, (task, epoch): (TaskId, LeaseEpoch)) {
        self.say(format_args!("late {task} {} worker {worker}", epoch.0));
        let faults: Vec<_> = self.state().zombies.iter().filter(|(of, _)| *of == worker).map(|(_, f)| *f).collect();
        faults.into_iter().for_each(|fault| self.fired(fault));
    }

    /// Attempts of a task that may have failed without the daemon's fault.
    pub(super) fn disturbed(&self, task: TaskId) -> usize {
        let state = self.state();
        let attempts = state.attempts.range((task, LeaseEpoch(0))..=(task, LeaseEpoch(u64::MAX)));
        attempts.filter(|(_, attempt)| attempt.disturbed).count()
    }

    /// Whether the ledger may be called once more: a daemon that asks it without end turns in a circle.
    pub(super) fn may_call(&self) -> bool {
        let calls = {
            let mut state = self.state();
            state.calls += 1;
            state.calls
        };
        if calls == MOST_CALLS {
            self.broken(format!("the daemon called the ledger {MOST_CALLS} times and does not come to rest"));
        }
        calls < MOST_CALLS
    }

    /// A push was acknowledged.
    pub(super) fn acknowledged(&self, job: JobId) {
        self.say(format_args!("acknowledged {job}"));
        self.state().asked.push(job);
    }

    /// Every job that was acknowledged, once each.
    pub(super) fn asked(&self) -> BTreeSet<JobId> {
        self.state().asked.iter().copied().collect()
    }

    /// Faults that happened.
    pub(super) fn all_fired(&self) -> BTreeSet<u32> {
        self.state().fired.clone()
    }

    /// Nothing new is begun.
    pub(super) fn end(&self) {
        self.state().over = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    /// What was written down, and what was found broken.
    pub(super) fn told(&self) -> (String, Vec<String>) {
        let state = self.state();
        (state.log.clone(), state.broken.clone())
    }

    /// A worker's word as it was said; where the check of epochs is to be tried, one that claims the lease in force.
    pub(super) fn forged(&self, mut message: AttachRequest) -> AttachRequest {
        if self.breach == Some(Breach::OldEpochs)
            && let Some(Said::Outcome(outcome)) = &mut message.message
            && let Ok(task) = outcome.task.parse::<TaskId>()
        {
            let state = self.state();
            let attempts = state.attempts.range((task, LeaseEpoch(0))..=(task, LeaseEpoch(u64::MAX)));
            outcome.epoch = attempts.last().map_or(outcome.epoch, |((_, epoch), _)| epoch.0);
        }
        message
    }

    /// The next push's caller goes after so long, if any does.
    pub(super) fn impatience(&self) -> Option<(Planned, Duration)> {
        self.state().weather.impatient.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Weather {
    /// What is to happen to the commit that comes now.
    pub(super) fn commit(&mut self) -> Option<Planned> {
        let first = self.armed.front_mut()?;
        if first.after > 0 {
            first.after -= 1;
            return None;
        }
        self.armed.pop_front().map(|armed| armed.fault)
    }

    /// What refuses now: errors everything, a full disk what is written.
    pub(super) fn refuses(&self, writes: bool) -> Option<Planned> {
        let errors = self.now(Kind::StoreError).map(|bad| bad.fault);
        errors.or_else(|| self.is_full().filter(|_| writes))
    }

    /// Whether the disk is full now.
    pub(super) fn is_full(&self) -> Option<Planned> {
        self.now(Kind::DiskFull).map(|bad| bad.fault)
    }

    /// How long everything takes now.
    pub(super) fn slowness(&self) -> Option<(Planned, Duration)> {
        self.now(Kind::SlowStore).map(|bad| (bad.fault, bad.each))
    }

    fn now(&self, kind: Kind) -> Option<&Bad> {
        self.bad.iter().find(|bad| bad.fault.kind == kind && bad.until > Instant::now())
    }
}

/// Whether a refusal is that of a full disk.
pub(super) fn is_full(fault: Planned) -> bool {
    fault.kind == Kind::DiskFull
}
