//! `greenroom config`

use clap::Args;
use serde_json::json;

use super::Context;
use crate::failure::Outcome;

/// Print each setting in force and whence.
///
/// Flags go before the environment, the environment before the file, the file before defaults. A token itself is never printed.
#[derive(Args, Debug)]
pub(crate) struct Config {}

impl Config {
    /// Prints.
    pub(crate) fn run(&self, context: &Context) -> Outcome {
        let config = &context.config;
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let settings = [
            ("config", path(&config.file.value), &config.file.origin, "none"),
            (
                "address",
                config.address.value.clone(),
                &config.address.origin,
                "none: `greenroom run` starts its own farm",
            ),
            ("token_file", path(&config.token_file.value), &config.token_file.origin, "none"),
            ("ca", path(&config.ca.value), &config.ca.origin, "the system's authorities"),
        ];
        let mut document = json!({});
        let mut lines = Vec::new();
        for (name, value, origin, unset) in settings {
            document[name] = json!({"value": value, "origin": origin.to_string()});
            lines.push(format!("{name:<11} {}  ({origin})", value.as_deref().unwrap_or(unset)));
        }
        context.output.answer(&document, &lines);
        Outcome::Complete
    }
}
