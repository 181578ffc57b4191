//! Reading users.

use async_trait::async_trait;
use greenroom_domain::{User, UserId};

use crate::Result;

/// Reads users. Those who were removed stay readable by id.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// One user.
    async fn user(&self, id: UserId) -> Result<Option<User>>;

    /// Whoever has that name now; names are unique among those who were not removed.
    async fn user_by_name(&self, name: &str) -> Result<Option<User>>;

    /// Everybody who was not removed, by name.
    async fn users(&self) -> Result<Vec<User>>;
}
