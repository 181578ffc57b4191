//! Reading the event log.

use async_trait::async_trait;
use greenroom_domain::{Event, EventSeq, JobId, ProjectId};

use crate::Result;

/// Whose events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventScope {
    /// Everybody's.
    All,
    /// One project's.
    Project(ProjectId),
    /// One job's.
    Job(JobId),
}

/// Reads the event log.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// The events after a position, in commit order, at most `limit`. Positions of a scope have gaps; the log has none.
    async fn events(&self, after: EventSeq, scope: EventScope, limit: usize) -> Result<Vec<Event>>;

    /// The position of the last event; 0 while there is none.
    async fn last_seq(&self) -> Result<EventSeq>;
}
