//! The one module that prints: results to standard output, bars and problems to standard error.
#![expect(clippy::print_stderr, reason = "this is the module that prints")]

mod bars;
mod lines;

use greenroom_domain::{Problem, Timestamp};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{
    io::{self, Write as _},
    time::Duration,
};

use crate::{
    environment::{self, Environment},
    failure::Failure,
    follow::Heard,
    json,
    progress::{Progress, clock},
};

/// Where and how a command speaks.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    json: bool,
    live: bool,
    asks: bool,
}

/// A job as it is shown while it is done.
#[derive(Debug)]
pub(crate) struct JobView {
    model: Progress,
    show: Show,
}

#[derive(Debug)]
enum Show {
    /// On a terminal: one bar for each shot.
    Bars(Box<bars::Bars>),
    /// Elsewhere: one line for each thing that happened.
    Lines(lines::Lines),
    /// One document for each update.
    Json,
    /// Not at all.
    Nothing,
}

impl Output {
    /// As flags and terminals have it.
    pub(crate) fn new(json: bool, environment: &Environment) -> Self {
        console::set_colors_enabled(environment.colour);
        console::set_colors_enabled_stderr(environment.colour && environment.live);
        Self { json, live: environment.live && !json, asks: environment.asks && !json }
    }

    /// Whether programs read this.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The answer: a document for programs, lines for people.
    pub(crate) fn answer(&self, document: &Value, lines: &[String]) {
        if self.json {
            print(&format!("{document:#}"));
        } else {
            self.say(lines);
        }
    }

    /// Lines for people; nothing where programs read.
    pub(crate) fn say(&self, lines: &[String]) {
        if !self.json {
            for line in lines {
                print(line);
            }
        }
    }

    /// One of many answers, as it comes: one line for programs.
    pub(crate) fn line(&self, document: &Value, lines: &[String]) {
        if self.json {
            print(&document.to_string());
        } else {
            self.say(lines);
        }
    }

    /// Text as it is, for people and programs.
    pub(crate) fn raw(&self, text: &str) {
        print(text.trim_end());
    }

    /// Something by the way: not the answer, and no problem.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            eprintln!("{} {text}", console::style("note:").for_stderr().cyan());
        }
    }

    /// Something that a person must know before they use the answer. Programs find it in the document.
    pub(crate) fn warning(&self, text: &str) {
        eprintln!("{} {text}", console::style("warning:").for_stderr().yellow().bold());
    }

    /// Asks somebody who sits there, and answers whether they said yes; none where nobody can be asked.
    pub(crate) fn ask(&self, question: &str) -> Option<bool> {
        if !self.asks {
            return None;
        }
        eprint!("{} [y/N] ", console::style(question).for_stderr().bold());
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        Some(read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// How a command failed; for programs one line, as it may follow the lines of a watch.
    pub(crate) fn failure(&self, failure: &Failure) {
        match failure {
            Failure::Interrupted if self.json => print(&json!({"interrupted": true}).to_string()),
            Failure::Interrupted => eprintln!("interrupted"),
            Failure::Problem(problem) if self.json => print(&json!({"error": json::problem(problem)}).to_string()),
            Failure::Problem(problem) => {
                for (head, text) in problem_lines(problem) {
                    eprintln!("{}{text}", console::style(head).for_stderr().red().bold());
                }
            }
        }
    }

    /// A bar over bytes, for as long as files are sent; hidden where nobody looks.
    pub(crate) fn bytes(&self, what: &str, total: u64) -> ProgressBar {
        let template = "{prefix:>12} {bar:24.cyan/dim} {bytes} of {total_bytes} {msg}";
        self.bar(what, total, template)
    }

    /// A bar over files.
    pub(crate) fn files(&self, what: &str, total: usize) -> ProgressBar {
        self.bar(what, total as u64, "{prefix:>12} {bar:24.cyan/dim} {pos} of {len} {msg}")
    }

    /// A view of a job that is being done.
    pub(crate) fn job(&self) -> JobView {
        let show = match (self.json, self.live) {
            (true, _) => Show::Json,
            (false, true) => Show::Bars(Box::default()),
            (false, false) => Show::Lines(lines::Lines::default()),
        };
        JobView { model: Progress::default(), show }
    }

    /// The same, but without events where a program waits for one document.
    pub(crate) fn job_in_passing(&self) -> JobView {
        let view = self.job();
        if self.json { JobView { show: Show::Nothing, ..view } } else { view }
    }

    fn bar(&self, what: &str, total: u64, template: &str) -> ProgressBar {
        if !self.live {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template).map(|style| style.progress_chars("━━─"));
        let bar = ProgressBar::new(total).with_prefix(what.to_owned());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    }
}

impl JobView {
    /// Shows what was heard.
    pub(crate) fn hear(&mut self, heard: &Heard<'_>) {
        match heard {
            Heard::Update(update) => {
                self.model.hear(update);
                match &mut self.show {
                    Show::Bars(bars) => bars.show(&self.model, environment::now()),
                    Show::Lines(lines) => lines.hear(update).iter().for_each(|line| print(line)),
                    Show::Json => print(&json::update(update).to_string()),
                    Show::Nothing => {}
                }
            }
            Heard::Lost { wait } => {
                let words = format!("the connection is lost; trying again in {:.1} s", wait.as_secs_f64());
                match &self.show {
                    Show::Bars(bars) => bars.say(&words),
                    Show::Lines(_) => print(&words),
                    Show::Json | Show::Nothing => {}
                }
            }
        }
    }

    /// Leaves the last state standing.
    pub(crate) fn close(self) {
        if let Show::Bars(bars) = self.show {
            bars.close();
        }
    }
}

/// A line on standard output.
fn print(line: &str) {
    // Whoever read it may have gone, as `head` does: no reason to stop what is being done.
    let _ = writeln!(io::stdout(), "{line}");
}

/// `error: read script: empty.fountain: the file is empty`, then what to try.
fn problem_lines(problem: &Problem) -> Vec<(&'static str, String)> {
    let mut lines = vec![("error: ", problem.to_string())];
    if !problem.remedy.is_empty() {
        lines.push(("  try: ", problem.remedy.clone()));
    }
    lines
}

/// `7 of 8 shots accepted, 1:05 left`.
fn overall(model: &Progress, now: Timestamp) -> String {
    let left = model.time_left(now).map(|left| left + Duration::from_millis(500));
    let left = left.map(|left| format!("{} left", clock(left)));
    let shots = match model.shots() {
        (_, 0) => None,
        (accepted, all) => Some(format!("{accepted} of {all} shots accepted")),
    };
    let waits = model.waits().then(|| "waiting for a worker".to_owned());
    shots.into_iter().chain(left).chain(waits).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{job_event, progress, task, task_event};
    use greenroom_proto::v1::job::State;

    #[test]
    fn a_problem_is_told_as_a_sentence_and_what_to_try() {
        let remedy = "write at least one scene heading, such as INT. LAB - NIGHT";
        let problem = Problem::invalid("read script", "empty.fountain", "the file is empty", remedy);
        let told = problem_lines(&problem).iter().map(|(head, text)| format!("{head}{text}\n")).collect::<String>();
        assert_eq!(
            told,
            "error: read script: empty.fountain: the file is empty\n  try: write at least one scene heading, such as \
             INT. LAB - NIGHT\n"
        );
    }

    #[test]
    fn the_last_line_counts_shots_and_time() {
        let mut model = Progress::default();
        let updates = [
            job_event(0, "Lab", State::Active, &[]),
            task_event(0, task("a", "generate", "1-1", 1, "leased", "")),
            task_event(0, task("b", "validate", "1-1", 1, "waiting", "")),
            progress("a", 0.25, ""),
        ];
        updates.iter().for_each(|update| model.hear(update));
        assert_eq!(overall(&model, Timestamp::from_millis(30_000)), "0 of 1 shots accepted, 1:30 left");
    }
}
