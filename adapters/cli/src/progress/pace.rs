//! How much of a job is done and how long the rest will take, judged by what was done so far.

use greenroom_domain::Timestamp;
use std::time::Duration;

use super::Progress;

/// A running task says something about its own length once this far.
const TELLING: f64 = 0.05;

impl Progress {
    /// How much of the work that is known of is done, 0 to 1. Further takes add work.
    pub(crate) fn fraction(&self, now: Timestamp) -> f64 {
        let (mut done, mut all) = (0.0, 0.0);
        for node in &self.nodes {
            let weight = self.length(&node.task.kind, now).map_or(1.0, |length| length.as_secs_f64().max(0.01));
            all += weight;
            done += weight * node.done();
        }
        if all > 0.0 { done / all } else { 0.0 }
    }

    /// Time left for the work that is known of, from how long finished tasks took (or, before any finished, how far a
    /// running one is). None while that says nothing about the takes that are still to be made.
    pub(crate) fn time_left(&self, now: Timestamp) -> Option<Duration> {
        let open = self.nodes.iter().filter(|node| node.done() < 1.0).collect::<Vec<_>>();
        let mut left = Duration::ZERO;
        for node in &open {
            match self.length(&node.task.kind, now) {
                Some(length) => left += length.mul_f64(1.0 - node.done()),
                None if node.task.kind == "generate" => return None,
                None => {}
            }
        }
        let at_once = open.iter().filter(|node| node.task.state == "leased").count().max(1) as u32;
        (!open.is_empty() && left > Duration::ZERO).then(|| left / at_once)
    }

    /// How long a task of this kind takes.
    fn length(&self, kind: &str, now: Timestamp) -> Option<Duration> {
        if let Some(spent) = self.spent.get(kind) {
            return Some(spent.total / spent.tasks);
        }
        let mut running = self.nodes.iter().filter(|node| node.task.kind == kind && node.fraction >= TELLING);
        running.find_map(|node| Some(now.since(node.leased?).div_f64(node.fraction)))
    }
}

/// `1:05`, `2:00:01`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{progress, task, task_event};
    use greenroom_proto::v1::watch_job_response::Update;

    fn heard(updates: &[Update]) -> Progress {
        let mut model = Progress::default();
        updates.iter().for_each(|update| model.hear(update));
        model
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    /// A take whose generation is half done after some seconds, and done after ten.
    fn one_take() -> Vec<Update> {
        vec![
            task_event(0, task("g1", "generate", "1-1", 1, "leased", "")),
            progress("g1", 0.5, "keyframe 3 of 6"),
            task_event(10, task("g1", "generate", "1-1", 1, "done", "")),
        ]
    }

    #[test]
    fn time_left_comes_from_the_tasks_that_finished() {
        let mut story = one_take();
        story.push(task_event(10, task("g9", "generate", "1-2", 1, "ready", "")));
        story.push(task_event(10, task("g8", "generate", "1-3", 1, "leased", "")));
        story.push(progress("g8", 0.5, ""));
        // One whole generation of ten seconds and half of another, one worker.
        assert_eq!(heard(&story).time_left(at(15)), Some(Duration::from_secs(15)));
        assert!((heard(&story).fraction(at(15)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn before_a_generation_finished_its_own_pace_tells_and_before_that_nothing_does() {
        let story = one_take();
        assert_eq!(heard(&story[..1]).time_left(at(4)), None);
        assert_eq!(heard(&story[..2]).time_left(at(4)), Some(Duration::from_secs(4)));
    }

    #[test]
    fn a_reused_task_says_nothing_about_time() {
        let model = heard(&[
            task_event(1, task("g1", "generate", "1-1", 1, "done", "reused")),
            task_event(1, task("g2", "generate", "1-2", 1, "ready", "")),
        ]);
        assert_eq!(model.time_left(at(2)), None);
    }

    #[test]
    fn progress_that_is_no_number_counts_as_none() {
        let mut story = one_take()[..1].to_vec();
        story.push(progress("g1", f32::NAN, ""));
        assert!(heard(&story).fraction(at(4)).abs() < 1e-9);
        assert_eq!(heard(&story).time_left(at(4)), None);
    }

    #[test]
    fn durations_read_as_clocks_do() {
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
        assert_eq!(clock(Duration::from_secs(7201)), "2:00:01");
    }
}
