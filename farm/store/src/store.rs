//! The whole ledger as one object.

use async_trait::async_trait;
use greenroom_domain::Event;
use std::path::Path;

use crate::{
    AuditStore, Batch, BookmarkStore, CharacterStore, EventStore, ForgottenStore, JobStore, PolicyStore, ProjectStore,
    Result, TaskStore, TokenStore, UserStore,
};

/// The whole ledger. Object safe: the daemon holds an `Arc<dyn Store>`.
#[async_trait]
pub trait Store:
    ProjectStore
    + CharacterStore
    + JobStore
    + TaskStore
    + EventStore
    + ForgottenStore
    + PolicyStore
    + UserStore
    + TokenStore
    + AuditStore
    + BookmarkStore
{
    /// Applies the changes in their order and appends the events, all of it or nothing, and answers the events with the
    /// sequence they got: the next numbers of the log, without gaps, in commit order. Once it answers, the batch survives
    /// a crash as far as the store survives at all.
    ///
    /// # Errors
    /// If a precondition does not hold (the first that fails is told), or the batch cannot be written.
    async fn commit(&self, batch: Batch) -> Result<Vec<Event>>;

    /// Reads the whole ledger and compares its parts with each other. Slow: for `doctor`, tests and after a crash.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`](crate::StoreError::Corrupt) with everything that was found.
    async fn integrity_check(&self) -> Result<()>;

    /// Copies the whole ledger as it is at one moment to a new file, a ledger in SQLite, while others write. The file is there
    /// whole or not at all, and for its owner alone.
    ///
    /// # Errors
    /// If the file cannot be written, or this kind of store is copied by other means.
    async fn copy_to(&self, file: &Path) -> Result<()>;

    /// Leaves nothing of rows that went, or were other before, where the ledger is kept. Slow: for after forgetting. What the
    /// disk keeps of files that were overwritten, and backups, are out of a store's reach.
    ///
    /// # Errors
    /// If the ledger cannot be written, or somebody reads it for too long.
    async fn scrub(&self) -> Result<()>;
}
