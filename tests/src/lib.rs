//! A whole farm for stories: the real programs with the real pack, on a port of their own, ended with the story.
#![allow(clippy::unwrap_used, reason = "this is a part of tests: what cannot go on panics and says where")]

mod bench;
mod bucket;
pub mod chaos;
mod client;
mod disk;
mod farm;
mod inputs;
mod memory;
mod process;
mod project;
mod slurm;
mod told;

pub use bench::Bench;
pub use bucket::{BUCKET, Bucket};
pub use client::{Client, problem};
pub use disk::SmallDisk;
pub use farm::{Farm, Options};
pub use inputs::{
    CLOSE_MARA, CLOSE_TOBIN, PackCopy, cast_folder, digest, golden, noise, png, reference, shot_file, side_by_side,
};
pub use memory::MemoryLimit;
pub use process::{Programs, alive, greenroom, until};
pub use project::{Project, Pushed, notes, of_kind};
pub use slurm::Cluster;
pub use told::{Postbox, Receiver};
