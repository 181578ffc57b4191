//! Whoever pushes: jobs of commands and films, again until they are acknowledged, and now and then second thoughts.

use greenroom_domain::{
    CharacterId, CharacterState, CommandSource, Digest, Job, JobId, JobState, Priority, Problem, ProblemKind, Project,
    Settings, Span,
};
use greenroom_store::{StoreError, Unique};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

use super::{chance::Chance, fault::Planned, world::World};
use crate::{
    api, clock, command,
    farm::Farm,
    ledger::LedgerError,
    push::{self, NewCharacter, Whose},
};

/// A seed whose faults have not happened by then does not go on.
const PATIENCE: Duration = Duration::from_secs(1800);

/// The project's shots.
const SHOT: &str = "[[shot]]\nplace = \"INT. LAB - NIGHT\"\nframing = \"close\"\ncast = [\"MARA\"]\nseconds = 1.0\n";

/// Works until every planned fault has happened, and a few jobs longer.
pub(super) async fn run(world: Arc<World>, planned: Vec<Planned>) {
    let mut chance = Chance::of(world.seed, "client", 0);
    let project = project(&world).await;
    let films = chance.percent(50);
    if films {
        let pictures = chance.between(1, 7);
        cast(&world, &project, pictures).await;
    }
    let (least, began) = (chance.between(3, 8), Instant::now());
    let mut number = 0;
    while number < least || (began.elapsed() < PATIENCE && world.all_fired().len() < planned.len()) {
        sleep(chance.ms(0, 9_000)).await;
        number += 1;
        let film = films && chance.percent(40);
        let job = if film {
            film_of(&world, &project, &mut chance, number).await
        } else {
            commands(&world, &project, &mut chance, number).await
        };
        world.acknowledged(job.id);
        if chance.percent(20) {
            sleep(chance.ms(0, 6_000)).await;
            think_again(&world, job.id, &mut chance).await;
        }
    }
}

/// An administrator looks in now and then, and lets nodes work again that were drained as sick: here none is.
pub(super) async fn look_after(world: Arc<World>) {
    loop {
        sleep(Duration::from_secs(90)).await;
        let healed = async |farm: Arc<Farm>| {
            let drained: Vec<_> = farm.book().policy().drained.keys().cloned().collect();
            if !drained.is_empty() {
                farm.set_policy(|policy| policy.drained.clear()).await?;
                drained.iter().for_each(|node| farm.book().heal(node));
                farm.work.notify_one();
            }
            Ok(())
        };
        ask(&world, "heal nodes", healed).await;
    }
}

/// Asks until there is an answer; what is refused for good is answered with nothing.
async fn ask<T>(world: &World, what: &str, call: impl AsyncFn(Arc<Farm>) -> Result<T, LedgerError>) -> Option<T> {
    for tried in 0..2_000u64 {
        let Some(daemon) = world.daemon() else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        let impatience = world.impatience();
        let patience = async {
            match impatience {
                Some((_, time)) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = daemon.dead.cancelled() => {
                world.weather(|weather| impatience.into_iter().for_each(|again| weather.impatient.push_front(again)));
            }
            () = patience => impatience.into_iter().for_each(|(fault, _)| world.fired(fault)),
            answer = call(daemon.farm.clone()) => {
                if let Some((fault, time)) = impatience {
                    // It was quicker than that: the next one will not be.
                    world.weather(|weather| weather.impatient.push_front((fault, time / 2)));
                }
                match answer {
                    Ok(answer) => return Some(answer),
                    Err(error) => {
                        let problem = error.problem();
                        world.say(format_args!("{what}: {problem}"));
                        if problem.kind != ProblemKind::Unavailable {
                            return None;
                        }
                    }
                }
            }
        }
        sleep(Duration::from_millis(300 + tried * 100 % 3_000)).await;
    }
    world.broken(format!("{what}: no answer"));
    None
}

async fn wanted<T>(world: &World, what: &str, call: impl AsyncFn(Arc<Farm>) -> Result<T, LedgerError>) -> T {
    match ask(world, what, call).await {
        Some(answer) => answer,
        None => {
            world.broken(format!("{what} was refused"));
            std::future::pending().await
        }
    }
}

async fn project(world: &World) -> Project {
    let lab =
        Project { id: clock::new_project(), name: "lab".into(), settings: Settings::default(), created: clock::now() };
    let made = wanted(world, "make project", async |farm: Arc<Farm>| match push::project(&farm, lab.clone()).await {
        Err(LedgerError::Store(StoreError::Exists(Unique::Project { .. } | Unique::Id(_)))) => {
            let found = farm.store.project_by_name("lab").await?;
            Ok(found.unwrap_or_else(|| lab.clone()))
        }
        other => other,
    });
    let made = made.await;
    wanted(world, "set policy", async |farm: Arc<Farm>| {
        farm.set_policy(|policy| policy.pace.no_progress = Span::seconds(120)).await
    })
    .await;
    made
}

async fn cast(world: &World, project: &Project, pictures: u64) {
    let references: Vec<_> =
        (0..pictures).map(|n| (format!("{n}.png"), Digest::of(format!("picture {n}").as_bytes()))).collect();
    // Its profile may fail as often as a task may, and is then asked for again.
    for _ in 0..20 {
        let made = wanted(world, "make character", async |farm: Arc<Farm>| {
            let asked = NewCharacter {
                name: "MARA".into(),
                description: String::new(),
                references: references.clone(),
                real_person: false,
                consent: None,
            };
            push::character(&farm, project, asked).await
        })
        .await;
        if profiled(world, made.value.id).await {
            return;
        }
    }
    world.broken("a character was never profiled".into());
}

/// Waits for a character's profile; false where it was refused.
async fn profiled(world: &World, id: CharacterId) -> bool {
    for _ in 0..2_000 {
        let look = async |farm: Arc<Farm>| Ok(farm.store.character(id).await?);
        match ask(world, "look at character", look).await.flatten().map(|character| character.state) {
            Some(CharacterState::Ready { .. }) => return true,
            Some(CharacterState::Refused { .. }) => return false,
            _ => sleep(Duration::from_secs(1)).await,
        }
    }
    false
}

async fn film_of(world: &World, project: &Project, chance: &mut Chance, number: u64) -> Job {
    let text = format!("title = \"Film {number}\"\n{}", SHOT.repeat(chance.between(1, 4) as usize));
    wanted(world, "push script", async |farm: Arc<Farm>| {
        let script = put(&farm, &text).await?;
        let pushed = push::script(&farm, project, "film.toml", script, &BTreeMap::new(), Whose::default()).await?;
        Ok(pushed.value)
    })
    .await
}

async fn commands(world: &World, project: &Project, chance: &mut Chance, number: u64) -> Job {
    let text = template(number, chance.between(1, 7), chance.percent(60));
    wanted(world, "push template", async |farm: Arc<Farm>| {
        let source = CommandSource {
            file: "job.yaml".into(),
            template: put(&farm, &text).await?,
            environments: vec![],
            parameters: BTreeMap::new(),
            template_folder: "/".into(),
            working_folder: "/".into(),
            again: None,
        };
        Ok(command::push(&farm, project, source).await?.value)
    })
    .await
}

async fn put(farm: &Farm, text: &str) -> Result<Digest, Problem> {
    farm.artifacts.put_bytes(text.to_owned().into()).await.map_err(|error| error.problem())
}

/// Frames, and where asked what is made of all of them.
fn template(number: u64, frames: u64, encode: bool) -> String {
    let step = |name: &str, more: &str| {
        format!("  - name: {name}\n{more}    script:\n      actions:\n        onRun:\n          command: /bin/true\n")
    };
    let range = format!(
        "    parameterSpace:\n      taskParameterDefinitions:\n        - name: Frame\n          type: INT\n          range: \"1-{frames}\"\n"
    );
    let mut text = format!("specificationVersion: jobtemplate-2023-09\nname: Job {number}\nsteps:\n");
    text += &step("Render", &range);
    if encode {
        text += &step("Encode", "    dependencies:\n      - dependsOn: Render\n");
    }
    text
}

/// Cancels it, pauses it for a while, makes it more urgent, or has its running tasks begin anew.
async fn think_again(world: &World, job: JobId, chance: &mut Chance) {
    match chance.below(4) {
        0 => {
            let cancelled = ask(world, "cancel", async |farm: Arc<Farm>| api::cancel_job(&farm, job).await).await;
            if let Some(Job { state: JobState::Cancelled { .. }, .. }) = cancelled {
                world.say(format_args!("cancelled {job}"));
            }
        }
        1 => {
            let set = async |paused| {
                ask(world, "pause", async |farm: Arc<Farm>| {
                    farm.adjust(job, |job, now| job.paused = if paused { Some(now) } else { None }).await
                })
                .await
            };
            set(true).await;
            sleep(chance.ms(500, 20_000)).await;
            set(false).await;
        }
        2 => {
            let urgent = Priority::try_from(5).unwrap_or_default();
            ask(world, "adjust", async |farm: Arc<Farm>| farm.adjust(job, |job, _| job.priority = urgent).await).await;
        }
        _ => {
            ask(world, "requeue", async |farm: Arc<Farm>| {
                api::requeue_job(&farm, job).await;
                Ok(())
            })
            .await;
        }
    }
}
