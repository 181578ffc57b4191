//! Reading jobs.

use async_trait::async_trait;
use greenroom_domain::{Digest, Job, JobId, ProjectId};

use crate::Result;

/// Reads jobs.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// One job.
    async fn job(&self, id: JobId) -> Result<Option<Job>>;

    /// The newest jobs first, of one project or of all, at most `limit`.
    async fn jobs(&self, project: Option<ProjectId>, limit: usize) -> Result<Vec<Job>>;

    /// The job that answers this request already: active, done or draft. A cancelled or failed job answers nothing, so
    /// there is at most one.
    async fn job_by_request(&self, project: ProjectId, request: Digest) -> Result<Option<Job>>;
}
