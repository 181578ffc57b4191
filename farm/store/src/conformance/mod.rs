//! The suite that every store must pass.
//!
//! Each function tells the stories of one noun; `make` gives a new, empty store for each story. They panic where a store
//! breaks a promise, so a store calls each of them from a test of its own.

#![expect(clippy::unwrap_used, reason = "a broken promise is told by a panic, as in any test")]

mod audit;
mod batch;
mod bookmark;
mod character;
mod event;
mod forgotten;
mod job;
mod model;
mod policy;
mod project;
pub mod sample;
mod task;
mod token;
mod user;

use std::sync::Arc;

use crate::Store;

pub use audit::audits;
pub use batch::batches;
pub use bookmark::bookmarks;
pub use character::characters;
pub use event::events;
pub use forgotten::forgotten;
pub use job::jobs;
pub use model::model;
pub use policy::policies;
pub use project::projects;
pub use task::tasks;
pub use token::tokens;
pub use user::users;

/// What a suite is given: makes one new, empty store.
pub trait Factory: AsyncFn() -> Arc<dyn Store> {}

impl<F: AsyncFn() -> Arc<dyn Store>> Factory for F {}

/// `refused!(store, batch, pattern)`: nothing is written, and the error is that one.
macro_rules! refused {
    ($store:expr, $batch:expr, $pattern:pat $(if $guard:expr)?) => {{
        let error = $store.commit($batch).await.expect_err("the batch is refused");
        assert!(matches!(error, $pattern $(if $guard)?), "{error:?}");
    }};
}
pub(crate) use refused;
