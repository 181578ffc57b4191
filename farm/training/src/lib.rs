//! LoRA: its file formats, the dataset that it is trained on, the training step, and checkpoints that truly resume.
//!
//! A [`lora::File`] is an adapter with its header, read from kohya's or PEFT's names and written with either. A
//! [`Dataset`](dataset::Dataset) turns pictures into cached latents. A [`Trainer`](train::Trainer) goes one
//! [`step`](train::Trainer::step) at a time and can be stored after each, so that a caller pauses, cancels and reports when it
//! likes.
//!
//! Absent by design: a terminal, the environment, a clock, and other randomness than the recipe's seed.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

pub mod dataset;
mod file;
pub mod lora;
pub mod proof;
pub mod recipe;
pub mod train;
