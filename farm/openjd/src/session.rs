//! Sessions: one process for the tasks of one step of one job, under the user that commands run as.
//!
//! A session is a process of its own, because commands are nobody's friends: it has neither the worker's token nor its models nor
//! its rights, reads what it publishes with no more rights than the commands had, and when the worker is killed it ends and takes
//! all that it started with it.

mod files;
mod host;
mod log;
pub mod tree;
pub mod wire;

pub use host::serve;
