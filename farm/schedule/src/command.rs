//! The way of a job of commands: a step's tasks are made once every task of the steps that it depends on is done, so a large job
//! never has more rows than its front needs.

use greenroom_domain::{
    CommandFile, CommandPlan, CommandSpec, CommandStep, Digest, JobId, Spec, Task, TaskId, TaskKind, TaskOutput,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

use crate::compile::blank;

/// Tasks of steps that may begin and have none yet; those of a job's beginning where `tasks` is empty. `request` names the plan.
pub fn command_tasks(
    plan: &CommandPlan,
    request: Digest,
    tasks: &[Task],
    job: JobId,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> TaskId,
) -> Vec<Task> {
    let seen = Seen::of(tasks);
    let mut new = Vec::new();
    for (place, step) in plan.steps.iter().enumerate().filter(|(_, step)| seen.may_begin(plan, step)) {
        let inputs = seen.inputs(plan, step).map(|files| Digest::of_json(&files));
        for (index, label) in step.tasks.iter().enumerate() {
            let spec = CommandSpec {
                job,
                plan: request,
                step: step.name.clone(),
                place: place as u32,
                index: index as u32,
                label: label.clone(),
                inputs,
                requires: step.requires.clone(),
            };
            let task = blank(new_id(), job, TaskKind::Command, now);
            new.push(Task { spec: Some(Spec::Command(spec)), ..task });
        }
    }
    new
}

/// The lists that tasks which may begin now name as their inputs: they must lie in the artifact store before the tasks do.
#[must_use]
pub fn gathered(plan: &CommandPlan, tasks: &[Task]) -> Vec<Vec<CommandFile>> {
    let seen = Seen::of(tasks);
    let begin = plan.steps.iter().filter(|step| seen.may_begin(plan, step));
    begin.filter_map(|step| seen.inputs(plan, step)).collect()
}

/// What there is of each step.
struct Seen<'a>(BTreeMap<&'a str, Step<'a>>);

#[derive(Default)]
struct Step<'a> {
    made: usize,
    done: BTreeMap<u32, &'a [CommandFile]>,
}

impl<'a> Seen<'a> {
    fn of(tasks: &'a [Task]) -> Self {
        let mut steps = BTreeMap::<_, Step<'_>>::new();
        for task in tasks {
            let Some(Spec::Command(spec)) = &task.spec else { continue };
            let step = steps.entry(spec.step.as_str()).or_default();
            step.made += 1;
            if let Some(TaskOutput::Command { files, .. }) = task.output() {
                step.done.insert(spec.index, files);
            }
        }
        Self(steps)
    }

    fn may_begin(&self, plan: &CommandPlan, step: &CommandStep) -> bool {
        let none_yet = !step.tasks.is_empty() && !self.0.contains_key(step.name.as_str());
        none_yet && step.depends_on.iter().all(|other| self.is_done(plan, other))
    }

    /// A step without tasks is done when those that it depends on are.
    fn is_done(&self, plan: &CommandPlan, name: &str) -> bool {
        let Some(step) = plan.steps.iter().find(|step| step.name == name) else { return false };
        if step.tasks.is_empty() {
            return step.depends_on.iter().all(|other| self.is_done(plan, other));
        }
        self.0.get(name).is_some_and(|seen| seen.done.len() == step.tasks.len())
    }

    /// Everything that the steps before it left, by path; where two wrote the same, the later one counts.
    fn inputs(&self, plan: &CommandPlan, step: &CommandStep) -> Option<Vec<CommandFile>> {
        let mut wanted: BTreeSet<_> = step.depends_on.iter().map(String::as_str).collect();
        // A step comes after those that it depends on, so going back meets everything that leads to it.
        for other in plan.steps.iter().rev() {
            if wanted.contains(other.name.as_str()) {
                wanted.extend(other.depends_on.iter().map(String::as_str));
            }
        }
        let before = plan.steps.iter().filter(|other| wanted.contains(other.name.as_str()));
        let done = before.filter_map(|other| self.0.get(other.name.as_str())).flat_map(|seen| seen.done.values());
        let files: BTreeMap<_, _> = done.flat_map(|files| files.iter()).map(|file| (&file.path, file)).collect();
        (!files.is_empty()).then(|| files.into_values().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plan, fixture, settle};
    use greenroom_domain::{
        CommandSource, Entropy, HostRequirements, Job, Problem, ProblemKind, ProjectId, TaskError, WorkerId,
    };

    const NOW: Timestamp = fixture::NOW;
    const CHANCE: Entropy = [7; 10];

    fn step(name: &str, after: &[&str], tasks: &[&str]) -> CommandStep {
        CommandStep {
            name: name.into(),
            depends_on: after.iter().map(|name| (*name).to_owned()).collect(),
            requires: HostRequirements::default(),
            tasks: tasks.iter().map(|label| (*label).to_owned()).collect(),
        }
    }

    /// A job on its way.
    struct Story {
        plan: CommandPlan,
        job: Job,
        tasks: Vec<Task>,
        ids: Box<dyn FnMut() -> TaskId>,
    }

    impl Story {
        fn begin(steps: Vec<CommandStep>) -> Self {
            let source = CommandSource {
                file: "job.yaml".into(),
                template: Digest::of(b"template"),
                environments: vec![],
                parameters: BTreeMap::new(),
                template_folder: "/".into(),
                working_folder: "/".into(),
                again: None,
            };
            let plan = CommandPlan { source, title: "Job".into(), paths: vec![], steps };
            let (id, project) = (JobId::new(NOW, CHANCE), ProjectId::new(NOW, CHANCE));
            let request = Digest::of_json(&plan);
            let job = Job::new(id, project, "Job".into(), request, NOW);
            let mut ids: Box<dyn FnMut() -> TaskId> = Box::new(fixture::ids());
            let tasks = command_tasks(&plan, request, &[], id, NOW, &mut ids);
            Self { plan, job, tasks, ids }
        }

        fn names(&self) -> Vec<String> {
            let specs = self.tasks.iter().filter_map(|task| task.spec.as_ref());
            specs.map(|spec| if let Spec::Command(spec) = spec { spec.name() } else { String::new() }).collect()
        }

        /// Lets a task end, having left a file called after itself, and everything follow.
        fn done(&mut self, at: usize) {
            let task = self.tasks[at].clone().lease(WorkerId::new(NOW, CHANCE), NOW).unwrap();
            let path = format!("Out/{}", self.names()[at]);
            let files = vec![CommandFile { digest: Digest::of(path.as_bytes()), path, bytes: 1, executable: false }];
            let output = TaskOutput::Command { files, log: Digest::of(b"log"), timings: BTreeMap::new() };
            self.tasks[at] = task.clone().finish(task.epoch, output, NOW).unwrap();
            self.settle();
        }

        fn settle(&mut self) {
            let plan = Plan::Command(Box::new(self.plan.clone()));
            let next = settle(&self.job, Some(&plan), &self.tasks, NOW, &mut self.ids);
            self.tasks.extend(next.insert);
            for task in next.update {
                let at = self.tasks.iter().position(|old| old.id == task.id).unwrap();
                self.tasks[at] = task;
            }
            self.job.state = next.job.unwrap_or_else(|| self.job.state.clone());
        }
    }

    #[test]
    fn a_step_begins_when_every_task_before_it_is_done_and_finds_what_they_left() {
        let mut story =
            Story::begin(vec![step("Render", &[], &["Frame=1", "Frame=2"]), step("Encode", &["Render"], &[""])]);
        assert_eq!(story.names(), ["Render Frame=1", "Render Frame=2"]);
        story.done(1);
        assert_eq!(story.tasks.len(), 2, "one frame is missing");
        let mut all = story.tasks.clone();
        story.done(0);
        assert_eq!(story.names()[2..], ["Encode"]);
        all[0] = story.tasks[0].clone();
        let listed = gathered(&story.plan, &all);
        assert_eq!(
            listed[0].iter().map(|file| &file.path[..]).collect::<Vec<_>>(),
            ["Out/Render Frame=1", "Out/Render Frame=2"]
        );
        let Some(Spec::Command(encode)) = &story.tasks[2].spec else { panic!("a command") };
        assert_eq!(encode.inputs, Some(Digest::of_json(&listed[0])));
        assert_eq!(story.job.state.name(), "active");
        story.done(2);
        assert_eq!(story.job.state.name(), "done");
    }

    #[test]
    fn branches_go_side_by_side_and_what_led_to_a_step_is_found_from_its_beginning() {
        let steps = vec![
            step("A", &[], &[""]),
            step("B", &["A"], &[""]),
            step("C", &["A"], &[""]),
            step("D", &["B", "C"], &[""]),
        ];
        let mut story = Story::begin(steps);
        story.done(0);
        assert_eq!(story.names(), ["A", "B", "C"]);
        story.done(2);
        story.done(1);
        assert_eq!(story.names(), ["A", "B", "C", "D"]);
        let mut before = story.tasks.clone();
        before.pop();
        let paths: Vec<_> = gathered(&story.plan, &before)[0].iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths, ["Out/A", "Out/B", "Out/C"]);
    }

    #[test]
    fn a_task_that_failed_for_good_ends_the_job_and_begins_nothing() {
        let mut story = Story::begin(vec![step("A", &[], &["N=1", "N=2"]), step("B", &["A"], &[""])]);
        let task = story.tasks[0].clone().lease(WorkerId::new(NOW, CHANCE), NOW).unwrap();
        let problem = Problem::new(ProblemKind::Conflict, "run command", "A N=1", "exit code 3", "mend it");
        story.tasks[0] = task.clone().fail(task.epoch, TaskError { problem, retry: false }, NOW).unwrap();
        story.settle();
        assert_eq!((story.job.state.name(), story.tasks.len()), ("failed", 2));
        assert!(story.tasks.iter().all(|task| task.state.is_final()));
    }

    #[test]
    fn settling_twice_begins_no_step_twice() {
        let mut story = Story::begin(vec![step("A", &[], &[""]), step("B", &["A"], &["N=1", "N=2"])]);
        story.done(0);
        let tasks = story.tasks.len();
        story.settle();
        assert_eq!(story.tasks.len(), tasks);
    }
}
