//! What a monitoring system reads: counts and times since the start, and the farm as it is when it asks.
//!
//! OpenMetrics text as Prometheus scrapes it. Names and units follow its conventions: base units, `_total` for what only grows.
//! Labels are kinds, states, nodes and methods; nothing of a project is told.

use greenroom_domain::{Decision, Event, EventBody, TaskId, TaskOutput, Timestamp};
use greenroom_schedule::nodes;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets, linear_buckets},
    },
    registry::{Registry, Unit},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::farm::Farm;

/// Minutes that a live view shows.
pub(crate) const MINUTES: usize = 60;

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    transitions: Family<OfTask, Counter>,
    seconds: Family<OfKind, Histogram>,
    takes: Family<OfTake, Counter>,
    idr: Histogram,
    commits: Histogram,
    plans: Histogram,
    calls: Family<OfCall, Counter>,
    queued: Gauge,
    running: Gauge,
    devices: Family<OfNode, Gauge>,
    free: Family<OfPart, Gauge>,
    leads: Gauge,
    logs: Gauge,
    recent: Mutex<Recent>,
}

/// What live views show.
#[derive(Debug, Default)]
struct Recent {
    /// Since when a task runs.
    began: BTreeMap<TaskId, Timestamp>,
    /// How far it is.
    progress: BTreeMap<TaskId, (f32, String)>,
    /// Minutes since 1970 with the tasks that ended and that failed in them, the oldest first.
    minutes: VecDeque<(i64, u32, u32)>,
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name { $($field: String),+ }
    )+};
}

labels! {
    /// A task's new state.
    OfTask { kind, state }
    /// A kind of task.
    OfKind { kind }
    /// What was decided of a take.
    OfTake { decision }
    /// A method and how it ended.
    OfCall { method, outcome }
    /// A machine's devices.
    OfNode { node, state }
    /// A part of the farm that lies on a disk.
    OfPart { part }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("greenroom");
        let quick = || Histogram::new(exponential_buckets(0.000_25, 2.0, 15));
        let long = || Histogram::new(exponential_buckets(0.125, 2.0, 16));
        let metrics = Self {
            transitions: Family::default(),
            seconds: Family::new_with_constructor(long),
            takes: Family::default(),
            idr: Histogram::new(linear_buckets(0.05, 0.05, 20)),
            commits: quick(),
            plans: quick(),
            calls: Family::default(),
            queued: Gauge::default(),
            running: Gauge::default(),
            devices: Family::default(),
            free: Family::default(),
            leads: Gauge::default(),
            logs: Gauge::default(),
            recent: Mutex::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("task_transitions", "Tasks that came to a state", metrics.transitions.clone());
        let help = "Time from lease to answer of attempts";
        r.register_with_unit("task_run", help, Unit::Seconds, metrics.seconds.clone());
        r.register("takes", "Takes that were judged", metrics.takes.clone());
        r.register(
            "take_idr",
            "Identity retention of characters in takes, the worst tenth of frames",
            metrics.idr.clone(),
        );
        r.register_with_unit(
            "ledger_commit",
            "Time of a commit, flush included",
            Unit::Seconds,
            metrics.commits.clone(),
        );
        r.register_with_unit("plan", "Time of one scheduling decision", Unit::Seconds, metrics.plans.clone());
        r.register("calls", "Calls that were answered", metrics.calls.clone());
        r.register("tasks_queued", "Tasks that wait for a device", metrics.queued.clone());
        r.register("tasks_running", "Tasks that run", metrics.running.clone());
        r.register("devices", "Devices that are attached, by their node's state", metrics.devices.clone());
        r.register_with_unit("free", "Room on the disk", Unit::Bytes, metrics.free.clone());
        r.register("leads", "Whether this daemon leads", metrics.leads.clone());
        r.register("task_logs_failing", "Whether tasks' logs cannot be written", metrics.logs.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// A change of the ledger.
    pub(crate) fn hear(&self, event: &Event) {
        let EventBody::TaskChanged { task, kind, state, .. } = &event.body else { return };
        self.transitions.get_or_create(&OfTask { kind: kind.to_string(), state: state.clone() }).inc();
        let mut recent = self.recent();
        if state == "leased" {
            recent.began.insert(*task, event.at);
            return;
        }
        recent.progress.remove(task);
        if let Some(began) = recent.began.remove(task) {
            let seconds = event.at.since(began).as_secs_f64();
            self.seconds.get_or_create(&OfKind { kind: kind.to_string() }).observe(seconds);
        }
        let failed = state == "failed";
        if failed || state == "done" {
            let minute = minute(event.at);
            if recent.minutes.back().is_none_or(|&(last, ..)| last < minute) {
                recent.minutes.push_back((minute, 0, 0));
            }
            if let Some((_, ended, fails)) = recent.minutes.back_mut() {
                *ended += 1;
                *fails += u32::from(failed);
            }
            while recent.minutes.len() > MINUTES {
                recent.minutes.pop_front();
            }
        }
    }

    /// A task is so far.
    pub(crate) fn moved(&self, task: TaskId, fraction: f32, message: &str) {
        let mut recent = self.recent();
        // What has ended says nothing more.
        if recent.began.contains_key(&task) {
            recent.progress.insert(task, (fraction, message.to_owned()));
        }
    }

    /// How far a task is, with what.
    pub(crate) fn progress(&self, task: TaskId) -> (f32, String) {
        self.recent().progress.get(&task).cloned().unwrap_or_default()
    }

    /// Tasks that ended in each of the last 60 minutes, the oldest first, and how many of them failed.
    pub(crate) fn minutes(&self, now: Timestamp) -> (Vec<u32>, u32) {
        let (mut ended, mut failed) = (vec![0; MINUTES], 0);
        for &(at, all, fails) in &self.recent().minutes {
            let ago = usize::try_from(minute(now) - at).unwrap_or_default();
            if ago < MINUTES {
                ended[MINUTES - 1 - ago] += all;
                failed += fails;
            }
        }
        (ended, failed)
    }

    /// A take was judged.
    pub(crate) fn judged(&self, output: &TaskOutput) {
        let TaskOutput::Verdict { verdict, .. } = output else { return };
        let decision = match verdict.decision {
            Decision::Accept => "accept",
            Decision::Reject { .. } => "reject",
            Decision::Unscored { .. } => "unscored",
        };
        self.takes.get_or_create(&OfTake { decision: decision.to_owned() }).inc();
        verdict.characters.iter().filter_map(|c| c.p10).for_each(|idr| self.idr.observe(f64::from(idr.0)));
    }

    /// A commit took so long.
    pub(crate) fn committed(&self, time: Duration) {
        self.commits.observe(time.as_secs_f64());
    }

    /// A decision of the scheduler took so long.
    pub(crate) fn planned(&self, time: Duration) {
        self.plans.observe(time.as_secs_f64());
    }

    /// A call was answered.
    pub(crate) fn answered(&self, method: &str, outcome: &str) {
        let call = OfCall { method: method.to_owned(), outcome: outcome.to_owned() };
        self.calls.get_or_create(&call).inc();
    }

    /// All of it, with the farm as it is now, as OpenMetrics text.
    pub(crate) fn text(&self, farm: &Farm) -> String {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let views = {
            let book = farm.book();
            self.queued.set(count(book.queued()));
            self.running.set(count(book.running()));
            nodes(&book, farm.time.now())
        };
        // Nodes come and go.
        self.devices.clear();
        for view in views {
            let node = OfNode { node: view.name, state: view.state.to_owned() };
            self.devices.get_or_create(&node).set(count(view.workers.len()));
        }
        for (part, folder) in farm.config.folders(&farm.task_logs) {
            if let Some(room) = room(&folder) {
                let part = OfPart { part: part.to_owned() };
                self.free.get_or_create(&part).set(i64::try_from(room.free).unwrap_or(i64::MAX));
            }
        }
        self.leads.set(i64::from(farm.role.leader().is_none()));
        self.logs.set(i64::from(farm.task_logs.is_failing()));
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metrics")
    }
}

/// Room of a disk, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// That the daemon's user may still take.
    pub free: u64,
    /// In all.
    pub size: u64,
}

/// Room of the disk where a folder lies; none where that cannot be told.
pub(crate) fn room(folder: &Path) -> Option<Room> {
    let disk = nix::sys::statvfs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Some(Room { free: bytes(disk.blocks_available()), size: bytes(disk.blocks()) })
}

fn minute(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::tests::farm_on;
    use greenroom_domain::{EventSeq, ProjectId, TaskKind};

    fn changed(task: TaskId, state: &str, second: i64) -> Event {
        let at = Timestamp::from_millis(second * 1000);
        let (kind, state) = (TaskKind::Generate, state.to_owned());
        let body =
            EventBody::TaskChanged { task, kind, shot: None, take: None, step: None, label: None, state, note: None };
        Event { seq: EventSeq(0), at, project: ProjectId::new(at, [1; 10]), job: None, body }
    }

    #[test]
    fn an_attempt_is_timed_from_lease_to_answer_and_shown_while_it_runs() {
        let (metrics, task) = (Metrics::default(), TaskId::new(Timestamp::from_millis(1), [1; 10]));
        metrics.moved(task, 0.3, "not begun");
        metrics.hear(&changed(task, "leased", 60));
        assert_eq!(metrics.progress(task), (0.0, String::new()));
        metrics.moved(task, 0.5, "keyframe 2");
        assert_eq!(metrics.progress(task), (0.5, "keyframe 2".to_owned()));
        metrics.hear(&changed(task, "done", 90));
        assert_eq!(metrics.progress(task), (0.0, String::new()));
        let (ended, failed) = metrics.minutes(Timestamp::from_millis(3 * 60_000));
        assert_eq!((ended[MINUTES - 3], ended.iter().sum::<u32>(), failed), (1, 1, 0));
        let (ended, _) = metrics.minutes(Timestamp::from_millis(62 * 60_000));
        assert_eq!(ended.iter().sum::<u32>(), 0, "an hour later nobody asks any more");
    }

    #[tokio::test]
    async fn a_monitoring_system_reads_counts_times_and_the_farm_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let farm = farm_on(folder.path()).await;
        let task = TaskId::new(Timestamp::from_millis(1), [1; 10]);
        farm.metrics.hear(&changed(task, "leased", 60));
        farm.metrics.hear(&changed(task, "failed", 61));
        farm.metrics.answered("greenroom.v1.FarmService/GetFarm", "ok");
        let text = farm.metrics.text(&farm);
        for line in [
            "greenroom_task_transitions_total{kind=\"generate\",state=\"failed\"} 1",
            "greenroom_task_run_seconds_count{kind=\"generate\"} 1",
            "greenroom_calls_total{method=\"greenroom.v1.FarmService/GetFarm\",outcome=\"ok\"} 1",
            "greenroom_tasks_queued 0",
            "greenroom_leads 1",
            "# UNIT greenroom_free_bytes bytes",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
