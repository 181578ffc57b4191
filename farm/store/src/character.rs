//! Reading characters.

use async_trait::async_trait;
use greenroom_domain::{Character, CharacterId, ProjectId};

use crate::Result;

/// Reads characters. Where no revision is named, the latest is meant.
#[async_trait]
pub trait CharacterStore: Send + Sync {
    /// The latest revision of one character.
    async fn character(&self, id: CharacterId) -> Result<Option<Character>>;

    /// One revision of one character.
    async fn character_revision(&self, id: CharacterId, revision: u32) -> Result<Option<Character>>;

    /// The latest revision of every character of a project, by name.
    async fn characters(&self, project: ProjectId) -> Result<Vec<Character>>;

    /// The character whose latest revision has that name; such names are unique in a project.
    async fn character_by_name(&self, project: ProjectId, name: &str) -> Result<Option<Character>>;
}
