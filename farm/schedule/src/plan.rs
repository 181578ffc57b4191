//! Who runs what next. `plan` sees the book and answers with actions; nothing in here waits or writes.

mod order;
mod overdue;
mod place;
mod preempt;
mod round;

use greenroom_domain::{TaskId, Timestamp, WorkerId};
use std::time::Duration;

use crate::Book;

pub(crate) use order::{Order, Stop, level};
pub(crate) use place::expected;

/// A plan begins at most so many tasks, so that no decision takes long; the next one follows at once.
pub const MOST: usize = 512;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
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
    /// It runs for too long, or gets no further: stop it, and count a failed attempt.
    TimeOut {
        /// Which task.
        task: TaskId,
        /// Who has it.
        worker: WorkerId,
        /// How long it was allowed.
        after: Duration,
        /// Whether it was silent for so long, or ran for so long.
        silent: bool,
    },
    /// Let its worker pause it at its next checkpoint; it goes back to ready without blame.
    Preempt {
        /// Which task.
        task: TaskId,
        /// Who has it.
        worker: WorkerId,
        /// For what.
        cause: Cause,
    },
    /// Tasks of too many jobs failed on it: it takes nothing new.
    Drain {
        /// Which node.
        node: String,
        /// Why, as a sentence without a full stop.
        reason: String,
    },
    /// A task succeeded on a node that was drained as sick.
    Heal {
        /// Which node.
        node: String,
    },
}

/// Why a training is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody waits for this task.
    For(TaskId),
    /// Its job was paused.
    Paused,
    /// Its node takes nothing more.
    Closed,
}

/// Chooses what to do now: what is lost, late or in the way first, then what begins where.
///
/// Among what can begin, the most urgent goes first, and what was passed over for long counts as more urgent; then who had least
/// of the farm for their share; then the older job. Work goes where its models are held already, and waits a little for that.
#[must_use]
pub fn plan(book: &Book, now: Timestamp) -> Vec<Action> {
    let mut actions = overdue::overdue(book, now);
    let (leases, hungry) = round::round(book, now);
    actions.extend(leases);
    actions.extend(preempt::preempt(book, &hungry, now));
    actions
}

/// When there is something to decide though nothing changes; none where only a change brings something.
#[must_use]
pub fn next_wake(book: &Book, now: Timestamp) -> Option<Timestamp> {
    let pace = &book.policy.pace;
    let held = book.held.values().flat_map(|held| {
        let heard = book.workers.get(&held.worker).map(|seen| seen.heard.after(pace.silence.duration()));
        let long = book.policy.timeout.get(&held.kind).map(|limit| held.since.after(limit.duration()));
        [heard, long, Some(held.moved.after(pace.no_progress.duration()))]
    });
    let mut wakes: Vec<_> = held.flatten().collect();
    wakes.extend(book.later.first().map(|(at, _)| *at));
    wakes.extend(book.next_window(now));
    if !book.lanes.is_empty() {
        let hungry = book.lanes.values().map(|lane| lane.hungry.after(pace.preempt_after.duration()));
        let rested = book.held.values().map(|held| held.since.after(pace.preempt_every.duration()));
        let patient = book.lanes.values().map(|lane| lane.hungry.after(pace.warm_patience.duration()));
        wakes.extend(hungry.chain(rested).chain(patient));
        wakes.extend(order::refills(book, now));
    }
    wakes.into_iter().filter(|&at| at > now).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Entry, Reason,
        fixture::{NOW, Story},
        why,
    };
    use greenroom_domain::{Offer, Policy, TaskKind};

    const SILENCE: Duration = Duration::from_secs(15);

    fn worker(n: u8) -> WorkerId {
        WorkerId::new(NOW, [n; 10])
    }

    fn book(story: &Story, workers: &[u8]) -> Book {
        let mut book = Book::new(Policy::default());
        book.put_job(&story.job, NOW);
        story.tasks.iter().for_each(|task| book.put_task(&Entry::from(task), NOW));
        workers.iter().for_each(|&n| book.attach(worker(n), Offer::default(), NOW));
        book
    }

    fn leased(plan: &[Action]) -> Vec<TaskId> {
        plan.iter().filter_map(|a| if let Action::Lease { task, .. } = a { Some(*task) } else { None }).collect()
    }

    #[test]
    fn a_shot_is_validated_before_the_next_one_is_generated() {
        let mut story = Story::begin(2);
        let first = story.tasks[1].id;
        assert_eq!(plan(&book(&story, &[1]), NOW), [Action::Lease { task: first, worker: worker(1) }]);
        story.generate("1-1", 1);
        let [task] = leased(&plan(&book(&story, &[1]), NOW))[..] else { panic!("one lease") };
        assert_eq!(story.kind_of(task), TaskKind::Validate);
    }

    #[test]
    fn a_silent_worker_loses_its_task_and_a_talking_one_keeps_it() {
        let story = Story::begin(1);
        let task = story.tasks[1].clone().lease(worker(1), NOW).unwrap();
        let mut book = book(&story, &[1]);
        book.put_task(&Entry::from(&task), NOW);
        let later = NOW.after(SILENCE);
        assert_eq!(next_wake(&book, NOW), Some(later));
        assert_eq!(plan(&book, later), [Action::Requeue { task: task.id, blame: true }]);
        book.heard(worker(1), later);
        assert_eq!(plan(&book, later), []);
        book.detach(worker(1));
        assert_eq!(plan(&book, later), [Action::Requeue { task: task.id, blame: true }]);
    }

    #[test]
    fn a_lease_from_before_a_restart_is_nobodys_fault() {
        let story = Story::begin(1);
        let task = story.tasks[1].clone().lease(worker(7), NOW).unwrap();
        let mut book = book(&story, &[]);
        book.put_task(&Entry::from(&task), NOW);
        assert_eq!(plan(&book, NOW), [Action::Requeue { task: task.id, blame: false }]);
    }

    #[test]
    fn a_task_that_nobody_can_run_says_so() {
        let story = Story::begin(1);
        let task = story.tasks[1].id;
        let why = why(&book(&story, &[]), task, NOW);
        assert_eq!((why.reason, &why.sentence[..]), (Reason::NoWorker, "no worker is attached"));
    }
}
