//! What is wrong with a template, as one sentence.

use greenroom_domain::Problem;
use openjd_model::{ModelError, PathElement, ValidationErrors};

/// So many findings are told; the rest is counted.
const TOLD: usize = 3;

/// A template that cannot be used.
pub(crate) fn template(file: &str, error: &ModelError) -> Problem {
    Problem::invalid("read template", file, cause(error), remedy(error))
}

/// Parameters that cannot be used.
pub(crate) fn parameters(file: &str, error: &ModelError) -> Problem {
    let remedy = "give each as --parameter NAME=VALUE, as the template's parameterDefinitions say";
    Problem::invalid("read parameters", file, cause(error), remedy)
}

/// Something that the farm does not do, or no more of.
pub(crate) fn refused(file: &str, cause: impl std::fmt::Display, remedy: &str) -> Problem {
    Problem::invalid("read template", file, cause, remedy)
}

fn cause(error: &ModelError) -> String {
    match error {
        ModelError::ModelValidation(errors) => findings(errors),
        ModelError::DecodeValidation(text) => flat(text),
        other => flat(&other.to_string()),
    }
}

fn remedy(error: &ModelError) -> &'static str {
    let text = error.to_string();
    if text.contains("xtension") {
        return "declare what the template uses under `extensions`: TASK_CHUNKING, REDACTED_ENV_VARS, FEATURE_BUNDLE_1, EXPR or \
                WRAP_ACTIONS; the farm knows no others";
    }
    if text.contains("depend") {
        return "let dependsOn name steps of this template, without a circle";
    }
    "change the template; `openjd check` of Open Job Description's own tools says the same"
}

fn findings(errors: &ValidationErrors) -> String {
    let told = errors.errors.iter().take(TOLD).map(|error| {
        let message = flat(&error.message);
        if error.path.is_empty() { message } else { format!("{}: {message}", place(&error.path)) }
    });
    let mut text = told.collect::<Vec<_>>().join("; ");
    if let Some(more) = errors.errors.len().checked_sub(TOLD).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// `steps[0].script.actions.onRun`
fn place(path: &[PathElement]) -> String {
    let mut text = String::new();
    for part in path {
        match part {
            PathElement::Field(name) if text.is_empty() => text.push_str(name),
            PathElement::Field(name) => text.extend([".", name]),
            PathElement::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// One line without a full stop.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
