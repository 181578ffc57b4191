//! Where the farm keeps its ledger: one trait per noun, an in-memory store, and the suite every store must pass.
//!
//! Everything is read by noun and written by one method, [`Store::commit`]: a [`Batch`] of changes and the events that
//! tell of them become true together or not at all. Time comes in with the values; a store has no clock.

mod audit;
mod batch;
mod bookmark;
mod character;
pub mod conformance;
mod error;
mod event;
mod forgotten;
mod history;
mod job;
mod memory;
mod policy;
mod project;
pub mod rules;
mod store;
mod task;
mod together;
mod token;
mod user;

pub use audit::{AuditStore, Audited, DeedFilter, verify_audit};
pub use batch::{Batch, Change, Expected};
pub use bookmark::BookmarkStore;
pub use character::CharacterStore;
pub use error::{Result, StoreError, Unique};
pub use event::{EventScope, EventStore};
pub use forgotten::{Forgetting, ForgottenStore, Mention, Row};
pub use history::history_faults;
pub use job::JobStore;
pub use memory::MemoryStore;
pub use policy::PolicyStore;
pub use project::ProjectStore;
pub use store::Store;
pub use task::TaskStore;
pub use together::{Together, together};
pub use token::TokenStore;
pub use user::UserStore;
