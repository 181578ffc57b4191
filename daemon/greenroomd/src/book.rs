//! The book follows the ledger: built from it when the daemon starts, told of every commit after that.

use greenroom_domain::{Digest, Job, Policy, ProjectId, Spec, TaskId, Timestamp};
use greenroom_schedule::{Book, Entry, Stand};
use greenroom_store::{Batch, Change, Store, StoreError};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::atomic::Ordering,
};

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
    /// The ledger may have gone on without the book.
    pub(crate) fn in_doubt(&self) {
        self.doubt.store(true, Ordering::Relaxed);
        self.work.notify_one();
    }

    /// Compares the book with the ledger, where that is in doubt.
    pub(crate) async fn resolve(&self) -> Result<(), StoreError> {
        if !self.doubt.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _one_step = self.committing.lock().await;
        // What was left alone is through, or will never be, once something is written after it.
        self.store.commit(Batch::new()).await?;
        let (policy, tasks) = (self.store.policy().await?.unwrap_or_default(), self.store.open_tasks().await?);
        let mut jobs = Vec::new();
        for id in tasks.iter().map(|task| task.job).collect::<BTreeSet<_>>() {
            jobs.extend(self.store.job(id).await?);
        }
        let (projects, last) = (self.store.projects().await?, self.store.last_seq().await?);
        let entries: Vec<_> = tasks.iter().map(Entry::from).collect();
        let now = self.time.now();
        {
            let mut book = self.book();
            projects.iter().for_each(|project| book.name_project(project.id, &project.name));
            if *book.policy() != policy {
                book.set_policy(policy, now);
            }
            book.reconcile(&jobs, &entries, now);
        }
        self.committed.send_if_modified(|seq| std::mem::replace(seq, last.max(*seq)) < last);
        self.doubt.store(false, Ordering::Relaxed);
        tracing::warn!(tasks = entries.len(), "the book was compared with the ledger");
        Ok(())
    }

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
