//! Stories of a whole farm: real programs, real models, small pictures.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a story may fail where it stands, and its name says what it shows"
)]

mod access;
mod buckets;
mod calibrations;
mod chaos;
mod commands;
mod consent;
mod crashes;
mod devices;
mod disks;
mod filming;
mod identity;
mod leaders;
mod loras;
mod operating;
mod packs;
mod refusals;
mod scheduling;
mod slurm;
mod wires;
