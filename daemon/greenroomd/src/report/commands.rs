//! The report of a job of commands: its steps, their tasks, and what these left.

use greenroom_domain::{
    CommandFile, Digest, Job, JobState, Problem, ProblemKind, Project, Spec, Task, TaskOutput, TaskState,
};
use maud::{DOCTYPE, html};
use serde::Serialize;
use std::collections::BTreeMap;

use super::{Built, Head, html as page};
use crate::ledger::LedgerError;

/// The report. Fields are only ever added; `version` grows when one changes its meaning.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    head: Head,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    steps: Vec<Step>,
    timings: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize)]
struct Step {
    name: String,
    tasks: Vec<One>,
}

#[derive(Debug, Serialize)]
struct One {
    parameters: String,
    state: &'static str,
    attempts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    files: Vec<CommandFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// Reads the report off the tasks that there are. Steps that never began have none.
pub(super) fn build(project: &Project, job: &Job, tasks: &[Task]) -> Result<Built, LedgerError> {
    let mut ordered: Vec<_> = tasks
        .iter()
        .filter_map(|task| match &task.spec {
            Some(Spec::Command(spec)) => Some((spec, task)),
            _ => None,
        })
        .collect();
    ordered.sort_by_key(|(spec, _)| (spec.place, spec.index));
    let (mut steps, mut files, mut logs) = (Vec::<Step>::new(), BTreeMap::new(), Vec::new());
    for (spec, task) in ordered {
        if steps.last().is_none_or(|step| step.name != spec.step) {
            steps.push(Step { name: spec.step.clone(), tasks: vec![] });
        }
        let mut one = one(&spec.label, task);
        if let Some(TaskOutput::Command { files: left, log, .. }) = task.output() {
            let path = format!("logs/{}/{}.log", plain(&spec.step), spec.index + 1);
            one.log = Some(path.clone());
            logs.push((path, *log));
            // Where two wrote the same, the later one counts, as it does for the steps after them.
            files.extend(left.iter().map(|file| (file.path.clone(), file.digest)));
        }
        if let Some(step) = steps.last_mut() {
            step.tasks.push(one);
        }
    }
    let problem = match &job.state {
        JobState::Failed { problem, .. } => Some(problem.clone()),
        _ => None,
    };
    let report = Report { head: Head::of(project, job), problem, steps, timings: super::timings(tasks) };
    let json = serde_json::to_string_pretty(&report)
        .map_err(|e| Problem::new(ProblemKind::Internal, "write report", &job.title, e, "report this as a bug"))?;
    let files: Vec<(String, Digest)> = files.into_iter().chain(logs).collect();
    Ok(Built { json, html: show(&report), files })
}

fn one(label: &str, task: &Task) -> One {
    let (seconds, problem) = match &task.state {
        TaskState::Done { seconds, .. } => (Some(*seconds), None),
        TaskState::Failed { problem, .. } => (None, Some(problem.clone())),
        _ => (None, None),
    };
    let files = match task.output() {
        Some(TaskOutput::Command { files, .. }) => files.clone(),
        _ => vec![],
    };
    let (state, attempts) = (task.state.name(), task.epoch.0);
    One { parameters: label.to_owned(), state, attempts, seconds, log: None, files, problem }
}

/// A step's name as a folder is called: a template may call it anything.
fn plain(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || "-_ .".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).collect();
    if name.trim_matches('.').is_empty() { "_".to_owned() } else { name }
}

fn show(report: &Report) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            (page::head(&report.head.title))
            body {
                header {
                    h1 { (report.head.title) }
                    p.state.(if report.head.state == "done" { "pass" } else { "fail" }) { (report.head.state) }
                    @if let Some(problem) = &report.problem { p.reason { (problem.to_string()) } }
                    p.small { "Project " (report.head.project) " · job " (report.head.job) }
                }
                @for step in &report.steps {
                    section {
                        h2 { (step.name) }
                        table.style {
                            @for task in &step.tasks {
                                tr {
                                    td { (task.parameters) }
                                    td { (task.state) @if task.attempts > 1 { " after " (task.attempts) " attempts" } }
                                    td.number { @if let Some(seconds) = task.seconds { (format!("{seconds:.1} s")) } }
                                    td {
                                        @for file in &task.files { a href=(file.path) { (file.path) } " " }
                                        @if let Some(log) = &task.log { a href=(log) { "log" } }
                                        @if let Some(problem) = &task.problem { (problem.cause) }
                                    }
                                }
                            }
                        }
                    }
                }
                section { h2 { "Where the time went" } (page::timings(&report.timings)) }
            }
        }
    }
    .into_string()
}
