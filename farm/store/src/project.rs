//! Reading projects.

use async_trait::async_trait;
use greenroom_domain::{Project, ProjectId};

use crate::Result;

/// Reads projects.
#[async_trait]
pub trait ProjectStore: Send + Sync {
    /// One project.
    async fn project(&self, id: ProjectId) -> Result<Option<Project>>;

    /// The project of that name; names are unique on a farm.
    async fn project_by_name(&self, name: &str) -> Result<Option<Project>>;

    /// All of them, by name.
    async fn projects(&self) -> Result<Vec<Project>>;
}
