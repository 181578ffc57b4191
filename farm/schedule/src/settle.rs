//! What follows when something of a job has ended: tasks that may start, takes that are tried again, the job's end.

use greenroom_domain::{
    AssembleShot, AssembleSpec, CommandPlan, Job, JobState, Pixels, Shot, Spec, Task, TaskId, TaskKind, TaskOutput,
    TaskState, Timestamp, ValidateSpec, Verdict,
};
use std::collections::BTreeMap;

use crate::{LoraPlan, Remedy, ScriptPlan, best_take, command, lora, retry, takes};

/// Changes that follow. Empty where nothing does: settling twice changes nothing twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Next {
    /// New tasks.
    pub insert: Vec<Task>,
    /// Tasks as they shall be.
    pub update: Vec<Task>,
    /// The job's new state, if it ends.
    pub job: Option<JobState>,
}

/// What a job was made from, where more follows from it than its first tasks.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// A script.
    Script(Box<ScriptPlan>),
    /// A character's next LoRA.
    Lora(Box<LoraPlan>),
    /// Plain commands.
    Command(Box<CommandPlan>),
}

/// Looks at all tasks of a job and says what follows. `plan` is none where nothing does (profiles).
pub fn settle(
    job: &Job,
    plan: Option<&Plan>,
    tasks: &[Task],
    now: Timestamp,
    new_id: &mut dyn FnMut() -> TaskId,
) -> Next {
    if job.state.is_final() {
        return Next::default();
    }
    if let Some(problem) = tasks.iter().find_map(|t| match &t.state {
        TaskState::Failed { problem, .. } => Some(problem.clone()),
        _ => None,
    }) {
        let update = tasks.iter().filter(|t| !t.state.is_final()).map(|t| t.clone().cancel(now)).collect();
        return Next { update, job: Some(JobState::Failed { at: now, problem }), ..Next::default() };
    }
    let mut next = Next::default();
    let script = if let Some(Plan::Script(plan)) = plan { Some(&**plan) } else { None };
    if let Some(plan) = script {
        unlock_validations(plan, tasks, now, &mut next);
        try_again(plan, job, tasks, now, new_id, &mut next);
        unlock_assembly(plan, tasks, now, &mut next);
    }
    if let Some(Plan::Command(plan)) = plan {
        next.insert = command::command_tasks(plan, job.request, tasks, job.id, now, new_id);
    }
    if !tasks.iter().all(|t| t.state.is_final()) {
        return next;
    }
    if let Some(Plan::Lora(plan)) = plan {
        next = lora::follow(plan, tasks, job.id, now, new_id);
    }
    if next.insert.is_empty() {
        next.job = Some(end(script, tasks, now));
    }
    next
}

fn unlock_validations(plan: &ScriptPlan, tasks: &[Task], now: Timestamp, next: &mut Next) {
    for task in tasks.iter().filter(|t| t.kind == TaskKind::Validate) {
        let TaskState::Waiting { on } = &task.state else { continue };
        let take = tasks.iter().find(|t| on.contains(&t.id)).and_then(|t| match t.output() {
            Some(TaskOutput::Take { video, .. }) => Some(*video),
            _ => None,
        });
        let shot = task.shot.and_then(|key| plan.shot(key));
        if let (Some(take), Some(shot)) = (take, shot) {
            let spec = Spec::Validate(ValidateSpec {
                pack: plan.pack,
                shot: shot.key,
                take,
                cast: plan.cast.clone(),
                expected: shot.expected.clone(),
                gate: plan.settings.gate,
                samples: ScriptPlan::samples(),
                captions: captions(shot),
                anchors: plan.settings.anchors.clone(),
            });
            next.update.extend(task.clone().ready(spec, now));
        }
    }
}

/// Whom each caption of a shot describes.
fn captions(shot: &Shot) -> BTreeMap<String, String> {
    if !shot.prompt.people.is_empty() {
        return shot.prompt.people.iter().map(|p| (p.character.clone(), p.positive.clone())).collect();
    }
    let shown = shot.expected.first().map(|name| (name.clone(), shot.prompt.positive.clone()));
    shown.into_iter().collect()
}

fn try_again(
    plan: &ScriptPlan,
    job: &Job,
    tasks: &[Task],
    now: Timestamp,
    new_id: &mut dyn FnMut() -> TaskId,
    next: &mut Next,
) {
    for shot in plan.breakdown.shots() {
        let takes = takes(tasks, shot.key);
        let makes = |t: &&Task| matches!(t.kind, TaskKind::Generate | TaskKind::Repair);
        let started = tasks.iter().filter(|t| t.shot == Some(shot.key)).filter(makes).count();
        if started > takes.len() {
            continue; // a take is still on its way
        }
        let number = takes.len() as u32 + 1;
        let spec = match retry(&takes, plan.settings.retries) {
            None => continue,
            Some(Remedy::NewSeed) => Spec::Generate(plan.generate(shot, number)),
            Some(Remedy::Repair { of }) => {
                let Some(of) = takes.iter().find(|take| take.number == of) else { continue };
                Spec::Repair(plan.repair(shot, number, of))
            }
        };
        next.insert.extend(plan.take(shot, number, spec, job.id, now, new_id));
    }
}

fn unlock_assembly(plan: &ScriptPlan, tasks: &[Task], now: Timestamp, next: &mut Next) {
    let Some((task, waits)) = tasks.iter().find_map(|t| match (&t.state, t.kind) {
        (TaskState::Waiting { on }, TaskKind::Assemble) => Some((t, on)),
        _ => None,
    }) else {
        return;
    };
    let open = tasks.iter().chain(&next.insert).filter(|t| t.kind == TaskKind::Validate && !t.state.is_final());
    let on: std::collections::BTreeSet<_> = open.map(|t| t.id).collect();
    if !on.is_empty() {
        if on != *waits {
            next.update.push(Task { state: TaskState::Waiting { on }, ..task.clone() });
        }
        return;
    }
    let shots = plan
        .breakdown
        .shots()
        .filter_map(|shot| {
            let best = best_take(&takes(tasks, shot.key), plan.diffusion.repair.seed_noise)?;
            Some(AssembleShot {
                shot: shot.key,
                take: best.video,
                take_number: best.number,
                // How they look is told in the report; the episode does not depend on it.
                verdict: Verdict { looks: Box::default(), ..best.verdict.clone() },
                dialogue: shot.dialogue.clone(),
            })
        })
        .collect();
    let spec = Spec::Assemble(AssembleSpec {
        title: plan.breakdown.title.clone(),
        size: Pixels { width: plan.settings.size.0, height: plan.settings.size.1 },
        fps: plan.settings.fps,
        crossfade: plan.settings.crossfade,
        gate: plan.settings.gate,
        shots,
    });
    next.update.extend(task.clone().ready(spec, now));
}

fn end(plan: Option<&ScriptPlan>, tasks: &[Task], now: Timestamp) -> JobState {
    if tasks.iter().any(|t| matches!(t.state, TaskState::Cancelled { .. })) {
        return JobState::Cancelled { at: now };
    }
    let draft =
        |shot: &greenroom_domain::Shot| !takes(tasks, shot.key).iter().any(|take| take.verdict.decision.is_accept());
    let shots: Vec<_> =
        plan.into_iter().flat_map(|p| p.breakdown.shots()).filter(|s| draft(s)).map(|s| s.key).collect();
    if shots.is_empty() { JobState::Done { at: now } } else { JobState::Draft { at: now, shots } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, Story, accepted, rejected, unscored};

    #[test]
    fn a_take_is_validated_once_it_is_there() {
        let mut story = Story::begin(1);
        story.generate("1-1", 1);
        assert_eq!(story.states("validate"), ["ready"]);
    }

    #[test]
    fn a_wrong_face_is_repaired_and_then_tried_again_with_a_new_seed() {
        let mut story = Story::begin(1);
        story.take("1-1", 1, &rejected(0.3));
        assert_eq!(story.states("repair"), ["ready"]);
        story.take("1-1", 2, &rejected(0.5));
        let seeds = story.seeds("1-1");
        assert_eq!(seeds.len(), 2);
        assert_ne!(seeds[0], seeds[1]);
        assert_eq!(story.states("assemble"), ["waiting"]);
        story.take("1-1", 3, &accepted(0.9));
        assert_eq!(story.states("assemble"), ["ready"]);
        assert_eq!(story.assembled()[0].take_number, 3);
    }

    #[test]
    fn a_repair_that_passes_the_gate_is_the_shot() {
        let mut story = Story::begin(1);
        story.take("1-1", 1, &rejected(0.3));
        story.take("1-1", 2, &accepted(0.8));
        let shot = &story.assembled()[0];
        assert_eq!((shot.take_number, shot.is_draft()), (2, false));
        assert_eq!(story.made_by("1-1"), [TaskKind::Generate, TaskKind::Repair]);
    }

    #[test]
    fn the_stored_tasks_tell_again_what_was_decided_and_why() {
        let mut story = Story::begin(1);
        for (take, verdict) in [(1, rejected(0.3)), (2, rejected(0.35)), (3, unscored()), (4, rejected(0.6))] {
            story.take("1-1", take, &verdict);
        }
        let stored = serde_json::to_string(&story.tasks).unwrap();
        let tasks: Vec<Task> = serde_json::from_str(&stored).unwrap();
        let takes = takes(&tasks, "1-1".parse().unwrap());
        let decided = (1..=takes.len()).map(|n| retry(&takes[..n], story.plan.settings.retries));
        let (repair, seed) = (Some(Remedy::Repair { of: 1 }), Some(Remedy::NewSeed));
        assert_eq!(decided.collect::<Vec<_>>(), [repair, seed, seed, None]);
        let (repair, new) = (TaskKind::Repair, TaskKind::Generate);
        assert_eq!(story.made_by("1-1"), [new, repair, new, new], "as it was done");
    }

    #[test]
    fn after_three_rounds_the_best_take_goes_in_as_a_draft() {
        let mut story = Story::begin(2);
        story.take("1-1", 1, &accepted(0.9));
        for (take, verdict) in [(1, rejected(0.3)), (2, rejected(0.6)), (3, unscored()), (4, rejected(0.5))] {
            assert_eq!(story.states("assemble"), ["waiting"]);
            story.take("1-2", take, &verdict);
        }
        let shots = story.assembled();
        assert_eq!((shots[0].is_draft(), shots[1].is_draft(), shots[1].take_number), (false, true, 2));
        story.assemble();
        assert!(matches!(&story.job.state, JobState::Draft { shots, .. } if shots == &["1-2".parse().unwrap()]));
    }

    #[test]
    fn a_task_that_failed_for_good_ends_the_job_and_stops_the_rest() {
        let mut story = Story::begin(2);
        story.fail("1-1", 1);
        assert_eq!(story.job.state.name(), "failed");
        assert!(story.tasks.iter().all(|t| t.state.is_final()));
    }

    #[test]
    fn settling_twice_changes_nothing_twice() {
        let mut story = Story::begin(2);
        story.take("1-1", 1, &rejected(0.3));
        let plan = Plan::Script(Box::new(story.plan.clone()));
        let next = settle(&story.job, Some(&plan), &story.tasks, fixture::NOW, &mut fixture::ids());
        assert_eq!(next, Next::default());
    }

    #[test]
    fn a_profile_job_is_done_when_its_task_is() {
        let mut story = Story::profile();
        story.finish_profile();
        assert_eq!(story.job.state.name(), "done");
    }
}
