//! What follows when something of a job has ended: tasks that may start, takes that are tried again, the job's end.

use greenroom_domain::{
    AssembleShot, AssembleSpec, Decision, Job, JobState, Pixels, ShotKey, Spec, Task, TaskId, TaskKind, TaskOutput,
    TaskState, Timestamp, ValidateSpec, Verdict,
};

use crate::{Remedy, ScriptPlan, retry};

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

/// Looks at all tasks of a job and says what follows. `plan` is none for jobs that are no scripts (profiles).
pub fn settle(
    job: &Job,
    plan: Option<&ScriptPlan>,
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
    if let Some(plan) = plan {
        unlock_validations(plan, tasks, now, &mut next);
        try_again(plan, job, tasks, now, new_id, &mut next);
        unlock_assembly(plan, tasks, now, &mut next);
    }
    if tasks.iter().all(|t| t.state.is_final()) && next.insert.is_empty() {
        next.job = Some(end(plan, tasks, now));
    }
    next
}

/// The verdicts of a shot's takes, oldest first, with the take's video.
fn takes(tasks: &[Task], shot: ShotKey) -> Vec<(u32, &Verdict, greenroom_domain::Digest)> {
    let mut takes: Vec<_> = tasks
        .iter()
        .filter(|t| t.shot == Some(shot) && t.kind == TaskKind::Validate)
        .filter_map(|t| match (t.output(), &t.spec) {
            (Some(TaskOutput::Verdict { verdict, .. }), Some(Spec::Validate(spec))) => {
                Some((t.take?, verdict, spec.take))
            }
            _ => None,
        })
        .collect();
    takes.sort_by_key(|&(number, ..)| number);
    takes
}

/// The take that goes into the episode: the accepted one, else the one that came nearest. Nearness is the mean p10 IDR of
/// the expected characters, a face that was not found counting as −1; of equals the earliest.
#[must_use]
pub fn best_take(tasks: &[Task], shot: ShotKey) -> Option<(u32, Verdict, greenroom_domain::Digest)> {
    let takes = takes(tasks, shot);
    let nearness = |v: &Verdict| {
        let p10: Vec<f32> =
            v.characters.iter().filter(|c| c.expected).map(|c| c.p10.map_or(-1.0, |idr| idr.0)).collect();
        p10.iter().sum::<f32>() / p10.len().max(1) as f32
    };
    takes
        .into_iter()
        .rev()
        .max_by(|(_, a, _), (_, b, _)| {
            a.decision.is_accept().cmp(&b.decision.is_accept()).then(nearness(a).total_cmp(&nearness(b)))
        })
        .map(|(number, verdict, video)| (number, verdict.clone(), video))
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
            });
            next.update.extend(task.clone().ready(spec, now));
        }
    }
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
        let started = tasks.iter().filter(|t| t.shot == Some(shot.key) && t.kind == TaskKind::Generate).count();
        if started > takes.len() {
            continue; // a take is still on its way
        }
        let verdicts: Vec<_> = takes.iter().map(|&(_, verdict, _)| verdict).collect();
        match retry(&verdicts, plan.settings.retries) {
            Some(Remedy::NewSeed) => {
                next.insert.extend(plan.take(shot, verdicts.len() as u32 + 1, job.id, now, new_id));
            }
            None => {}
        }
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
            let (take_number, verdict, take) = best_take(tasks, shot.key)?;
            Some(AssembleShot { shot: shot.key, take, take_number, verdict, dialogue: shot.dialogue.clone() })
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
    let draft = |shot: &greenroom_domain::Shot| {
        !best_take(tasks, shot.key).is_some_and(|(_, v, _)| matches!(v.decision, Decision::Accept))
    };
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
    fn a_wrong_face_is_tried_again_with_a_new_seed() {
        let mut story = Story::begin(1);
        story.take("1-1", 1, &rejected(0.3));
        let seeds = story.seeds("1-1");
        assert_eq!(seeds.len(), 2);
        assert_ne!(seeds[0], seeds[1]);
        assert_eq!(story.states("assemble"), ["waiting"]);
        story.take("1-1", 2, &accepted(0.9));
        assert_eq!(story.states("assemble"), ["ready"]);
        assert_eq!(story.assembled()[0].take_number, 2);
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
        let next = settle(&story.job, Some(&story.plan), &story.tasks, fixture::NOW, &mut fixture::ids());
        assert_eq!(next, Next::default());
    }

    #[test]
    fn a_profile_job_is_done_when_its_task_is() {
        let mut story = Story::profile();
        story.finish_profile();
        assert_eq!(story.job.state.name(), "done");
    }
}
