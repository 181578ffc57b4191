//! LoRAs: jobs that train one, by themselves after a film and by hand, and which version is in force.

use greenroom_domain::{
    CalibrationUsed, Character, CharacterState, CollectTake, Digest, EventBody, EventSeq, Job, JobState, LoraDataset,
    LoraNaming, LoraPrecision, LoraTier, LoraUsed, LoraVersion, Problem, ProblemKind, Project, Spec, Task, TaskKind,
    TaskOutput,
};
use greenroom_schedule::{Becomes, LoraFrom, LoraPlan, compile_lora, deployed, worth_training_on};
use greenroom_store::{Batch, EventScope};
use greenroom_story::{portrait_captions, trial_prompts};
use std::{collections::BTreeSet, sync::Arc};

use crate::{
    clock,
    farm::Farm,
    ledger::{LedgerError, state_name},
    push::{self, Pushed},
};

/// Prompts and seeds of a proof.
const PROMPTS: usize = 8;
const SEEDS: u32 = 4;
/// Jobs of a project that are looked through for accepted takes, the newest.
const JOBS: usize = 1000;
/// A plan of more bytes was not written by this daemon.
const PLAN_LIMIT: u64 = 64 << 20;

/// Looks after every film whether one of its characters has enough pictures by now, until the daemon stops.
pub(crate) async fn run(farm: Arc<Farm>) {
    let mut committed = farm.committed.subscribe();
    let mut seen = *committed.borrow_and_update();
    loop {
        tokio::select! {
            biased;
            () = farm.stop.cancelled() => return,
            changed = committed.changed() => if changed.is_err() { return },
        }
        let until = *committed.borrow_and_update();
        // As a push does: nothing new names a character that is being forgotten.
        let _pushing = farm.forgetting.read().await;
        if let Err(error) = after(&farm, seen).await {
            let problem = error.problem();
            tracing::warn!(%problem, remedy = problem.remedy, "cannot look for characters that could be trained");
        }
        seen = until;
    }
}

/// Asks for LoRAs of everybody in the films that have ended since.
async fn after(farm: &Farm, seen: EventSeq) -> Result<(), LedgerError> {
    for event in farm.store.events(seen, EventScope::All, usize::MAX).await? {
        let (Some(job), EventBody::JobChanged { state: JobState::Done { .. } | JobState::Draft { .. } }) =
            (event.job, event.body)
        else {
            continue;
        };
        let tasks = farm.store.tasks(job).await?;
        let films = tasks.iter().filter(|task| task.kind == TaskKind::Assemble && task.output().is_some());
        let Some(project) = farm.store.project(event.project).await?.filter(|_| films.count() > 0) else { continue };
        let more_than = project.settings.lora_images;
        for character in farm.store.characters(project.id).await?.iter().filter(|_| more_than > 0) {
            let ready = matches!(character.state, CharacterState::Ready { .. });
            if ready && LoraTier::of(character.references.len()).is_some() {
                by_itself(farm, &project, character, more_than).await?;
            }
        }
    }
    Ok(())
}

/// Makes the job that trains a character's next LoRA.
pub(crate) async fn train(
    farm: &Farm,
    project: &Project,
    character: &Character,
    tier: Option<LoraTier>,
    text_alone: bool,
) -> Result<Pushed<Job>, LedgerError> {
    let plan = LoraPlan { tier, text_alone, ..plan_with_takes(farm, project, character).await? };
    push(farm, project, &plan).await
}

/// What a person wants of a LoRA that is there already.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// A file that the farm has becomes a version.
    Given {
        /// The file's name.
        name: String,
        /// The file (safetensors).
        lora: Digest,
    },
    /// A version at a lower rank.
    Shrunk {
        /// Of which version.
        of: u32,
        /// Rank that no layer passes.
        rank: u32,
    },
    /// A version as a file for another program.
    Exported {
        /// Of which version.
        of: u32,
        /// How its layers are named.
        naming: LoraNaming,
        /// How its numbers are stored.
        precision: LoraPrecision,
    },
}

/// Makes the job that makes something of a LoRA that is there already.
pub(crate) async fn turn(
    farm: &Farm,
    project: &Project,
    character: &Character,
    wanted: Wanted,
) -> Result<Pushed<Job>, LedgerError> {
    let mut plan = plan(farm, project, character)?;
    let version = |number: u32| version(character, farm.pack_digest, number);
    let of = |version: &LoraVersion, becomes| {
        let LoraVersion { lora, dataset, recipe, .. } = *version;
        LoraFrom { lora, dataset, recipe, becomes }
    };
    plan.from = Some(match wanted {
        Wanted::Given { name, lora } => {
            if !farm.artifacts.has(lora).await.unwrap_or(false) {
                let remedy = "send it with `greenroom lora add`";
                return Err(Problem::invalid("add LoRA", &name, "the farm does not have the file", remedy).into());
            }
            let unknown = LoraDataset { character: character.name.clone(), pictures: vec![], refused: vec![] };
            let dataset = push::put_json(farm, &unknown).await?;
            LoraFrom { lora, dataset, recipe: plan.recipes.low, becomes: Becomes::Given { name } }
        }
        Wanted::Shrunk { of: number, rank } => {
            let version = version(number)?;
            if !(1..version.recipe.rank).contains(&rank) {
                let cause = format!("version {number} has rank {}, {rank} is not lower", version.recipe.rank);
                let remedy = format!("say a rank from 1 to {}", version.recipe.rank.saturating_sub(1).max(1));
                return Err(Problem::invalid("shrink LoRA", &character.name, cause, remedy).into());
            }
            plan.against = Some(LoraUsed { number, lora: version.lora });
            of(version, Becomes::Shrunk { of: number, rank })
        }
        Wanted::Exported { of: number, naming, precision } => {
            of(version(number)?, Becomes::Exported { naming, precision })
        }
    });
    push(farm, project, &plan).await
}

/// A version that the pack's models can wear.
fn version(character: &Character, pack: Digest, number: u32) -> Result<&LoraVersion, Problem> {
    let version = character.loras.iter().find(|version| version.number == number);
    let cause = match version {
        Some(version) if version.pack == pack => return Ok(version),
        Some(_) => format!("version {number} was made for another pack than the farm's"),
        None => format!("there is no version {number}"),
    };
    Err(Problem::new(ProblemKind::NotFound, "use LoRA", &character.name, cause, "look at `greenroom lora list`"))
}

/// The same where a character may have more pictures than the project asks for; only the job can tell how many are alike.
async fn by_itself(farm: &Farm, project: &Project, character: &Character, more_than: u32) -> Result<(), LedgerError> {
    let plan = LoraPlan { more_than: Some(more_than), ..plan_with_takes(farm, project, character).await? };
    if plan.most_pictures() > more_than as usize {
        push(farm, project, &plan).await?;
    }
    Ok(())
}

async fn push(farm: &Farm, project: &Project, plan: &LoraPlan) -> Result<Pushed<Job>, LedgerError> {
    let (now, id) = (clock::now(), clock::new_job());
    let Some(task) = compile_lora(plan, clock::new_task(), id, now) else {
        let asked = plan.tier.unwrap_or(LoraTier::Low);
        let has = plan.references.len();
        let cause = format!("it has {has} references, tier {} needs {}", asked.name(), asked.references());
        return Err(refuse(&plan.character, &cause, "give more references of it, or choose a lower tier").into());
    };
    let request = push::put_json(farm, plan).await?;
    let title = match plan.from.as_ref().map(|from| &from.becomes) {
        None => format!("{} LoRA", plan.character),
        Some(Becomes::Given { name }) => format!("{} LoRA from {name}", plan.character),
        Some(Becomes::Shrunk { of, rank }) => format!("{} LoRA {of} at rank {rank}", plan.character),
        Some(Becomes::Exported { naming, precision, .. }) => {
            format!("{} LoRA for {} ({})", plan.character, naming.name(), precision.name())
        }
    };
    let job = Job::new(id, project.id, title, request, now);
    push::insert(farm, job, vec![task], Batch::new(), vec![]).await
}

/// Puts another of a character's LoRAs in force; 0 is the bare model. In one transaction, so no plan sees half of it.
pub(crate) async fn deploy(farm: &Farm, project: &Project, name: &str, number: u32) -> Result<Character, LedgerError> {
    let _turn = farm.writing.lock().await;
    let character = farm.store.character_by_name(project.id, name).await?;
    let missing = || {
        Problem::new(
            ProblemKind::NotFound,
            "deploy LoRA",
            name,
            "there is no such character",
            "name one of the project",
        )
    };
    let character = character.ok_or_else(missing)?;
    let now = clock::now();
    let changed = deployed(&character, number, now).map_err(|number| {
        let cause = format!("{name} has no version {number}");
        Problem::new(ProblemKind::NotFound, "deploy LoRA", name, cause, "look at `greenroom lora list`")
    })?;
    if changed != character {
        let state = state_name(&changed.state).to_owned();
        let body = EventBody::CharacterChanged { character: changed.id, state };
        let event = greenroom_domain::Event { seq: EventSeq(0), at: now, project: project.id, job: None, body };
        farm.commit(Batch::new().update_character(changed.clone()).event(event)).await?;
    }
    Ok(changed)
}

/// The plan that a LoRA's job was made from.
pub(crate) async fn load_plan(farm: &Farm, job: &Job) -> Result<LoraPlan, Problem> {
    let read = async {
        let bytes = farm.artifacts.get_bytes(job.request, PLAN_LIMIT).await.map_err(|e| e.to_string())?;
        serde_json::from_slice(&bytes).map_err(|e| e.to_string())
    };
    read.await.map_err(|cause: String| {
        let remedy = "restore the artifact folder from a backup, or train again";
        Problem::new(ProblemKind::Unavailable, "read plan", job.id.to_string(), cause, remedy)
    })
}

/// A plan to train, with the accepted takes that may join the references.
async fn plan_with_takes(farm: &Farm, project: &Project, character: &Character) -> Result<LoraPlan, LedgerError> {
    let plan = plan(farm, project, character)?;
    let takes = accepted(farm, project, character, plan.profile).await?;
    Ok(LoraPlan { takes, ..plan })
}

/// What every plan begins with; no takes.
fn plan(farm: &Farm, project: &Project, character: &Character) -> Result<LoraPlan, LedgerError> {
    let CharacterState::Ready { profile, .. } = character.state else {
        return Err(
            refuse(&character.name, "its references are not measured", "watch its job until it is ready").into()
        );
    };
    let own = character.calibration().filter(|last| last.summary.uncalibrated.is_none());
    let pack_curve = &farm.pack.identity.calibration;
    let curve = own.map_or_else(
        || pack_curve.clone(),
        |own| greenroom_domain::Calibration { anchors: own.summary.anchors.clone(), ..pack_curve.clone() },
    );
    let diffusion = &farm.pack.diffusion;
    Ok(LoraPlan {
        character: character.name.clone(),
        revision: character.revision,
        pack: farm.pack_digest,
        profile,
        identity_scale: diffusion.identity_scale,
        calibration: own.map(|own| CalibrationUsed { number: own.number, calibration: own.calibration }),
        gate: project.settings.gate,
        outlier: greenroom_domain::Cosine(curve.lowest_cosine(project.settings.gate)),
        references: character.references.iter().map(|r| (r.name.clone(), r.digest)).collect(),
        captions: portrait_captions(&character.description, &farm.pack),
        takes: vec![],
        more_than: None,
        tier: None,
        recipes: diffusion.lora,
        against: character.lora(farm.pack_digest).map(|v| LoraUsed { number: v.number, lora: v.lora }),
        prompts: trial_prompts(&character.description, &farm.pack, PROMPTS),
        seeds: SEEDS,
        seed: project.settings.seed,
        steps: diffusion.steps,
        guidance: diffusion.guidance,
        text_alone: false,
        from: None,
    })
}

/// Accepted takes that show the character alone, as its references are now, oldest first.
async fn accepted(
    farm: &Farm,
    project: &Project,
    character: &Character,
    profile: Digest,
) -> Result<Vec<CollectTake>, LedgerError> {
    let (mut takes, mut known) = (Vec::new(), BTreeSet::new());
    let mut jobs = farm.store.jobs(Some(project.id), JOBS).await?;
    jobs.reverse();
    for job in jobs {
        let tasks = farm.store.tasks(job.id).await?;
        for task in &tasks {
            let (Some(Spec::Validate(spec)), Some(TaskOutput::Verdict { verdict, .. })) = (&task.spec, task.output())
            else {
                continue;
            };
            let same = spec.cast.iter().any(|member| member.character == character.name && member.profile == profile);
            let Some(caption) = caption(&tasks, task).filter(|_| same) else { continue };
            if let Some(take) = worth_training_on(spec.take, &caption, verdict, &character.name)
                && known.insert(spec.take)
            {
                takes.push(take);
            }
        }
    }
    Ok(takes)
}

/// What a validated take was generated from; of a repair, what its shot was. None where several share the picture.
fn caption(tasks: &[Task], validate: &Task) -> Option<String> {
    let of_shot = tasks.iter().filter(|task| task.shot == validate.shot);
    let mut prompts = of_shot.filter_map(|task| match &task.spec {
        Some(Spec::Generate(spec)) if spec.people.is_empty() => Some(&spec.prompt.positive),
        _ => None,
    });
    prompts.next_back().cloned()
}

fn refuse(character: &str, cause: &str, remedy: &str) -> Problem {
    Problem::new(ProblemKind::Conflict, "train LoRA", character, cause, remedy)
}
