//! Decides what runs next: compiles requests to tasks, places them, and chooses what follows an outcome. Pure.
//!
//! Every decision takes a value and returns a value that can be printed; ids and time are arguments.

mod book;
mod calibrate;
mod command;
mod compile;
mod entry;
mod lora;
mod plan;
mod retry;
mod settle;
mod takes;
mod view;
mod why;

pub use book::Book;
pub use calibrate::{calibrated, due_calibrations};
pub use command::{command_tasks, gathered};
pub use compile::{ScriptPlan, compile_calibrate, compile_profile, compile_script};
pub use entry::{Entry, Stand};
pub use lora::{Becomes, LoraFrom, LoraPlan, compile_lora, deployed, trained, worth_training_on};
pub use plan::{Action, Cause, MOST, next_wake, plan};
pub use retry::{Remedy, retry};
pub use settle::{Next, Plan, settle};
pub use takes::{Made, Take, best_take, counts, nearness, takes};
pub use view::{LimitView, NodeView, WorkerView, limits, nodes};
pub use why::{Queued, Reason, Why, queue, why};

#[cfg(test)]
mod fixture;
