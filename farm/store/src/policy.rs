//! Reading the farm's policy.

use async_trait::async_trait;
use greenroom_domain::Policy;

use crate::Result;

/// Reads the farm's policy.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// The newest one; none where nobody ever set one, and the default holds.
    async fn policy(&self) -> Result<Option<Policy>>;
}
