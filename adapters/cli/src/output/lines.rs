//! A job as plain lines: one for each thing that happened, for logs and pipes.

use greenroom_proto::v1::{self, event::Body, job::State, watch_job_response::Update};
use std::collections::HashMap;

use crate::json;

/// Remembers what was said, so that nothing is said twice.
#[derive(Debug, Default)]
pub(super) struct Lines {
    said: HashMap<String, String>,
}

impl Lines {
    /// The lines that an update is worth.
    pub(super) fn hear(&mut self, update: &Update) -> Vec<String> {
        let Update::Event(event) = update else { return Vec::new() };
        match &event.body {
            Some(Body::Job(job)) => vec![format!("{}: {}", job.title, job_words(job))],
            Some(Body::Task(task)) => self.task(task).into_iter().collect(),
            None => Vec::new(),
        }
    }

    fn task(&mut self, task: &v1::Task) -> Option<String> {
        let words = task_words(task)?;
        let old = self.said.insert(task.uid.clone(), words.clone());
        if old.as_ref() == Some(&words) {
            return None;
        }
        Some(match task.shot.is_empty() {
            true if !task.step.is_empty() => format!("{} {}  {words}", task.step, task.label),
            true => format!("{:<8}         {words}", task.kind),
            false => format!("{:<8} take {}  {words}", task.shot, task.take),
        })
    }
}

/// Nothing for what need not be said: that a task waits, or that a take is made and will be looked at.
fn task_words(task: &v1::Task) -> Option<String> {
    let again = if task.attempts > 1 { format!(", attempt {}", task.attempts) } else { String::new() };
    Some(match (&task.state[..], &task.kind[..]) {
        ("leased", "generate" | "repair") if !task.note.is_empty() => format!("{}{again}", task.note),
        ("leased", "generate") => format!("generating{again}"),
        ("leased", "repair") => format!("repairing{again}"),
        ("leased", "validate") => format!("checking faces{again}"),
        ("leased", "profile") => format!("looking at the references{again}"),
        ("leased", "calibrate") => format!("comparing with strangers{again}"),
        ("leased", "command") => format!("running{again}"),
        ("leased", "assemble") => format!("cutting clips together{again}"),
        ("done", "validate") => task.note.clone(),
        ("done", "generate" | "repair" | "breakdown") if task.note.is_empty() => return None,
        ("done", _) if task.note.is_empty() => "done".to_owned(),
        ("done", _) => format!("done, {}", task.note),
        ("failed", _) => format!("failed: {}", task.note),
        ("cancelled", _) => "cancelled".to_owned(),
        _ => return None,
    })
}

fn job_words(job: &v1::Job) -> String {
    match job.state() {
        State::Active => "pushed".to_owned(),
        State::Draft => format!("finished with drafts: {}", job.draft_shots.join(", ")),
        _ => json::job_state(job),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{job_event, progress, task, task_event};

    #[test]
    fn a_job_reads_as_a_log() {
        let updates = [
            job_event(0, "Hidden Lab", State::Active, &[]),
            task_event(1, task("b", "breakdown", "", 0, "done", "")),
            task_event(1, task("g", "generate", "1-1", 1, "ready", "")),
            task_event(2, task("g", "generate", "1-1", 1, "leased", "")),
            progress("g", 0.5, "keyframe 3 of 6"),
            task_event(3, task("g", "generate", "1-1", 1, "done", "")),
            task_event(4, task("v", "validate", "1-1", 1, "leased", "")),
            task_event(
                5,
                task("v", "validate", "1-1", 1, "done", "unscored: MARA: no face found in any sampled frame"),
            ),
            task_event(6, task("h", "generate", "1-1", 2, "leased", "a new seed")),
            task_event(
                6,
                task("x", "validate", "1-1", 2, "done", "rejected: MARA: p10 IDR 0.61 is below the gate 0.75"),
            ),
            task_event(6, task("r", "repair", "1-1", 3, "leased", "repairing MARA in take 2")),
            task_event(6, task("r", "repair", "1-1", 3, "done", "")),
            task_event(6, task("w", "validate", "1-1", 3, "done", "accepted: MARA p10 IDR 0.84")),
            task_event(7, task("w", "validate", "1-1", 3, "done", "accepted: MARA p10 IDR 0.84")),
            task_event(8, task("a", "assemble", "", 0, "done", "reused")),
            job_event(9, "Hidden Lab", State::Draft, &["2-3", "3-1"]),
        ];
        let mut lines = Lines::default();
        let said = updates.iter().flat_map(|update| lines.hear(update)).collect::<Vec<_>>();
        let expected = [
            "Hidden Lab: pushed",
            "1-1      take 1  generating",
            "1-1      take 1  checking faces",
            "1-1      take 1  unscored: MARA: no face found in any sampled frame",
            "1-1      take 2  a new seed",
            "1-1      take 2  rejected: MARA: p10 IDR 0.61 is below the gate 0.75",
            "1-1      take 3  repairing MARA in take 2",
            "1-1      take 3  accepted: MARA p10 IDR 0.84",
            "assemble         done, reused",
            "Hidden Lab: finished with drafts: 2-3, 3-1",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_task_that_is_tried_again_says_so() {
        let mut task = task("g", "generate", "1-1", 1, "leased", "");
        task.attempts = 2;
        let said = Lines::default().hear(&task_event(0, task));
        assert_eq!(said, ["1-1      take 1  generating, attempt 2"]);
    }
}
