//! What must be true whatever went wrong.

use greenroom_domain::{Event, EventSeq, Job, JobState, Task, TaskKind, TaskState, mark, rehearse};
use greenroom_schedule::{Entry, Stand, why};
use greenroom_store::{EventScope, Store, StoreError, history_faults};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

use super::world::World;

/// Now and then compares the book with the ledger, while everything goes on.
pub(super) async fn watch(world: Arc<World>) {
    loop {
        sleep(Duration::from_secs(7)).await;
        if let Some(daemon) = world.daemon() {
            tokio::select! {
                biased;
                () = daemon.dead.cancelled() => {}
                () = counters(&world, &daemon.farm) => {}
            }
        }
    }
}

/// The book agrees with itself and with the ledger.
async fn counters(world: &World, farm: &crate::farm::Farm) {
    // No commit is between the ledger and the book.
    let _commits = farm.committing.lock().await;
    if farm.doubt.load(Ordering::Relaxed) {
        return; // the daemon knows that they may differ, and looks into it
    }
    let ledger = world.ground.ledger.clone();
    let Ok(open) = world.ground.call(async move { ledger.open_tasks().await }).await else {
        return world.broken("the ledger cannot be read".into());
    };
    let stands = open.iter().map(|task| Entry::from(task).stand).collect::<Vec<_>>();
    let ready = stands.iter().filter(|stand| matches!(stand, Stand::Ready { .. })).count();
    let leased = stands.iter().filter(|stand| matches!(stand, Stand::Leased { .. })).count();
    let (queued, running, faults) = {
        let book = farm.book();
        (book.queued(), book.running(), book.faults())
    };
    if (queued, running) != (ready, leased) {
        world.broken(format!("the book counts {queued} queued and {running} running, the ledger {ready} and {leased}"));
    }
    for fault in faults {
        world.broken(format!("the book: {fault}"));
    }
}

/// Waits until every job that was acknowledged has ended, or it is clear that one never will.
pub(super) async fn until_ended(world: &World) {
    for _ in 0..7_200 {
        let (ledger, asked) = (world.ground.ledger.clone(), world.asked());
        let open = world.ground.call(async move { ledger.open_tasks().await }).await.unwrap_or_default();
        if world.daemon().is_some() && !open.iter().any(|task| asked.contains(&task.job)) {
            // What is on its way to the book arrives.
            sleep(Duration::from_secs(30)).await;
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Everything that is not as it must be, once all has ended.
pub(super) async fn end(world: &World) {
    if let Some(daemon) = world.daemon() {
        counters(world, &daemon.farm).await;
    }
    let ledger = world.ground.ledger.clone();
    let read = world.ground.call(async move {
        ledger.integrity_check().await?;
        let jobs = ledger.jobs(None, usize::MAX >> 1).await?;
        let mut all = vec![];
        for job in jobs {
            let tasks = ledger.tasks(job.id).await?;
            all.push((job, tasks));
        }
        Ok::<_, StoreError>((all, log(&*ledger).await?, ledger.leased_tasks().await?, history_faults(&*ledger).await?))
    });
    let (jobs, events, leased, faults) = match read.await {
        Ok(read) => read,
        Err(error) => return world.broken(format!("the ledger is not whole: {error}")),
    };
    for task in leased {
        world.broken(format!("{} is leased when all is over", task.id));
    }
    for id in world.asked() {
        if !jobs.iter().any(|(job, _)| job.id == id) {
            world.broken(format!("{id} was acknowledged and is lost"));
        }
    }
    for fault in faults {
        world.broken(fault);
    }
    for (job, tasks) in &jobs {
        look_at_job(world, job, tasks);
        for task in tasks {
            look_at_task(world, task).await;
        }
    }
    for event in &events {
        world.say(serde_json::to_string(event).unwrap_or_default());
    }
}

async fn log(ledger: &dyn Store) -> greenroom_store::Result<Vec<Event>> {
    ledger.events(EventSeq(0), EventScope::All, usize::MAX >> 1).await
}

fn look_at_job(world: &World, job: &Job, tasks: &[Task]) {
    let open = tasks.iter().filter(|task| !task.state.is_final());
    let why =
        |task: &Task| world.daemon().map(|daemon| why(&daemon.farm.book(), task.id, daemon.farm.time.now()).sentence);
    let open =
        open.map(|task| format!("{} {} {}: {}", task.id, task.kind, task.state.name(), why(task).unwrap_or_default()));
    let open: Vec<_> = open.collect();
    if !job.state.is_final() {
        world.broken(format!("{} ({}) never ended: {}", job.id, job.title, open.join(", ")));
    }
    if let JobState::Failed { problem, .. } = &job.state
        && !tasks.iter().any(|task| matches!(task.state, TaskState::Failed { .. }))
    {
        world.broken(format!("{} failed and no task of it did: {problem}", job.id));
    }
}

async fn look_at_task(world: &World, task: &Task) {
    let id = task.id;
    let disturbed = world.disturbed(id);
    if task.failures as usize > disturbed {
        let failures = task.failures;
        world.broken(format!("{id} was blamed {failures} times, and only {disturbed} of its leases were disturbed"));
    }
    let TaskState::Done { output, reused: false, .. } = &task.state else { return };
    if task.kind == TaskKind::Breakdown {
        return;
    }
    let made = task.spec.as_ref().and_then(|spec| rehearse(spec, &mark(&id.to_string(), task.epoch)));
    if made.is_none_or(|made| made.output != *output) {
        world.broken(format!("{id} has an output that its lease {} did not make", task.epoch.0));
    }
    for (_, digest) in output.artifacts() {
        if !world.ground.artifacts.has(digest).await.unwrap_or(false) {
            world.broken(format!("{id} names {digest}, and there is no such artifact"));
        }
    }
}
