//! Jobs of plain commands: templates become jobs, jobs of every kind become templates.

use greenroom_domain::{CommandPlan, CommandSource, Digest, Job, Problem, ProblemKind, Project, Spec, Task, TaskKind};
use greenroom_openjd::{Call, Documents, Exported, Script, Template};
use greenroom_schedule::{command_tasks, gathered};
use greenroom_store::Batch;

use crate::{
    clock,
    farm::Farm,
    learn,
    ledger::LedgerError,
    push::{self, Pushed},
};

/// A template of more bytes is none.
const TEMPLATE_LIMIT: u64 = 4 << 20;
/// A plan of more bytes was not written by this daemon.
const PLAN_LIMIT: u64 = 256 << 20;

/// Turns a template that is already here into a job.
pub(crate) async fn push(farm: &Farm, project: &Project, source: CommandSource) -> Result<Pushed<Job>, LedgerError> {
    if !farm.config.commands.enabled {
        let remedy =
            "ask the farm's administrator for [commands] enabled = true and a user in greenroomd's configuration";
        let cause = "this farm runs no commands";
        return Err(Problem::new(ProblemKind::Conflict, "push template", source.file, cause, remedy).into());
    }
    let template = read(farm, &source).await?;
    let plan = CommandPlan {
        title: template.title().to_owned(),
        steps: template.steps(farm.config.commands.tasks)?,
        paths: farm.config.commands.paths.clone(),
        source,
    };
    let request = push::put_json(farm, &plan).await?;
    let (now, id) = (clock::now(), clock::new_job());
    let title = plan.title.clone();
    let job = Job::new(id, project.id, title, request, now);
    let tasks = command_tasks(&plan, request, &[], id, now, &mut clock::new_task);
    push::insert(farm, job, tasks, Batch::new(), template.notes()).await
}

/// The plan that a job of commands was made from.
pub(crate) async fn load_plan(farm: &Farm, job: &Job) -> Result<CommandPlan, Problem> {
    let text = text(farm, job.request, PLAN_LIMIT).await;
    text.and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string())).map_err(|cause| {
        let remedy = "restore the artifact folder from a backup, or push the template again";
        Problem::new(ProblemKind::Unavailable, "read plan", job.id.to_string(), cause, remedy)
    })
}

/// Stores what the next steps find of those before them, so that their tasks can name it.
pub(crate) async fn gather(farm: &Farm, plan: &CommandPlan, tasks: &[Task]) -> Result<(), Problem> {
    for files in gathered(plan, tasks) {
        push::put_json(farm, &files).await?;
    }
    Ok(())
}

/// A job as a template: one of commands as it was pushed, any other as calls of `greenroom`.
pub(crate) async fn export(farm: &Farm, project: &Project, job: &Job) -> Result<Exported, LedgerError> {
    let tasks = farm.store.tasks(job.id).await?;
    let nothing = |cause: &str| {
        let remedy = "export a job whose inputs are still there";
        Problem::new(ProblemKind::NotFound, "export job", job.id.to_string(), cause, remedy)
    };
    let gone = |cause: String| nothing(&cause);
    let script = match tasks.first().and_then(|task| Some((task.kind, task.spec.as_ref()?))) {
        Some((TaskKind::Command, _)) => {
            let source = load_plan(farm, job).await?.source;
            let mut environments = Vec::new();
            for (name, digest) in &source.environments {
                environments.push((name.clone(), text(farm, *digest, TEMPLATE_LIMIT).await.map_err(gone)?));
            }
            let template = text(farm, source.template, TEMPLATE_LIMIT).await.map_err(gone)?;
            let parameters = source.parameters.into_iter().collect();
            return Ok(Exported { template, parameters, environments });
        }
        Some((TaskKind::Breakdown, Spec::Breakdown { script })) => {
            let text = text(farm, *script, TEMPLATE_LIMIT).await.map_err(gone)?;
            // A shot file is TOML; no screenplay begins a line with its table.
            let file = if text.lines().any(|line| line.trim() == "[[shot]]") { "film.toml" } else { "film.fountain" };
            Script::Film { file: file.into(), text }
        }
        Some((TaskKind::Profile, Spec::Profile(spec))) => Script::Character { name: spec.character.clone() },
        Some((TaskKind::Collect, _)) => Script::Lora { name: learn::load_plan(farm, job).await?.character },
        _ => return Err(nothing("what it was made from has been forgotten").into()),
    };
    let call = Call { title: job.title.clone(), project: project.name.clone(), script };
    greenroom_openjd::export(&call).map_err(|e| {
        Problem::new(ProblemKind::Internal, "export job", job.id.to_string(), e, "report this as a bug").into()
    })
}

async fn read(farm: &Farm, source: &CommandSource) -> Result<Template, Problem> {
    let fail = |file: &str, cause: String| {
        Problem::invalid("read template", file, cause, "push a job template in UTF-8 of at most 4 MiB")
    };
    let template = text(farm, source.template, TEMPLATE_LIMIT).await.map_err(|cause| fail(&source.file, cause))?;
    let mut environments = Vec::new();
    for (name, digest) in &source.environments {
        let text = text(farm, *digest, TEMPLATE_LIMIT).await.map_err(|cause| fail(name, cause))?;
        environments.push((name.clone(), text));
    }
    Template::read(Documents {
        file: &source.file,
        template: &template,
        environments: &environments,
        parameters: &source.parameters,
        template_folder: &source.template_folder,
        working_folder: &source.working_folder,
    })
}

async fn text(farm: &Farm, digest: Digest, limit: u64) -> Result<String, String> {
    let bytes = farm.artifacts.get_bytes(digest, limit).await.map_err(|e| e.to_string())?;
    String::from_utf8(bytes.into()).map_err(|e| e.to_string())
}
