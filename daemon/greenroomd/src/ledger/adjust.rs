//! What administrators change: how a job is treated, and the policy.

use greenroom_domain::{EventBody, Job, JobId, Policy, Problem, ProblemKind, Task, TaskError, Timestamp};
use greenroom_store::Batch;

use super::{LedgerError, event};
use crate::{clock, farm::Farm};

impl Farm {
    /// A failure as it counts: a job whose tasks have failed as often as they may gets no further attempt.
    pub(super) fn within_budget(&self, task: &Task, error: TaskError) -> TaskError {
        if !error.retry || !self.book().is_spent(task.job) {
            return error;
        }
        let cause = format!("{}; the job's attempts are used up", error.problem.cause);
        TaskError { problem: Problem { cause, ..error.problem }, retry: false }
    }

    /// Changes how a job is treated; one that has ended is refused.
    pub(crate) async fn adjust(&self, id: JobId, adjust: impl FnOnce(&mut Job, Timestamp)) -> Result<Job, LedgerError> {
        let _turn = self.writing.lock().await;
        let now = clock::now();
        let mut job = self.job_of(id).await?;
        if job.state.is_final() {
            let (cause, remedy) = (format!("it is {} already", job.state.name()), "push it again");
            return Err(Problem::new(ProblemKind::Conflict, "change job", id.to_string(), cause, remedy).into());
        }
        let before = job.clone();
        adjust(&mut job, now);
        if job != before {
            let body = EventBody::JobAdjusted { priority: job.priority, paused: job.paused.is_some() };
            let event = event(&job, now, body);
            self.commit(Batch::new().update_job(job.clone()).event(event)).await?;
        }
        Ok(job)
    }

    /// Puts the next revision of the policy in force.
    pub(crate) async fn set_policy(&self, change: impl FnOnce(&mut Policy)) -> Result<Policy, LedgerError> {
        let _turn = self.writing.lock().await;
        let old = self.book().policy().clone();
        let mut policy = old.clone();
        change(&mut policy);
        if policy != old {
            policy.revision = old.revision + 1;
            self.commit(Batch::new().set_policy(policy.clone())).await?;
        }
        Ok(policy)
    }
}
