//! What goes before a task that only waits for its turn.

use greenroom_domain::{JobId, TaskId, Timestamp};

use super::{Reason, Why};
use crate::{
    Action, Book, Cause,
    book::{
        LaneKey, Ticket,
        floor::{Desk, Room},
    },
    plan::{Order, level},
};

/// A worker would do, and others come first.
pub(super) fn turn(book: &Book, lane: LaneKey, task: TaskId, job: JobId, now: Timestamp) -> Why {
    let preempting = |action: &Action| matches!(action, Action::Preempt { cause: Cause::For(t), .. } if *t == task);
    let room = book.room_of(lane.shape);
    let free = |desk: &Desk| !desk.gate.shut && book.floor.room(desk).holds(room);
    let first = book.lanes.get(&lane).and_then(|l| l.tickets.first()).is_some_and(|t| t.task == task);
    if first {
        let plan = crate::plan(book, now);
        if plan.iter().any(|action| matches!(action, Action::Lease { task: t, .. } if *t == task)) {
            return Why::new(Reason::Starting, "a worker is free for it; it begins now");
        }
        let pausing = book.held.values().any(|held| held.pausing && held.level < lane.level);
        if pausing || plan.iter().any(preempting) {
            return Why::new(Reason::Preempting, "a training is paused for it at its next checkpoint");
        }
    }
    let (ahead, urgent, fairer) = ahead(book, lane, task, job, now);
    let held = book.lanes.get(&lane).is_some_and(|l| now.since(l.hungry) >= book.policy.pace.hold_after.duration());
    let parts: Room = book.floor.desks().values().map(|desk| book.floor.room(desk)).max().unwrap_or_default();
    if first && held && parts.slots > 0 && !book.floor.desks().values().any(free) {
        return Why::new(Reason::Held, "its room is free in parts only; a worker is kept free until there is enough");
    }
    if urgent > 0 {
        let remedy = format!("greenroom job priority {job} N, with N up to 10; what waits long rises by itself");
        return Why::new(Reason::Priority, format!("{urgent} more urgent tasks go first, {ahead} in all")).but(remedy);
    }
    if fairer > 0 {
        let sentence =
            format!("{fairer} tasks go first of those who had less of the farm for their share, {ahead} in all");
        return Why::new(Reason::FairShareBehind, sentence);
    }
    let sentence = match ahead {
        0 => "every worker that would do is busy; it is the next one".to_owned(),
        1 => "every worker that would do is busy; one older task goes first".to_owned(),
        n => format!("every worker that would do is busy; {n} older tasks go first"),
    };
    Why::new(Reason::Queued, sentence)
}

/// Tasks that go before one: all, those that are more urgent, and those of others at the same urgency.
fn ahead(book: &Book, lane: LaneKey, task: TaskId, job: JobId, now: Timestamp) -> (usize, usize, usize) {
    let Some(own) = book.lanes.get(&lane) else { return (0, 0, 0) };
    let own_level = level(book, lane, own, now);
    let place = own.tickets.iter().position(|ticket| ticket.task == task).unwrap_or(0);
    let (mut urgent, mut fairer, mut older) = (0, 0, place);
    let order = Order::of(book, now);
    for (&key, other) in book.lanes.iter().filter(|(key, _)| **key != lane) {
        let of = level(book, key, other, now);
        if of > own_level {
            urgent += other.tickets.len();
        } else if of == own_level && key.account != lane.account && order.had(key.account) < order.had(lane.account) {
            fairer += other.tickets.len();
        } else if of == own_level && key.account == lane.account {
            older += other.tickets.iter().take_while(|ticket: &&Ticket| ticket.job < job).count();
        }
    }
    (urgent + fairer + older, urgent, fairer)
}
