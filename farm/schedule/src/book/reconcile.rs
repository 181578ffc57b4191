//! Bringing the book up to a ledger that may have gone on without it: a commit was written and its answer never came.

use greenroom_domain::{Job, JobId, TaskId, Timestamp};
use std::collections::BTreeSet;

use super::Book;
use crate::{Entry, Stand};

impl Book {
    /// Everything that is open stands as the ledger has it now; workers and what was used stay as they are. Leases that the book
    /// did not know of were never given to anybody.
    pub fn reconcile(&mut self, jobs: &[Job], entries: &[Entry], now: Timestamp) {
        let open: BTreeSet<TaskId> = entries.iter().map(|entry| entry.id).collect();
        let known = self.held.keys().chain(self.ready.keys()).chain(self.waiting.keys());
        let ended: Vec<_> = known.copied().filter(|task| !open.contains(task)).collect();
        for task in ended {
            self.drop_task(task, now);
        }
        let active: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
        self.jobs.retain(|job, _| active.contains(job));
        for job in jobs {
            self.put_job(job, now);
        }
        for entry in entries.iter().filter(|entry| !self.stands(entry)).collect::<Vec<_>>() {
            let mut entry = entry.clone();
            if let Stand::Leased { since, .. } = &mut entry.stand {
                *since = now;
            }
            self.put_task(&entry, now);
            if let Stand::Leased { epoch, .. } = entry.stand {
                self.undelivered(entry.id, epoch);
            }
        }
    }

    /// Whether the book has the task just so.
    fn stands(&self, entry: &Entry) -> bool {
        match entry.stand {
            Stand::Waiting { on } => self.waiting.get(&entry.id).is_some_and(|waits| waits.on == on),
            Stand::Ready { .. } => self.ready.contains_key(&entry.id),
            Stand::Leased { epoch, .. } => self.held.get(&entry.id).is_some_and(|held| held.epoch == epoch),
            Stand::Ended { .. } => !self.is_held(entry.id) && !self.is_ready(entry.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Action,
        fixture::{NOW, Story},
        plan,
    };
    use greenroom_domain::{Offer, Policy, Task, WorkerId};

    fn worker() -> WorkerId {
        WorkerId::new(NOW, [1; 10])
    }

    fn book(story: &Story) -> Book {
        let mut book = Book::new(Policy::default());
        book.put_job(&story.job, NOW);
        story.tasks.iter().for_each(|task| book.put_task(&Entry::from(task), NOW));
        book.attach(worker(), Offer::default(), NOW);
        book
    }

    fn entries(tasks: &[Task]) -> Vec<Entry> {
        tasks.iter().filter(|task| !task.state.is_final()).map(Entry::from).collect()
    }

    #[test]
    fn a_lease_that_the_book_did_not_hear_of_goes_back_without_blame() {
        let mut story = Story::begin(1);
        let mut book = book(&story);
        story.tasks[1] = story.tasks[1].clone().lease(worker(), NOW).unwrap();
        book.reconcile(&[story.job.clone()], &entries(&story.tasks), NOW);
        assert_eq!(book.running(), 1);
        assert_eq!(plan(&book, NOW)[0], Action::Requeue { task: story.tasks[1].id, blame: false });
        assert_eq!(book.faults(), Vec::<String>::new());
    }

    #[test]
    fn what_has_ended_in_the_ledger_is_gone_and_what_runs_runs_on() {
        let mut story = Story::begin(2);
        let mut book = book(&story);
        story.tasks[1] = story.tasks[1].clone().lease(worker(), NOW).unwrap();
        book.put_task(&Entry::from(&story.tasks[1]), NOW);
        book.reconcile(&[story.job.clone()], &entries(&story.tasks), NOW);
        assert!(!plan(&book, NOW).iter().any(|action| matches!(action, Action::Requeue { .. })));
        book.reconcile(&[], &[], NOW);
        assert_eq!((book.running(), book.queued()), (0, 0));
        assert_eq!(book.faults(), Vec::<String>::new());
    }
}
