//! Reading tasks.

use async_trait::async_trait;
use greenroom_domain::{Digest, JobId, Task, TaskId, TaskOutput};

use crate::Result;

/// Reads tasks.
#[async_trait]
pub trait TaskStore: Send + Sync {
    /// One task.
    async fn task(&self, id: TaskId) -> Result<Option<Task>>;

    /// A job's tasks in the order they were inserted.
    async fn tasks(&self, job: JobId) -> Result<Vec<Task>>;

    /// What is left to do: every task that is not final, of every active job, the first inserted first.
    async fn open_tasks(&self) -> Result<Vec<Task>>;

    /// Every task that some worker holds, the first inserted first, whatever its job's state.
    async fn leased_tasks(&self) -> Result<Vec<Task>>;

    /// The output of the first done task with this spec, in any job.
    async fn output_by_spec(&self, spec: Digest) -> Result<Option<TaskOutput>>;
}
