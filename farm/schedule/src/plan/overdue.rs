//! What is lost, late, or on a node that fails.

use greenroom_domain::Timestamp;

use super::{Action, Cause};
use crate::{Book, book::Held, entry::can_pause};

pub(super) fn overdue(book: &Book, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for (&task, held) in &book.held {
        let pace = &book.policy.pace;
        if held.undelivered {
            actions.push(Action::Requeue { task, blame: false });
            continue;
        }
        if held.answered && !held.dropped {
            continue; // its worker has said how it ended, and that is being written
        }
        let Some(seen) = book.workers.get(&held.worker) else {
            actions.push(Action::Requeue { task, blame: book.gone.contains(&held.worker) });
            continue;
        };
        if held.dropped || now.since(seen.heard) >= pace.silence.duration() {
            actions.push(Action::Requeue { task, blame: true });
            continue;
        }
        let worker = held.worker;
        let limit = book.policy.timeout.get(&held.kind).map(|limit| limit.duration());
        if let Some(after) = limit.filter(|&limit| now.since(held.since) >= limit) {
            actions.push(Action::TimeOut { task, worker, after, silent: false });
        } else if now.since(held.moved) >= pace.no_progress.duration() {
            actions.push(Action::TimeOut { task, worker, after: pace.no_progress.duration(), silent: true });
        } else if let Some(cause) = in_the_way(book, held) {
            actions.push(Action::Preempt { task, worker, cause });
        }
    }
    for (&number, node) in &book.nodes {
        let name = book.node_names.get(number);
        match book.policy.drained.get(name) {
            None if node.failed.len() >= book.policy.pace.sick_after as usize => {
                let reason = format!("tasks of {} jobs failed there, and none succeeded", node.failed.len());
                actions.push(Action::Drain { node: name.clone(), reason });
            }
            Some(drained) if drained.sick && node.healed => actions.push(Action::Heal { node: name.clone() }),
            _ => {}
        }
    }
    actions
}

/// Why a training is paused though nobody waits for its worker.
fn in_the_way(book: &Book, held: &Held) -> Option<Cause> {
    if held.pausing || !can_pause(held.kind) {
        return None;
    }
    if book.jobs.get(&held.job).is_some_and(|job| job.paused) {
        return Some(Cause::Paused);
    }
    book.floor.desk(held.worker).filter(|desk| desk.gate.shut).map(|_| Cause::Closed)
}
