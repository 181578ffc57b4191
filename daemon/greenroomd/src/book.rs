//! The book follows the ledger: built from it when the daemon starts, told of every commit after that.

use greenroom_domain::{Digest, Job, Policy, ProjectId, Spec, TaskId, Timestamp};
use greenroom_schedule::{Book, Entry, Stand};
use greenroom_store::{Batch, Change, Store, StoreError};
use std::collections::{BTreeSet, VecDeque};

use crate::farm::Farm;

/// What a commit changes that the scheduler must know.
pub(crate) enum News {
    Project(ProjectId, String),
    Job(Box<Job>),
    /// With its spec's digest.
    Task(Box<Entry>, Option<Digest>),
    Policy(Box<Policy>),
}

/// Tasks that can start and may have been done before.
type Fresh = VecDeque<(TaskId, Digest)>;

/// The book as the ledger has it, without workers.
pub(crate) async fn open(store: &dyn Store, now: Timestamp) -> Result<(Book, Fresh), StoreError> {
    let mut book = Book::new(store.policy().await?.unwrap_or_default());
    for project in store.projects().await? {
        book.name_project(project.id, &project.name);
    }
    let (mut fresh, mut known) = (Fresh::new(), BTreeSet::new());
    for task in store.open_tasks().await? {
        if known.insert(task.job)
            && let Some(job) = store.job(task.job).await?
        {
            book.put_job(&job, now);
        }
        let entry = Entry::from(&task);
        if let (Stand::Ready { .. }, Some(spec)) = (entry.stand, &task.spec) {
            fresh.push_back((task.id, spec.digest()));
        }
        book.put_task(&entry, now);
    }
    Ok((book, fresh))
}

/// What the book will have to know once this batch is written.
pub(crate) fn news(batch: &Batch) -> Vec<News> {
    let tell = |change: &Change| match change {
        Change::InsertProject(project) => Some(News::Project(project.id, project.name.clone())),
        Change::InsertJob(job) | Change::UpdateJob(job) => Some(News::Job(Box::new(job.clone()))),
        Change::InsertTask(task) | Change::UpdateTask { task, .. } => {
            Some(News::Task(Box::new(Entry::from(task)), task.spec.as_ref().map(Spec::digest)))
        }
        Change::SetPolicy(policy) => Some(News::Policy(Box::new(policy.clone()))),
        Change::InsertCharacter(_)
        | Change::UpdateCharacter(_)
        | Change::Forget(_)
        | Change::UpdateForgotten(_)
        | Change::InsertUser(_)
        | Change::UpdateUser(_)
        | Change::InsertToken(_)
        | Change::UpdateToken(_)
        | Change::AppendAudit(_)
        | Change::SetBookmark { .. } => None,
    };
    batch.changes.iter().filter_map(tell).collect()
}

impl Farm {
    /// It was written: the book learns of it.
    pub(crate) fn note(&self, news: Vec<News>, now: Timestamp) {
        let mut book = self.book();
        for news in news {
            match news {
                News::Project(id, name) => book.name_project(id, &name),
                News::Job(job) => book.put_job(&job, now),
                News::Task(mut entry, spec) => {
                    // By the book's own time.
                    if let Stand::Leased { since, .. } = &mut entry.stand {
                        *since = now;
                    }
                    book.put_task(&entry, now);
                    if let (Stand::Ready { .. }, Some(spec), 0) = (entry.stand, spec, entry.failures) {
                        self.fresh().push_back((entry.id, spec));
                    }
                }
                News::Policy(policy) => book.set_policy(*policy, now),
            }
        }
    }
}
