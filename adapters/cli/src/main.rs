//! The greenroom command: push, watch, pull, and run a whole script.
//!
//! Commands collect inputs, call the daemon and show what it says; `output` alone prints, `environment` alone asks the
//! machine, and nothing here knows how a shot is made.

mod cast;
mod cli;
mod command;
mod config;
mod connection;
mod consent;
mod download;
mod embedded;
mod environment;
mod failure;
mod follow;
mod json;
mod names;
mod output;
mod packs;
mod progress;
mod settings;
mod shot_file;
mod summary;
mod template;
mod upload;

#[cfg(test)]
mod samples;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let environment = environment::Environment::of_this_process();
    let output = output::Output::new(cli.global.json, &environment);
    let result = command::run(&cli, environment, &output);
    if let Err(failure) = &result {
        output.failure(failure);
    }
    failure::exit_code(&result)
}
