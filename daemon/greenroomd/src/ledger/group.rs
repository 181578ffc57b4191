//! Changes that wait for the same turn are written together: one flush of the disk for all of them.
//!
//! A busy farm's workers answer while the disk still flushes what others answered before. Whoever gets the turn takes every
//! wish that has come by then, decides them one after the other in memory, and commits once. Where that is refused, because
//! one of them met a rule that cannot be told beforehand, each is decided and written alone.

use futures::future::try_join_all;
use greenroom_domain::{JobId, Problem, ProblemKind, Task, TaskId, Timestamp};
use greenroom_schedule::Plan;
use greenroom_store::{Batch, StoreError};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};
use tokio::sync::oneshot;

use super::{LedgerError, Work};
use crate::{clock, command, farm::Farm};

/// Wishes that are written together at most.
const MOST: usize = 512;

/// What a task becomes, from what it is then.
type Transition = Box<dyn Fn(&Farm, Task, Timestamp) -> Result<Task, LedgerError> + Send + Sync>;

/// A change that waits for its turn.
pub(crate) struct Wish {
    task: TaskId,
    transition: Transition,
    answer: oneshot::Sender<Result<Task, LedgerError>>,
}

impl Farm {
    /// Changes a task, with whatever follows from it.
    pub(super) async fn change(
        &self,
        task: TaskId,
        transition: impl Fn(&Self, Task, Timestamp) -> Result<Task, LedgerError> + Send + Sync + 'static,
    ) -> Result<Task, LedgerError> {
        let (answer, mut answered) = oneshot::channel();
        let wish = Wish { task, transition: Box::new(transition), answer };
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).push_back(wish);
        // Others who wish for something at this moment say so before anybody takes the turn.
        tokio::task::yield_now().await;
        let _turn = self.writing.lock().await;
        loop {
            match answered.try_recv() {
                Ok(answer) => return answer,
                Err(oneshot::error::TryRecvError::Empty) => self.write_waiting().await,
                Err(oneshot::error::TryRecvError::Closed) => return Err(cut_off(task).into()),
            }
        }
    }

    /// Decides and writes what waits, the first that came first.
    async fn write_waiting(&self) {
        let mut group: Vec<_> = {
            let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
            let some = wishes.len().min(MOST);
            wishes.drain(..some).collect()
        };
        // Whoever does not wait any more has gone, and with it what it wished for.
        group.retain(|wish| !wish.answer.is_closed());
        let now = clock::now();
        let together = if group.len() > 1 { self.write_together(&group, now).await } else { Ok(None) };
        match together {
            Ok(Some(answers)) => {
                group.into_iter().zip(answers).for_each(|(wish, answer)| drop(wish.answer.send(answer)));
            }
            Ok(None) => {
                for wish in group {
                    let answer = self.write_alone(&wish, clock::now()).await;
                    let _ = wish.answer.send(answer);
                }
            }
            Err(problem) => {
                group.into_iter().for_each(|wish| drop(wish.answer.send(Err(problem.clone().into()))));
            }
        }
    }

    /// All of them in one commit, with an answer for each. None where they must be written one by one; an error where the
    /// ledger cannot be used.
    async fn write_together(&self, group: &[Wish], now: Timestamp) -> Result<Option<Vec<Answer>>, Problem> {
        let told = |error: LedgerError| match error {
            LedgerError::Store(StoreError::Io { .. } | StoreError::Unusable(_)) => Err(error.problem()),
            _ => Ok(None),
        };
        match self.decide_together(group, now).await {
            Ok(Some((batch, answers))) => match self.commit(batch).await {
                Ok(()) => Ok(Some(answers)),
                Err(error) => told(error.into()),
            },
            Ok(None) => Ok(None),
            Err(error) => told(error),
        }
    }

    async fn decide_together(
        &self,
        group: &[Wish],
        now: Timestamp,
    ) -> Result<Option<(Batch, Vec<Answer>)>, LedgerError> {
        let tasks = try_join_all(group.iter().map(|wish| self.store.task(wish.task))).await?;
        let mut works = self.works(group, &tasks, now).await?;
        let mut answers = vec![];
        for (wish, task) in group.iter().zip(&tasks) {
            let Some(work) = task.as_ref().and_then(|task| works.get_mut(&task.job)) else {
                answers.push(Err(missing(wish.task).into()));
                continue;
            };
            let at = work.tasks.iter().position(|t| t.id == wish.task).ok_or_else(|| missing(wish.task))?;
            let changed = (wish.transition)(self, work.tasks[at].clone(), now);
            if let Ok(changed) = &changed {
                self.follow(work, at, changed.clone(), now).await?;
            }
            answers.push(changed);
        }
        let mut batch = Batch::new();
        for work in works.into_values() {
            let (more, character) = self.batch(work, now).await?;
            if character {
                // Two of them could change one character, each from what it is now.
                return Ok(None);
            }
            batch = batch.and(more);
        }
        Ok(Some((batch, answers)))
    }

    /// The jobs that are about to change: whole where a task ends, for only then something follows; else those tasks alone.
    async fn works(
        &self,
        group: &[Wish],
        tasks: &[Option<Task>],
        now: Timestamp,
    ) -> Result<BTreeMap<JobId, Work>, LedgerError> {
        let mut whole = BTreeSet::new();
        let mut parts: BTreeMap<JobId, BTreeMap<TaskId, Task>> = BTreeMap::new();
        for (wish, task) in group.iter().zip(tasks) {
            let Some(task) = task else { continue };
            parts.entry(task.job).or_default().insert(task.id, task.clone());
            if (wish.transition)(self, task.clone(), now).is_ok_and(|changed| changed.state.is_final()) {
                whole.insert(task.job);
            }
        }
        let works = parts.into_iter().map(async |(job, tasks)| {
            let work = if whole.contains(&job) {
                self.work_on(job).await?
            } else {
                Work::new(self.job_of(job).await?, None, tasks.into_values().collect())
            };
            Ok::<_, LedgerError>((job, work))
        });
        Ok(try_join_all(works).await?.into_iter().collect())
    }

    async fn write_alone(&self, wish: &Wish, now: Timestamp) -> Answer {
        let task = self.store.task(wish.task).await?.ok_or_else(|| missing(wish.task))?;
        let changed = (wish.transition)(self, task.clone(), now)?;
        let mut work = if changed.state.is_final() {
            self.work_on(task.job).await?
        } else {
            Work::new(self.job_of(task.job).await?, None, vec![task])
        };
        let at = work.tasks.iter().position(|t| t.id == wish.task).ok_or_else(|| missing(wish.task))?;
        self.follow(&mut work, at, changed.clone(), now).await?;
        self.write(work, now).await?;
        Ok(changed)
    }

    /// Puts a changed task in its place, with everything that follows from it.
    async fn follow(&self, work: &mut Work, at: usize, changed: Task, now: Timestamp) -> Result<(), LedgerError> {
        let ended = changed.state.is_final();
        work.put(at, changed.clone(), now);
        if ended {
            self.calibrate(work, &changed, now).await?;
            if let Some(Plan::Command(plan)) = &work.plan {
                command::gather(self, plan, &work.tasks).await?;
            }
            work.settle(now);
        }
        Ok(())
    }
}

/// What somebody hears who wished for something.
type Answer = Result<Task, LedgerError>;

fn missing(task: TaskId) -> StoreError {
    StoreError::Missing { noun: "task", id: task.to_string() }
}

/// Whoever had taken it along was stopped in the middle.
fn cut_off(task: TaskId) -> Problem {
    let remedy = "look at its state and try again";
    Problem::new(ProblemKind::Unavailable, "change task", task.to_string(), "the change was cut off", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::tests::farm_on;
    use futures::future::join_all;
    use greenroom_domain::{EventSeq, TaskState};
    use greenroom_store::{EventScope, conformance::sample};

    const TASKS: u32 = 40;

    async fn with_tasks(farm: &Farm) -> Vec<Task> {
        let (project, job) = (sample::project(1), sample::job(&sample::project(1), 1));
        let tasks: Vec<_> = (0..TASKS).map(|n| sample::task(&job, n)).collect();
        let batch = Batch::new().insert_project(project).insert_job(job);
        farm.commit(tasks.iter().cloned().fold(batch, Batch::insert_task)).await.unwrap();
        tasks
    }

    async fn lease(farm: &Farm, task: TaskId) -> Answer {
        farm.change(task, |_, t, now| Ok(t.lease(sample::worker(1), now)?)).await
    }

    #[tokio::test]
    async fn what_waits_for_one_turn_is_written_in_one_commit() {
        let folder = tempfile::tempdir().unwrap();
        let farm = farm_on(folder.path()).await;
        let tasks = with_tasks(&farm).await;
        let leased = join_all(tasks.iter().map(|task| lease(&farm, task.id))).await;
        let since = leased.into_iter().map(|task| match task.unwrap().state {
            TaskState::Leased(lease) => lease.since,
            other => panic!("{other:?}"),
        });
        // One decision, at one moment: forty flushes would take longer than a millisecond.
        assert_eq!(since.collect::<BTreeSet<_>>().len(), 1);
        let events = farm.store.events(EventSeq(0), EventScope::All, 100).await.unwrap();
        assert_eq!(events.len(), TASKS as usize, "each is told of");
        assert_eq!(farm.store.leased_tasks().await.unwrap().len(), TASKS as usize);
    }

    #[tokio::test]
    async fn of_wishes_in_one_turn_each_has_its_own_answer() {
        let folder = tempfile::tempdir().unwrap();
        let farm = farm_on(folder.path()).await;
        let tasks = with_tasks(&farm).await;
        let unknown = sample::task(&sample::job(&sample::project(1), 1), 99).id;
        let wished = [tasks[0].id, unknown, tasks[0].id, tasks[1].id];
        let answers = join_all(wished.map(|task| lease(&farm, task))).await;
        let [first, none, again, second] = &answers[..] else { panic!("{answers:?}") };
        assert!(first.is_ok() && second.is_ok(), "{answers:?}");
        assert!(matches!(none, Err(LedgerError::Store(StoreError::Missing { .. }))), "{none:?}");
        assert!(matches!(again, Err(LedgerError::Transition(_))), "{again:?}");
        assert_eq!(farm.store.leased_tasks().await.unwrap().len(), 2);
    }
}
