//! What came of a job, in a sentence: shots accepted, drafts and why.

use greenroom_domain::{Problem, ProblemKind, ShotKey};
use greenroom_proto::v1::{self, job::State};
use std::collections::BTreeMap;

use crate::{
    connection::from_wire,
    failure::{Failure, Outcome},
    names,
};

/// A job that finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The script's title.
    pub(crate) title: String,
    /// Shots in it.
    pub(crate) shots: usize,
    /// Those that were not accepted.
    pub(crate) drafts: Vec<Draft>,
}

/// A shot that went in as its best take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// `2-3`.
    pub(crate) shot: String,
    /// Takes that were tried.
    pub(crate) takes: u32,
    /// What the gate said of the last one.
    pub(crate) reason: String,
}

impl Summary {
    /// Of a job with its tasks; a job that did not finish is a problem.
    pub(crate) fn of(job: &v1::Job) -> Result<Self, Problem> {
        match job.state() {
            State::Done | State::Draft => {}
            State::Failed => return Err(failed(job)),
            State::Cancelled => return Err(unfinished(job, "somebody cancelled it", "push the script again")),
            State::Active | State::Unspecified => {
                return Err(unfinished(job, "it is not finished", "wait for it with `greenroom watch`"));
            }
        }
        let mut last = BTreeMap::<&str, &v1::Task>::new();
        for task in job.tasks.iter().filter(|task| !task.shot.is_empty()) {
            let best = last.entry(&task.shot).or_insert(task);
            if (task.take, task.kind == "validate") >= (best.take, best.kind == "validate") {
                *best = task;
            }
        }
        let mut drafts = Vec::new();
        for shot in &job.draft_shots {
            let task = last.get(&shot[..]);
            drafts.push(Draft {
                shot: shot.clone(),
                takes: task.map_or(0, |task| task.take),
                reason: task.map_or_else(String::new, |task| task.note.clone()),
            });
        }
        drafts.sort_by_key(|draft| draft.shot.parse::<ShotKey>().ok());
        Ok(Self { title: job.title.clone(), shots: last.len(), drafts })
    }

    /// Shots that passed the gate.
    pub(crate) fn accepted(&self) -> usize {
        self.shots.saturating_sub(self.drafts.len())
    }

    /// The exit code's other name.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.drafts.is_empty() { Outcome::Complete } else { Outcome::Drafts }
    }

    /// For a terminal: one line for all, one for each draft.
    pub(crate) fn lines(&self) -> Vec<String> {
        let drafts = match self.drafts.len() {
            0 => String::new(),
            1 => ", 1 is a draft".to_owned(),
            many => format!(", {many} are drafts"),
        };
        let mut lines = match self.shots {
            0 => vec![format!("{}: done", self.title)],
            shots => vec![format!("{}: {} of {shots} shots accepted{drafts}", self.title, self.accepted())],
        };
        for Draft { shot, takes, reason } in &self.drafts {
            let takes = if *takes == 1 { "1 take,".to_owned() } else { format!("{takes} takes, the last") };
            let reason = if reason.is_empty() { "not accepted" } else { reason };
            lines.push(format!("  draft {shot}: {takes} {reason}"));
        }
        lines
    }
}

/// How a watched job ends the command.
pub(crate) fn end(job: &v1::Job) -> Result<Summary, Failure> {
    Summary::of(job).map_err(Failure::from)
}

fn failed(job: &v1::Job) -> Problem {
    let unexplained = || unfinished(job, "it failed", "look at the daemon's log");
    job.problem.as_ref().map_or_else(unexplained, from_wire)
}

fn unfinished(job: &v1::Job, cause: &str, remedy: &str) -> Problem {
    Problem::new(ProblemKind::Unavailable, "finish job", names::last(&job.name), cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::task;

    fn job(state: State, drafts: &[&str]) -> v1::Job {
        v1::Job {
            name: "projects/lab/jobs/job_1".into(),
            title: "Hidden Lab".into(),
            state: state.into(),
            draft_shots: drafts.iter().map(|&shot| shot.into()).collect(),
            tasks: vec![
                task("a", "generate", "1-1", 1, "done", ""),
                task("b", "validate", "1-1", 1, "done", "accepted: MARA p10 IDR 0.84"),
                task("c", "validate", "2-3", 1, "done", "unscored: MARA: no face found in any sampled frame"),
                task("d", "generate", "2-3", 2, "done", ""),
                task("e", "validate", "2-3", 2, "done", "rejected: MARA: p10 IDR 0.61 is below the gate 0.75"),
                task("f", "assemble", "", 0, "done", ""),
            ],
            ..v1::Job::default()
        }
    }

    #[test]
    fn drafts_are_told_with_the_reason_of_their_last_take() {
        let summary = Summary::of(&job(State::Draft, &["2-3"])).unwrap();
        assert_eq!(
            summary.lines(),
            [
                "Hidden Lab: 1 of 2 shots accepted, 1 is a draft",
                "  draft 2-3: 2 takes, the last rejected: MARA: p10 IDR 0.61 is below the gate 0.75"
            ]
        );
        assert_eq!(summary.outcome(), Outcome::Drafts);
    }

    #[test]
    fn a_job_whose_shots_all_passed_is_complete() {
        let summary = Summary::of(&job(State::Done, &[])).unwrap();
        assert_eq!(summary.lines(), ["Hidden Lab: 2 of 2 shots accepted"]);
        assert_eq!(summary.outcome(), Outcome::Complete);
    }

    #[test]
    fn a_failed_job_ends_with_its_problem() {
        let mut job = job(State::Failed, &[]);
        let (step, subject) = ("profile character".into(), "MARA".into());
        let (cause, remedy) = ("2.png: two faces".into(), "crop the picture".into());
        job.problem = Some(v1::Problem { kind: "invalid".into(), step, subject, cause, remedy });
        assert_eq!(Summary::of(&job).unwrap_err().to_string(), "profile character: MARA: 2.png: two faces");
    }

    #[test]
    fn a_cancelled_job_is_not_taken_for_a_finished_one() {
        let problem = Summary::of(&job(State::Cancelled, &[])).unwrap_err();
        assert_eq!(problem.to_string(), "finish job: job_1: somebody cancelled it");
    }
}
