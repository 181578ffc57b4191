//! How far somebody has read in the event log.

use async_trait::async_trait;
use greenroom_domain::EventSeq;

use crate::Result;

/// Reads how far somebody has read.
#[async_trait]
pub trait BookmarkStore: Send + Sync {
    /// The last event that the reader of this name is done with; none where it never said.
    async fn bookmark(&self, name: &str) -> Result<Option<EventSeq>>;
}
