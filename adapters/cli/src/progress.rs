//! A job as it is being done: events in, a view out. Pure; bars and lines are made of it elsewhere.

mod pace;
mod steps;

use greenroom_domain::{ShotKey, Timestamp};
use greenroom_proto::v1::{self, event::Body, job::State, watch_job_response::Update};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub(crate) use pace::clock;

/// Everything heard about a job so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    title: String,
    state: State,
    drafts: BTreeSet<String>,
    nodes: Vec<Node>,
    spent: BTreeMap<String, Spent>,
}

/// A task and how far it is.
#[derive(Clone, Debug)]
struct Node {
    task: v1::Task,
    fraction: f64,
    message: String,
    leased: Option<Timestamp>,
}

/// What finished tasks of one kind took.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    tasks: u32,
    total: Duration,
}

/// One line of the view: a shot, or a task that belongs to none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// `2-3`, `assemble`.
    pub(crate) label: String,
    /// 1 for the first, 0 where it does not apply.
    pub(crate) take: u32,
    /// Where it stands.
    pub(crate) stage: Stage,
    /// 0 to 1.
    pub(crate) fraction: f64,
    /// What there is to say.
    pub(crate) text: String,
}

/// Where a shot stands.
///
/// ```text
/// Waiting ──► Making ──► Checking ──┬──► Accepted
///                ▲                  └──► Rejected ──► Draft   (no take left)
///                └──────── next take ───────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing runs yet.
    Waiting,
    /// Its task runs.
    Making,
    /// The gate looks at it.
    Checking,
    /// Passed the gate, or simply done.
    Accepted,
    /// The last take did not pass.
    Rejected,
    /// Goes in marked.
    Draft,
    /// A task failed or was cancelled.
    Stopped,
}

/// A take is made for so long before it is looked at; only the bar of one shot depends on it.
const MAKING: f64 = 0.9;

impl Progress {
    /// Takes in what was heard.
    pub(crate) fn hear(&mut self, update: &Update) {
        match update {
            Update::Progress(progress) => {
                if let Some(node) = self.nodes.iter_mut().find(|node| node.task.uid == progress.task) {
                    // The last one also turns what is not a number into nothing.
                    node.fraction = f64::from(progress.fraction).clamp(0.0, 1.0).max(0.0);
                    node.message.clone_from(&progress.message);
                }
            }
            Update::Event(event) => {
                let at = event.time.map_or(Timestamp::from_millis(0), |time| {
                    Timestamp::from_millis(time.seconds * 1000 + i64::from(time.nanos) / 1_000_000)
                });
                match &event.body {
                    Some(Body::Task(task)) => self.task(task, at),
                    Some(Body::Job(job)) => self.job(job),
                    None => {}
                }
            }
        }
    }

    /// The script's title.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Every shot in the order of the script, then tasks that belong to none. The breakdown takes no time to speak of.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let shots = self.nodes.iter().map(|node| &node.task.shot[..]).filter(|shot| !shot.is_empty());
        let mut shots = shots.collect::<Vec<_>>();
        shots.sort_by_key(|shot| shot.parse::<ShotKey>().ok());
        shots.dedup();
        let rest = self.nodes.iter().filter(|node| node.task.shot.is_empty() && node.task.kind != "breakdown");
        let (steps, rest): (Vec<_>, Vec<_>) = rest.partition(|node| !node.task.step.is_empty());
        let shots = shots.into_iter().map(|shot| self.shot(shot));
        shots.chain(steps::rows(&steps)).chain(rest.into_iter().map(Node::row)).collect()
    }

    /// Shots that passed, and all shots.
    pub(crate) fn shots(&self) -> (usize, usize) {
        let shots = self.rows().into_iter().filter(|row| row.label.parse::<ShotKey>().is_ok()).collect::<Vec<_>>();
        (shots.iter().filter(|row| row.stage == Stage::Accepted).count(), shots.len())
    }

    /// Whether work is there to be done and nobody does it.
    pub(crate) fn waits(&self) -> bool {
        let any = |state: &str| self.nodes.iter().any(|node| node.task.state == state);
        any("ready") && !any("leased")
    }

    fn task(&mut self, task: &v1::Task, at: Timestamp) {
        let index = self.nodes.iter().position(|node| node.task.uid == task.uid).unwrap_or_else(|| {
            self.nodes.push(Node { task: task.clone(), fraction: 0.0, message: String::new(), leased: None });
            self.nodes.len() - 1
        });
        let node = &mut self.nodes[index];
        if node.task.state != task.state || task.state == "leased" {
            (node.fraction, node.message) = (0.0, String::new());
        }
        match (&task.state[..], node.leased.take()) {
            ("leased", _) => node.leased = Some(at),
            ("done", Some(since)) => {
                let spent = self.spent.entry(task.kind.clone()).or_default();
                spent.tasks += 1;
                spent.total += at.since(since);
            }
            _ => {}
        }
        node.task = task.clone();
    }

    /// The tasks that a job event shows are as they stand now, not as they stood then; each has events of its own.
    fn job(&mut self, job: &v1::Job) {
        self.title.clone_from(&job.title);
        self.state = job.state();
        self.drafts = job.draft_shots.iter().cloned().collect();
    }

    fn shot(&self, shot: &str) -> Row {
        let of_shot = || self.nodes.iter().filter(|node| node.task.shot == shot);
        let take = of_shot().map(|node| node.task.take).max().unwrap_or(0);
        let node = |kind| of_shot().find(|node| node.task.take == take && node.task.kind == kind);
        let label = shot.to_owned();
        let stopped = of_shot().find(|node| matches!(&node.task.state[..], "failed" | "cancelled"));
        let (stage, fraction, text) = match (node("generate").or_else(|| node("repair")), node("validate")) {
            _ if stopped.is_some() => (Stage::Stopped, 0.0, stopped.map_or_else(String::new, Node::words)),
            (_, Some(check)) if check.task.state == "done" => (self.verdict(&check.task), 1.0, check.task.note.clone()),
            (_, Some(check)) if check.task.state == "leased" => {
                (Stage::Checking, MAKING + (1.0 - MAKING) * check.fraction, check.words())
            }
            (Some(make), _) if make.task.state == "done" => {
                (Stage::Checking, MAKING, "waiting for its check".to_owned())
            }
            (Some(make), _) if make.task.state == "leased" => (Stage::Making, MAKING * make.fraction, make.words()),
            _ => (Stage::Waiting, 0.0, self.before(shot, take)),
        };
        Row { label, take, stage, fraction, text }
    }

    /// What was said of the take before this one.
    fn before(&self, shot: &str, take: u32) -> String {
        let check = |node: &&Node| node.task.shot == shot && node.task.kind == "validate" && node.task.take + 1 == take;
        self.nodes.iter().find(check).map_or_else(|| "waiting".to_owned(), |node| node.task.note.clone())
    }

    fn verdict(&self, check: &v1::Task) -> Stage {
        if self.drafts.contains(&check.shot) {
            Stage::Draft
        } else if self.state == State::Done || self.state == State::Draft || is_accept(&check.note) {
            Stage::Accepted
        } else {
            Stage::Rejected
        }
    }
}

/// Whether a validate task's note tells an accepted take.
fn is_accept(note: &str) -> bool {
    note.starts_with("accept")
}

impl Node {
    fn done(&self) -> f64 {
        match &self.task.state[..] {
            "done" | "failed" | "cancelled" => 1.0,
            "leased" => self.fraction,
            _ => 0.0,
        }
    }

    fn row(&self) -> Row {
        let stage = match &self.task.state[..] {
            "done" => Stage::Accepted,
            "leased" => Stage::Making,
            "failed" | "cancelled" => Stage::Stopped,
            _ => Stage::Waiting,
        };
        let fraction = if stage == Stage::Stopped { 0.0 } else { self.done() };
        Row { label: self.task.kind.clone(), take: 0, stage, fraction, text: self.words() }
    }

    /// What it does now, or how it ended.
    fn words(&self) -> String {
        let said = if self.task.state == "leased" { &self.message } else { &self.task.note };
        match (&self.task.state[..], &self.task.kind[..]) {
            _ if !said.is_empty() => said.clone(),
            ("leased", "generate") => "generating".to_owned(),
            ("leased", "repair") => "repairing".to_owned(),
            ("leased", "validate") => "checking faces".to_owned(),
            ("leased", "profile") => "looking at the references".to_owned(),
            ("leased", "calibrate") => "comparing with strangers".to_owned(),
            ("leased", "command") => "running".to_owned(),
            ("leased", "assemble") => "cutting clips together".to_owned(),
            (state, _) => state.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{job_event, progress, task, task_event};

    fn heard(updates: &[Update]) -> Progress {
        let mut model = Progress::default();
        for update in updates {
            model.hear(update);
        }
        model
    }

    fn shot_row(updates: &[Update]) -> (u32, Stage, String) {
        let row = heard(updates).rows().remove(0);
        (row.take, row.stage, row.text)
    }

    /// One shot whose first take is rejected and whose second is accepted.
    fn two_takes() -> Vec<Update> {
        vec![
            task_event(0, task("g1", "generate", "1-1", 1, "leased", "")),
            progress("g1", 0.5, "keyframe 3 of 6"),
            task_event(10, task("g1", "generate", "1-1", 1, "done", "")),
            task_event(10, task("v1", "validate", "1-1", 1, "leased", "")),
            task_event(12, task("v1", "validate", "1-1", 1, "done", "MARA: p10 IDR 0.61 is below the gate 0.75")),
            task_event(12, task("g2", "generate", "1-1", 2, "ready", "")),
            task_event(12, task("v2", "validate", "1-1", 2, "waiting", "")),
            task_event(13, task("g2", "generate", "1-1", 2, "leased", "")),
            task_event(23, task("g2", "generate", "1-1", 2, "done", "")),
            task_event(24, task("v2", "validate", "1-1", 2, "done", "accepted: MARA p10 IDR 0.84")),
        ]
    }

    #[test]
    fn a_shot_goes_from_making_to_checking_to_its_next_take() {
        let story = two_takes();
        let after = |count: usize| shot_row(&story[..count]);
        assert_eq!(after(1), (1, Stage::Making, "generating".into()));
        assert_eq!(after(2), (1, Stage::Making, "keyframe 3 of 6".into()));
        assert_eq!(after(3), (1, Stage::Checking, "waiting for its check".into()));
        assert_eq!(after(4), (1, Stage::Checking, "checking faces".into()));
        assert_eq!(after(5).1, Stage::Rejected);
        assert_eq!(after(7), (2, Stage::Waiting, "MARA: p10 IDR 0.61 is below the gate 0.75".into()));
        assert_eq!(after(10), (2, Stage::Accepted, "accepted: MARA p10 IDR 0.84".into()));
    }

    #[test]
    fn a_repair_is_shown_as_the_making_of_its_take() {
        let mut story = two_takes()[..5].to_vec();
        story.push(task_event(12, task("r2", "repair", "1-1", 2, "leased", "repairing MARA in take 1")));
        story.push(progress("r2", 0.5, "MARA: face 2 of 4"));
        assert_eq!(shot_row(&story), (2, Stage::Making, "MARA: face 2 of 4".into()));
        story.push(task_event(14, task("r2", "repair", "1-1", 2, "done", "")));
        assert_eq!(shot_row(&story), (2, Stage::Checking, "waiting for its check".into()));
    }

    #[test]
    fn the_bar_of_a_shot_never_goes_back_within_a_take() {
        let story = two_takes();
        let fractions = (1..=5).map(|count| heard(&story[..count]).rows()[0].fraction).collect::<Vec<_>>();
        assert_eq!(fractions, [0.0, 0.45, 0.9, 0.9, 1.0]);
    }

    #[test]
    fn a_draft_is_shown_as_one_however_its_verdict_reads() {
        let mut story = two_takes()[..5].to_vec();
        story.push(job_event(30, "Lab", State::Draft, &["1-1"]));
        assert_eq!(shot_row(&story).1, Stage::Draft);
        assert_eq!(heard(&story).shots(), (0, 1));
    }

    #[test]
    fn shots_stand_in_the_order_of_the_script_and_the_assembly_last() {
        let labels = ["assemble", "10-1", "2-1", "2-10", "2-9"].map(|label| match label {
            "assemble" => task_event(0, task("a", "assemble", "", 0, "waiting", "")),
            shot => task_event(0, task(shot, "generate", shot, 1, "ready", "")),
        });
        let rows = heard(&labels).rows().into_iter().map(|row| row.label).collect::<Vec<_>>();
        assert_eq!(rows, ["2-1", "2-9", "2-10", "10-1", "assemble"]);
    }

    #[test]
    fn work_that_nobody_does_is_noticed() {
        let ready = task_event(1, task("g1", "generate", "1-1", 1, "ready", ""));
        let leased = task_event(2, task("g1", "generate", "1-1", 1, "leased", ""));
        assert!(heard(std::slice::from_ref(&ready)).waits());
        assert!(!heard(&[ready, leased]).waits());
    }
}
