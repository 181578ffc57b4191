//! A job's steps in an order that keeps their dependencies, each with its tasks.

use greenroom_domain::{CommandStep, Problem};
use openjd_model::{StepDependencyGraph, StepParameterSpaceIterator, TaskParameterSet, job};

use crate::{fault, requirements};

/// A task's parameters are told in so many characters.
const LABEL: usize = 120;

/// Every step with its tasks; nothing is counted out before it is known that they are few enough.
pub(crate) fn steps(file: &str, job: &job::Job, most: u64) -> Result<Vec<CommandStep>, Problem> {
    let order = StepDependencyGraph::new(job).and_then(|graph| graph.topo_sorted());
    let order = order.map_err(|e| fault::template(file, &e))?;
    let ordered: Vec<_> = order.iter().filter_map(|&at| job.steps.get(at)).collect();
    let mut total = 0_u64;
    for step in &ordered {
        total = total.saturating_add(space(file, step)?.map_or(1, |space| space.len() as u64));
    }
    if total > most {
        let remedy = "give narrower ranges, put several into one task with TASK_CHUNKING, or raise [commands] tasks in the \
                      daemon's configuration";
        return Err(fault::refused(file, format!("it makes {total} tasks, and a job may have {most}"), remedy));
    }
    if total == 0 {
        return Err(fault::refused(file, "it makes no task", "give each parameter of a step at least one value"));
    }
    ordered.into_iter().map(|step| one(file, step)).collect()
}

/// The parameters of one task of a step; none where the step has none, or not so many tasks.
#[cfg(feature = "session")]
pub(crate) fn task(file: &str, step: &job::Step, index: usize) -> Result<Option<TaskParameterSet>, Problem> {
    Ok(space(file, step)?.and_then(|space| space.get(index)))
}

/// Steps whose chunks are to be made longer or shorter as they run, which the farm does not do.
pub(crate) fn notes(job: &job::Job) -> Vec<String> {
    let adaptive = |step: &&job::Step| {
        let space = step.parameter_space.as_ref();
        let parameters = space.into_iter().flat_map(|space| space.task_parameter_definitions.values());
        parameters.into_iter().any(|parameter| match parameter {
            job::TaskParameter::ChunkInt { chunks, .. } => chunks.target_runtime_seconds.is_some_and(|time| time > 0),
            _ => false,
        })
    };
    let note = |step: &job::Step| {
        format!("step {}: chunks keep their defaultTaskCount; targetRuntimeSeconds is not used", step.name)
    };
    job.steps.iter().filter(adaptive).map(note).collect()
}

fn one(file: &str, step: &job::Step) -> Result<CommandStep, Problem> {
    let tasks = match space(file, step)? {
        None => vec![String::new()],
        Some(space) => (0..space.len()).filter_map(|index| space.get(index)).map(|task| label(&task)).collect(),
    };
    Ok(CommandStep {
        name: step.name.clone(),
        depends_on: step.dependencies.iter().flatten().map(|dependency| dependency.depends_on.clone()).collect(),
        requires: requirements::of(file, &step.name, step.host_requirements.as_ref())?,
        tasks,
    })
}

/// With chunks of the template's own size: an index then names the same task for whoever asks.
fn space(file: &str, step: &job::Step) -> Result<Option<StepParameterSpaceIterator>, Problem> {
    let Some(space) = &step.parameter_space else { return Ok(None) };
    let size = space.task_parameter_definitions.values().find_map(|parameter| match parameter {
        job::TaskParameter::ChunkInt { chunks, .. } => Some(chunks.default_task_count),
        _ => None,
    });
    let space = StepParameterSpaceIterator::new_with_chunk_override(space, size);
    space.map(Some).map_err(|e| fault::template(file, &e))
}

/// `Frame=3, Camera=left`
fn label(task: &TaskParameterSet) -> String {
    let mut parts: Vec<_> = task.iter().map(|(name, value)| format!("{name}={}", value.value.as_str_repr())).collect();
    parts.sort_unstable();
    let text: String = parts.join(", ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(LABEL) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
