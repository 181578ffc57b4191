//! Why a task waits: a reason code, a sentence, and what to do about it where something can be done.

mod keeps;
mod reason;
mod turn;

use greenroom_domain::{JobId, TaskId, TaskKind, Timestamp};
use std::{collections::BTreeSet, time::Duration};

use crate::{Book, book::LaneKey, plan::Order};
use keeps::{stopped, unplaceable};
use turn::turn;

pub use reason::{Reason, Why};

/// A task in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Which.
    pub task: TaskId,
    /// Whose.
    pub job: JobId,
    /// What it does.
    pub kind: TaskKind,
    /// Its place, from 1; none where something other than its turn keeps it.
    pub position: Option<usize>,
    /// Why it waits.
    pub why: Why,
    /// When it may begin, where its kind's usual time is known.
    pub eta: Option<Timestamp>,
}

/// Why a task waits, at this moment.
#[must_use]
pub fn why(book: &Book, task: TaskId, now: Timestamp) -> Why {
    if let Some(waits) = book.waiting.get(&task) {
        let tasks = if waits.on == 1 { "another task".to_owned() } else { format!("{} other tasks", waits.on) };
        return Why::new(Reason::WaitingOnTasks, format!("it needs what {tasks} of its job will give"));
    }
    if let Some(held) = book.held.get(&task) {
        return Why::new(Reason::Running, format!("it runs since {} s", now.since(held.since).as_secs()));
    }
    let Some(queued) = book.ready.get(&task) else {
        return Why::new(Reason::Ended, "it has ended, or the farm has never heard of it");
    };
    if book.jobs.get(&queued.job).is_some_and(|card| card.paused) {
        return Why::new(Reason::Paused, "its job is paused").but(format!("greenroom job resume {}", queued.job));
    }
    let delay = queued.not_before.filter(|&at| at > now);
    let Some(lane) = queued.lane.filter(|_| delay.is_none()) else {
        let seconds = delay.map_or(0, |at| at.since(now).as_millis().div_ceil(1000));
        return Why::new(Reason::RetryDelay, format!("an attempt ended early; the next one begins in {seconds} s"));
    };
    if let Some(why) = unplaceable(book, lane, queued.job, now) {
        return why;
    }
    if let Err(stop) = Order::of(book, now).leave(lane) {
        return stopped(book, lane, &stop, now);
    }
    turn(book, lane, task, queued.job, now)
}

/// The queue in the order in which it will go, at most so many; then what something else keeps.
#[must_use]
pub fn queue(book: &Book, now: Timestamp, limit: usize) -> Vec<Queued> {
    let (mut order, mut seen, mut all) = (Order::of(book, now), BTreeSet::new(), Vec::new());
    let mut ahead = 0.0;
    while all.len() < limit {
        let Some((lane, ticket, _)) = order.next() else { break };
        let why = why(book, ticket.task, now);
        let kind = book.shapes.get(lane.shape).0;
        let goes = turns(why.reason);
        let servers = servers(book, lane).max(1);
        let eta = (goes && why.reason != Reason::Starting).then(|| book.usual(kind)).flatten();
        #[expect(clippy::cast_precision_loss, reason = "workers are few")]
        let wait = |usual: f64| now.after(Duration::from_secs_f64((ahead + usual / 2.0) / servers as f64));
        let eta = eta.map(wait);
        ahead += book.usual(kind).unwrap_or(0.0);
        seen.insert(ticket.task);
        let position = goes.then_some(all.len() + 1);
        all.push(Queued { task: ticket.task, job: ticket.job, kind, position, why, eta });
        order.begun(lane, ticket, None);
        order.put_back(lane);
    }
    let rest = book.ready.iter().filter(|(task, _)| !seen.contains(*task)).take(limit - all.len());
    let rest: Vec<_> = rest.map(|(&task, queued)| (task, queued.job, queued.kind)).collect();
    for (task, job, kind) in rest {
        all.push(Queued { task, job, kind, position: None, why: why(book, task, now), eta: None });
    }
    all
}

/// Whether only its turn keeps a task.
const fn turns(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Queued
            | Reason::Priority
            | Reason::FairShareBehind
            | Reason::Starting
            | Reason::Preempting
            | Reason::Held
    )
}

fn servers(book: &Book, lane: LaneKey) -> usize {
    let needs = &book.shapes.get(lane.shape).1;
    book.workers.values().filter(|seen| seen.offer.misfit(needs).is_none()).count()
}
