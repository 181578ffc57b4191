//! What begins and ends counts: for its project and user, against its limits, on its worker.

use greenroom_domain::{TaskId, Timestamp};

use super::{Book, Held};

/// Of a kind's usual seconds the newest counts this much.
const NEWEST: f64 = 0.2;

impl Book {
    pub(super) fn begin(&mut self, task: TaskId, held: Held) {
        let (project, user) = *self.accounts.get(held.account);
        self.tally.projects.entry(project).or_default().begin(held.since);
        self.tally.users.entry(user).or_default().begin(held.since);
        if let Some(node) = held.node {
            self.tally.begin(&held.limits, node, held.since);
        }
        self.floor.take(held.worker, held.room);
        // It will hold what the task works with; what it says itself goes before.
        let wants = self.shapes.get(held.shape).1.warm.clone();
        self.warm_up(held.worker, &wants);
        self.held.insert(task, held);
    }

    pub(super) fn end(&mut self, task: TaskId, held: &Held, well: bool, now: Timestamp) {
        let half_life = self.policy.pace.half_life;
        let (project, user) = *self.accounts.get(held.account);
        self.tally.projects.entry(project).or_default().end(held.since, now, half_life);
        self.tally.users.entry(user).or_default().end(held.since, now, half_life);
        if let Some(node) = held.node {
            self.tally.end(&held.limits, node);
        }
        let answered = self.held.remove(&task).is_some_and(|held| held.answered);
        if answered {
            self.floor.give(held.worker, held.room);
        } else if self.workers.contains_key(&held.worker) {
            self.lingering.insert((task, held.epoch), (held.worker, held.room));
        }
        if well {
            let took = now.since(held.since).as_secs_f64();
            let usual = self.usual.entry(held.kind).or_insert(took);
            *usual += NEWEST * (took - *usual);
        }
    }
}
