//! `greenroom completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde_json::json;

use super::Context;
use crate::{cli::Cli, failure::Outcome};

/// Print the completion script of a shell.
///
/// For example: greenroom completions bash > ~/.local/share/bash-completion/completions/greenroom
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    /// Prints.
    pub(crate) fn run(&self, context: &Context) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "greenroom", &mut script);
        let script = String::from_utf8_lossy(&script);
        if context.output.is_json() {
            context.output.answer(&json!({"shell": self.shell.to_string(), "script": script}), &[]);
        } else {
            context.output.raw(&script);
        }
        Outcome::Complete
    }
}
