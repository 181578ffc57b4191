//! Trainings make room for what somebody waits for. They lose nothing: a worker pauses one where it writes a checkpoint.

use greenroom_domain::Timestamp;
use std::collections::BTreeSet;

use super::{
    Action, Cause,
    place::{Asking, Fits},
    round::Hungry,
};
use crate::{
    Book,
    book::{Held, LaneKey, floor::Room},
    entry::{can_pause, is_learning},
};

pub(super) fn preempt(book: &Book, hungry: &[Hungry], now: Timestamp) -> Vec<Action> {
    let mut victims: Vec<_> = book.held.iter().filter(|(_, held)| can_pause(held.kind)).collect();
    // The least urgent first, and of those the one that began last.
    victims.sort_by_key(|(task, held)| (held.level, std::cmp::Reverse(held.since), **task));
    let (mut actions, mut fits, mut taken) = (Vec::new(), Fits::default(), BTreeSet::new());
    let pace = &book.policy.pace;
    for wants in hungry.iter().filter(|_| !victims.is_empty()) {
        let waited = book.lanes.get(&wants.lane).map(|lane| now.since(lane.hungry));
        let (kind, _) = book.shapes.get(wants.lane.shape);
        if is_learning(*kind) || waited.is_none_or(|waited| waited < pace.preempt_after.duration()) {
            continue;
        }
        let mut left = wants.left;
        for &(&task, held) in &victims {
            if left == 0 {
                break;
            }
            let helps = held.level < wants.lane.level && makes_room(book, &mut fits, wants.lane, held);
            if !helps || !taken.insert(task) {
                continue;
            }
            if held.pausing {
                left -= 1; // it is about to make room
            } else if now.since(held.since) >= pace.preempt_every.duration() {
                left -= 1;
                actions.push(Action::Preempt { task, worker: held.worker, cause: Cause::For(wants.first) });
            } else {
                taken.remove(&task);
            }
        }
    }
    actions
}

/// Whether a lane's task would fit where a training is, were it gone.
fn makes_room(book: &Book, fits: &mut Fits, lane: LaneKey, held: &Held) -> bool {
    let Some(desk) = book.floor.desk(held.worker) else { return false };
    let (none, room) = (BTreeSet::new(), book.room_of(lane.shape));
    let asking = Asking { shape: lane.shape, account: lane.account, room, avoids: &none, only: None };
    let free = book.floor.room(desk);
    let then = Room {
        slots: free.slots + held.room.slots,
        mib: free.mib + held.room.mib,
        threads: free.threads + held.room.threads,
    };
    then.holds(room) && fits.would_do(book, held.worker, desk, &asking)
}
