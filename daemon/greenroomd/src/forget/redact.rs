//! Rows and records as they read without a person.

use greenroom_domain::{
    Breakdown, Digest, Event, EventBody, Job, JobState, Problem, ProblemKind, Prompt, Shot, Spec, Task, TaskOutput,
    TaskState,
};
use greenroom_schedule::ScriptPlan;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

/// What stands where the name of a character's own job stood.
pub(super) const SOMEBODY: &str = "a forgotten character";

/// The same value with other digests in the place of those that go. Whatever the fields are called: a new one is covered on
/// the day it comes.
pub(super) fn renamed<T: Serialize + DeserializeOwned>(
    value: &T,
    others: &BTreeMap<Digest, Digest>,
) -> serde_json::Result<T> {
    let text = serde_json::to_string(value)?;
    serde_json::from_str(&Digest::renamed_in(&text, |digest| others.get(&digest).copied()))
}

/// Whether one of these is in the shot.
pub(super) fn shows(shot: &Shot, names: &BTreeSet<String>) -> bool {
    shot.cast.iter().any(|name| names.contains(name))
}

/// A plan whose shots do not say how the person looks; `mark` keeps plans apart that differed.
pub(super) fn plan(plan: ScriptPlan, names: &BTreeSet<String>, mark: usize) -> ScriptPlan {
    ScriptPlan { breakdown: breakdown(plan.breakdown, names, mark), ..plan }
}

/// The same for a breakdown.
pub(super) fn breakdown(mut breakdown: Breakdown, names: &BTreeSet<String>, mark: usize) -> Breakdown {
    for shot in breakdown.scenes.iter_mut().flat_map(|scene| &mut scene.shots) {
        if shows(shot, names) {
            shot.prompt = prompt(&shot.prompt, mark);
            shot.portraits.clear();
        }
    }
    breakdown
}

/// A task of a shot with the person.
pub(super) fn shot_task(mut task: Task, names: &BTreeSet<String>, mark: usize) -> Task {
    match &mut task.spec {
        Some(Spec::Generate(spec)) => spec.prompt = prompt(&spec.prompt, mark),
        Some(Spec::Repair(spec)) => {
            for face in &mut spec.faces {
                face.prompt = prompt(&face.prompt, mark);
            }
        }
        Some(Spec::Validate(spec)) => spec.captions.clear(),
        _ => {}
    }
    if let TaskState::Done { output: TaskOutput::Verdict { verdict, .. }, .. } = &mut task.state {
        verdict.looks.styles.retain(|style| !names.contains(&style.character));
    }
    task
}

/// A task that was of the person alone: nothing of what it was given or gave.
pub(super) fn own_task(task: Task) -> Task {
    let state = match task.state {
        TaskState::Done { at, seconds, reused, .. } => {
            TaskState::Done { output: TaskOutput::Forgotten, at, seconds, reused }
        }
        TaskState::Failed { at, .. } => TaskState::Failed { problem: problem(), at },
        state => state,
    };
    Task { spec: None, state, ..task }
}

/// The job of such a task. Its request is nobody's any more.
pub(super) fn own_job(job: Job) -> Job {
    let state = match job.state {
        JobState::Failed { at, .. } => JobState::Failed { at, problem: problem() },
        state => state,
    };
    Job { title: SOMEBODY.into(), request: Digest::of(job.id.to_string().as_bytes()), state, ..job }
}

/// An event of such a job.
pub(super) fn own_event(event: Event) -> Event {
    let body = match event.body {
        EventBody::JobCreated { tasks, .. } => EventBody::JobCreated { title: SOMEBODY.into(), tasks },
        EventBody::JobChanged { state: JobState::Failed { at, .. } } => {
            EventBody::JobChanged { state: JobState::Failed { at, problem: problem() } }
        }
        EventBody::TaskChanged { task, kind, shot, take, step, label, state, note: Some(_) } => {
            EventBody::TaskChanged { task, kind, shot, take, step, label, state, note: None }
        }
        body => body,
    };
    Event { body, ..event }
}

fn prompt(old: &Prompt, mark: usize) -> Prompt {
    Prompt { positive: format!("(forgotten {mark})"), negative: old.negative.clone(), people: vec![] }
}

fn problem() -> Problem {
    let remedy = "make a new character";
    Problem::new(ProblemKind::Gone, "profile character", SOMEBODY, "it was forgotten", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_repair_does_not_say_how_the_person_looked() {
        let digest = Digest::of(b"any");
        let looks = json!({"positive": "close shot of a woman with a scar", "negative": ""});
        let task = json!({
            "id": "task_01890000000070008000000000000001", "job": "job_01890000000070008000000000000001",
            "shot": "1-1", "take": 2, "kind": "repair", "epoch": 0, "failures": 0, "created": 0,
            "state": {"state": "ready", "since": 0},
            "spec": {
                "kind": "repair", "pack": digest, "shot": "1-1", "take": 2, "of": 1, "video": digest, "seed": 1,
                "keyframes": {"mode": "still"}, "crop": 2.0, "strength": 0.5, "steps": 16, "guidance": 2.5,
                "faces": [{"character": "MARA", "prompt": looks, "identity": null, "seen": []}],
            },
        });
        let told =
            serde_json::to_string(&shot_task(serde_json::from_value(task).unwrap(), &BTreeSet::new(), 3)).unwrap();
        assert!(told.contains("(forgotten 3)") && !told.contains("scar"), "{told}");
    }
}
