//! The ledger as one daemon has it: through a door that is slow, refuses, and shuts for good when the daemon dies.

mod reads;

use async_trait::async_trait;
use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{Digest, Event, EventBody, Job, Problem, ProblemKind};
use greenroom_store::{Batch, Change, Result, Store, StoreError};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{runtime::Handle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Breach,
    chance::Chance,
    fault::Kind,
    world::{World, is_full},
};

/// What is under every daemon of a seed.
#[derive(Clone)]
pub(super) struct Ground {
    pub ledger: Arc<dyn Store>,
    pub artifacts: ArtifactStore,
    /// Where a ledger on a disk does its work: everybody here waits for it, so that nothing depends on how long it takes.
    pub elsewhere: Option<Handle>,
}

/// One daemon's door to the ledger.
pub(super) struct Door {
    ground: Ground,
    world: Weak<World>,
    dead: CancellationToken,
    chance: Mutex<Chance>,
    commits: Mutex<u32>,
}

impl Ground {
    /// Calls the ledger.
    pub(super) async fn call<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> T {
        let Some(elsewhere) = &self.elsewhere else { return call.await };
        let (done, answer) = std::sync::mpsc::channel();
        elsewhere.spawn(async move { drop(done.send(call.await)) });
        answer.recv().expect("the ledger's own thread goes on")
    }
}

impl Door {
    pub(super) fn new(world: &Arc<World>, dead: CancellationToken, number: u32) -> Self {
        let chance = Mutex::new(Chance::of(world.seed, "door", number));
        Self { ground: world.ground.clone(), world: Arc::downgrade(world), dead, chance, commits: Mutex::default() }
    }

    /// Whoever is dead waits for ever.
    async fn alive(&self) {
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// Takes its time, and refuses where the weather does.
    async fn enter(&self, step: &'static str, writes: bool) -> Result<Arc<World>> {
        self.alive().await;
        let Some(world) = self.world.upgrade() else { return std::future::pending().await };
        if !world.may_call() {
            return std::future::pending().await;
        }
        let most = if writes { 6 } else { 2 };
        let own = self.chance.lock().unwrap_or_else(PoisonError::into_inner).ms(0, most);
        let slow = world.weather(|weather| weather.slowness());
        if let Some((fault, _)) = slow {
            world.fired(fault);
        }
        let time = slow.map_or(own, |(_, each)| each);
        if time > Duration::ZERO {
            sleep(time).await;
        }
        self.alive().await;
        match world.weather(|weather| weather.refuses(writes)) {
            None => Ok(world),
            Some(fault) => {
                world.fired(fault);
                Err(refusal(step, is_full(fault)))
            }
        }
    }

    async fn read<T: Send + 'static, F>(&self, call: impl FnOnce(Arc<dyn Store>) -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.enter("read ledger", false).await?;
        let answer = self.ground.call(call(self.ground.ledger.clone())).await;
        self.alive().await;
        answer
    }

    async fn write(&self, world: &World, batch: Batch) -> Result<Vec<Event>> {
        let number = {
            let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            *commits += 1;
            *commits
        };
        let batch = match world.breach {
            Some(Breach::LostJobs) => without_jobs(batch),
            Some(Breach::ToldTwice) => told_twice(batch),
            Some(Breach::LostWrites) if number % 9 == 0 => Batch { changes: vec![], ..batch },
            _ => batch,
        };
        let ledger = self.ground.ledger.clone();
        self.ground.call(async move { ledger.commit(batch).await }).await
    }
}

#[async_trait]
impl Store for Door {
    async fn commit(&self, batch: Batch) -> Result<Vec<Event>> {
        let world = self.enter("write ledger", true).await?;
        let fault = world.weather(super::world::Weather::commit);
        let Some(fault) = fault else {
            let answer = self.write(&world, batch).await;
            // The disk has it; whoever waits for the answer learns that a little later.
            let time = self.chance.lock().unwrap_or_else(PoisonError::into_inner).ms(0, 3);
            sleep(time).await;
            self.alive().await;
            return answer;
        };
        world.fired(fault);
        match fault.kind {
            Kind::KillBeforeCommit => drop(world.kill(fault.kind.name())),
            Kind::KillAfterCommit => {
                let _ = self.write(&world, batch).await;
                world.kill(fault.kind.name());
            }
            _ => {
                self.write(&world, batch).await?;
                return Err(refusal("write ledger", false));
            }
        }
        std::future::pending().await
    }

    async fn integrity_check(&self) -> Result<()> {
        self.read(|store| async move { store.integrity_check().await }).await
    }

    async fn copy_to(&self, file: &Path) -> Result<()> {
        let file = file.to_owned();
        self.read(|store| async move { store.copy_to(&file).await }).await
    }

    async fn scrub(&self) -> Result<()> {
        self.read(|store| async move { store.scrub().await }).await
    }
}

/// What a refused call is told.
pub(super) fn refusal(step: &'static str, full: bool) -> StoreError {
    if !full {
        return StoreError::io(step, "the simulated disk does not answer");
    }
    let (cause, remedy) = ("the disk is full", "free some space on it and try again");
    StoreError::Unusable(Problem::new(ProblemKind::Unavailable, step, "ledger", cause, remedy))
}

/// A ledger that acknowledges jobs and forgets them.
fn without_jobs(batch: Batch) -> Batch {
    let unlucky = |job: &Job| Digest::of(job.id.to_string().as_bytes()).as_bytes()[0] < 32;
    let lost = batch.changes.iter().any(|change| matches!(change, Change::InsertJob(job) if unlucky(job)));
    if lost { Batch::new() } else { batch }
}

/// A ledger that writes down twice that a task is done.
fn told_twice(mut batch: Batch) -> Batch {
    let done = |event: &&Event| matches!(&event.body, EventBody::TaskChanged { state, .. } if state == "done");
    let again = batch.events.iter().find(done).cloned();
    batch.events.extend(again);
    batch
}
