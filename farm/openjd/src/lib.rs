//! Open Job Description 2023-09: job templates become our tasks, our jobs become templates, and sessions run commands.
//!
//! The official crates do the reading and the running; none of their types is seen outside, so that another version of them, or
//! another implementation, changes this crate alone. Without the feature `session` nothing here has async, IO or a clock.

mod export;
mod fault;
mod parameters;
mod requirements;
mod space;
mod template;

#[cfg(feature = "session")]
pub mod session;

pub use export::{Call, Exported, Script, export};
pub use parameters::parameters;
pub use template::{Documents, Output, Template};

/// The version of the official crates, for `doctor` and reports.
pub const MODEL: &str = "openjd-model 0.8.0";
