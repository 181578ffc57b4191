//! Prepare a snapshot, plan, apply. Woken by change, and by the moment at which the next silent worker counts as lost.

use greenroom_domain::{TaskOutput, TaskState, Timestamp};
use greenroom_proto::worker_v1 as wire;
use greenroom_schedule::{Action, Held, Holder, Ready, Snapshot, plan};
use std::{sync::Arc, time::Duration};

use crate::{clock, farm::Farm, ledger::LedgerError, workers::Running};

/// A worker that says nothing for so long has lost its task. Workers speak every [`HEARTBEAT`].
const SILENCE: Duration = Duration::from_secs(15);

/// How often a worker must say something.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);

/// Dispatches until the daemon stops.
pub(crate) async fn run(farm: Arc<Farm>) {
    loop {
        let wake = match step(&farm).await {
            Ok(wake) => wake,
            Err(error) => {
                tracing::error!(%error, "cannot dispatch; trying again");
                Some(Duration::from_secs(1))
            }
        };
        let sleep = async {
            match wake {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = farm.work.notified() => {}
            () = sleep => {}
            () = farm.stop.cancelled() => return,
        }
    }
}

async fn step(farm: &Farm) -> Result<Option<Duration>, LedgerError> {
    let now = clock::now();
    let snapshot = prepare(farm).await?;
    // At once, so that they are written together.
    let applied = plan(&snapshot, now, SILENCE).into_iter().map(async |action| {
        if let Err(error) = apply(farm, action).await {
            // Somebody was quicker: the next snapshot shows it.
            tracing::debug!(%error, "an action came too late");
            farm.work.notify_one();
        }
    });
    futures::future::join_all(applied).await;
    Ok(next_loss(&snapshot, now))
}

async fn prepare(farm: &Farm) -> Result<Snapshot, LedgerError> {
    let mut ready = Vec::new();
    for task in farm.store.open_tasks().await? {
        if matches!(task.state, TaskState::Ready { .. }) {
            let reusable = match &task.spec {
                Some(spec) => farm.store.output_by_spec(spec.digest()).await?,
                None => None,
            };
            let reusable = match reusable {
                Some(output) if all_here(farm, &output).await => Some(output),
                _ => None,
            };
            ready.push(Ready { task, reusable });
        }
    }
    let held = farm.store.leased_tasks().await?.into_iter().map(|task| {
        let holder = match task.state {
            TaskState::Leased(lease) => farm.workers.holder(lease.worker, task.id, lease.epoch),
            _ => Holder::Unknown,
        };
        Held { task, holder }
    });
    Ok(Snapshot { held: held.collect(), ready, workers: farm.workers.views() })
}

async fn apply(farm: &Farm, action: Action) -> Result<(), LedgerError> {
    match action {
        Action::Reuse { task, output } => {
            farm.reuse(task, output).await?;
        }
        Action::Requeue { task, blame } => {
            tracing::warn!(task.id = %task, blame, "the task's worker is gone; the task goes back to the queue");
            farm.requeue(task, blame).await?;
        }
        Action::Lease { task, worker } => {
            let task = farm.lease(task, worker).await?;
            let running = Running { job: task.job, task: task.id, epoch: task.epoch };
            let spec = serde_json::to_vec(&task.spec).unwrap_or_default();
            let assignment = wire::Assignment { task: task.id.to_string(), epoch: task.epoch.0, spec };
            let message = wire::attach_response::Message::Assignment(assignment);
            tracing::info!(task.id = %task.id, task.kind = %task.kind, worker.id = %worker, "task.lease");
            match farm.workers.start(worker, running) {
                Some(outbox) if outbox.send(Ok(wire::AttachResponse { message: Some(message) })).await.is_ok() => {}
                // It has gone in this moment: its lease is found lost in the next snapshot.
                _ => farm.work.notify_one(),
            }
        }
    }
    Ok(())
}

/// Whether every artifact of an output still exists.
async fn all_here(farm: &Farm, output: &TaskOutput) -> bool {
    if *output == TaskOutput::Forgotten {
        return false;
    }
    for (_, digest) in output.artifacts() {
        if !farm.artifacts.has(digest).await.unwrap_or(false) {
            return false;
        }
    }
    true
}

/// Time until the first worker that holds a task would count as lost.
fn next_loss(snapshot: &Snapshot, now: Timestamp) -> Option<Duration> {
    let left = snapshot.held.iter().filter_map(|h| match h.holder {
        Holder::Attached { heard } => Some(SILENCE.saturating_sub(now.since(heard)) + Duration::from_millis(10)),
        Holder::Lost | Holder::Unknown => None,
    });
    left.min()
}
