//! Who runs what next. `plan` sees a snapshot and answers with actions; nothing in here waits or writes.

use greenroom_domain::{Spec, Task, TaskId, TaskKind, TaskOutput, Timestamp, WorkerId};
use std::time::Duration;

/// The farm at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Tasks that can start, in any order.
    pub ready: Vec<Ready>,
    /// Tasks that workers hold.
    pub held: Vec<Held>,
    /// Workers that are attached.
    pub workers: Vec<WorkerView>,
}

/// A task that can start.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    /// The task.
    pub task: Task,
    /// What an earlier task with an equal spec gave, if its artifacts are still there.
    pub reusable: Option<TaskOutput>,
}

/// A task that a worker holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The task.
    pub task: Task,
    /// What is known of its worker.
    pub holder: Holder,
}

/// What is known of a leaseholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Attached.
    Attached {
        /// When it last said something.
        heard: Timestamp,
    },
    /// It was attached and went away.
    Lost,
    /// Never seen: the lease is from before the daemon restarted.
    Unknown,
}

/// A worker as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Its id.
    pub id: WorkerId,
    /// Whether it runs something.
    pub busy: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a plan has a handful of actions, and each is applied at once")]
pub enum Action {
    /// Done before: take that output.
    Reuse {
        /// Which task.
        task: TaskId,
        /// Its output.
        output: TaskOutput,
    },
    /// Give it to a worker.
    Lease {
        /// Which task.
        task: TaskId,
        /// To whom.
        worker: WorkerId,
    },
    /// Its worker is gone: back to ready, and the next lease gets the next epoch.
    Requeue {
        /// Which task.
        task: TaskId,
        /// Whether that counts as a failed attempt: a worker died over it. A restart of the daemon is nobody's fault.
        blame: bool,
    },
}

/// Chooses what to do now. A worker that was silent for `silence` has lost its task.
///
/// Order: older jobs first; within a job whatever finishes a shot comes before what starts one (assemble, validate, repair,
/// profile, generate), and shots go in the order of the script, earlier takes first.
#[must_use]
pub fn plan(snapshot: &Snapshot, now: Timestamp, silence: Duration) -> Vec<Action> {
    let lost = snapshot.held.iter().filter_map(|h| match h.holder {
        Holder::Attached { heard } if now.since(heard) < silence => None,
        Holder::Attached { .. } | Holder::Lost => Some(Action::Requeue { task: h.task.id, blame: true }),
        Holder::Unknown => Some(Action::Requeue { task: h.task.id, blame: false }),
    });
    let mut actions: Vec<_> = lost.collect();

    let mut ready: Vec<_> = snapshot.ready.iter().collect();
    // Somebody waits for shots; nobody for a LoRA.
    ready.sort_by_key(|r| {
        let order = (r.task.shot, r.task.take, place(&r.task), r.task.id);
        (is_learning(r.task.kind), r.task.job, rank(r.task.kind), order)
    });
    let mut idle = snapshot.workers.iter().filter(|w| !w.busy).map(|w| w.id);
    for Ready { task, reusable } in ready {
        if let Some(output) = reusable {
            actions.push(Action::Reuse { task: task.id, output: output.clone() });
        } else if let Some(worker) = idle.next() {
            actions.push(Action::Lease { task: task.id, worker });
        }
    }
    actions
}

const fn rank(kind: TaskKind) -> u8 {
    match kind {
        TaskKind::Breakdown | TaskKind::Assemble => 0,
        TaskKind::Validate => 1,
        TaskKind::Repair => 2,
        TaskKind::Profile | TaskKind::Calibrate => 3,
        TaskKind::Generate
        | TaskKind::Command
        | TaskKind::Collect
        | TaskKind::Train
        | TaskKind::Convert
        | TaskKind::Prove => 4,
    }
}

/// Commands go step by step and in the order of their parameters, so that a worker's session serves one after the other.
const fn place(task: &Task) -> Option<(u32, u32)> {
    match &task.spec {
        Some(Spec::Command(spec)) => Some((spec.place, spec.index)),
        _ => None,
    }
}

const fn is_learning(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Collect | TaskKind::Train | TaskKind::Convert | TaskKind::Prove)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, NOW, Story};
    use greenroom_domain::TaskState;

    const SILENCE: Duration = Duration::from_secs(15);

    fn worker(n: u8, busy: bool) -> WorkerView {
        WorkerView { id: WorkerId::new(NOW, [n; 10]), busy }
    }

    fn ready(story: &Story) -> Vec<Ready> {
        let open = story.tasks.iter().filter(|t| matches!(t.state, TaskState::Ready { .. }));
        open.map(|task| Ready { task: task.clone(), reusable: None }).collect()
    }

    #[test]
    fn a_busy_worker_gets_nothing_and_an_idle_one_the_first_shot() {
        let story = Story::begin(2);
        let workers = vec![worker(1, true), worker(2, false)];
        let first = story.tasks[1].id;
        let actions = plan(&Snapshot { ready: ready(&story), workers, ..Snapshot::default() }, NOW, SILENCE);
        assert_eq!(actions, [Action::Lease { task: first, worker: worker(2, false).id }]);
    }

    #[test]
    fn a_shot_is_validated_before_the_next_one_is_generated() {
        let mut story = Story::begin(2);
        story.generate("1-1", 1);
        let snapshot = Snapshot { ready: ready(&story), workers: vec![worker(1, false)], ..Snapshot::default() };
        let [Action::Lease { task, .. }] = plan(&snapshot, NOW, SILENCE)[..] else { panic!("one lease") };
        assert_eq!(story.kind_of(task), TaskKind::Validate);
    }

    #[test]
    fn work_that_was_done_before_needs_no_worker() {
        let story = Story::begin(1);
        let mut ready = ready(&story);
        ready[0].reusable = Some(fixture::video(1));
        let actions = plan(&Snapshot { ready, ..Snapshot::default() }, NOW, SILENCE);
        assert_eq!(actions, [Action::Reuse { task: story.tasks[1].id, output: fixture::video(1) }]);
    }

    #[test]
    fn a_silent_worker_loses_its_task_and_a_talking_one_keeps_it() {
        let story = Story::begin(1);
        let task = story.tasks[1].clone().lease(worker(1, true).id, NOW).unwrap();
        let held = |holder| Snapshot { held: vec![Held { task: task.clone(), holder }], ..Snapshot::default() };
        let later = NOW.after(SILENCE);
        let requeue = |blame| [Action::Requeue { task: task.id, blame }];
        assert_eq!(plan(&held(Holder::Attached { heard: NOW }), later, SILENCE), requeue(true));
        assert_eq!(plan(&held(Holder::Attached { heard: later }), later, SILENCE), []);
        assert_eq!(plan(&held(Holder::Lost), NOW, SILENCE), requeue(true));
        assert_eq!(plan(&held(Holder::Unknown), NOW, SILENCE), requeue(false));
    }
}
