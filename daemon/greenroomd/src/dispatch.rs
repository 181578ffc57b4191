//! Prepare the book, plan, apply. Woken by change, and by the moment at which time alone decides something.

use greenroom_domain::{
    Drained, Moment, Problem, ProblemKind, Spec, TaskError, TaskId, TaskOutput, TaskState, WorkerId,
};
use greenroom_proto::worker_v1 as wire;
use greenroom_schedule::{Action, Book, MOST, next_wake, plan};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{api, clock, farm::Farm, ledger::LedgerError, notify::Notice, workers::Running};

/// How often a worker must say something; far more often than the policy's silence.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);

/// Tasks that are compared with what was done before, in one step.
const COMPARED: usize = 256;

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
            biased;
            () = farm.stop.cancelled() => return,
            () = farm.work.notified() => {}
            () = sleep => {}
        }
    }
}

async fn step(farm: &Farm) -> Result<Option<Duration>, LedgerError> {
    farm.resolve().await?;
    let compared = prepare(farm).await?;
    let now = farm.time.now();
    let actions = {
        let mut book = farm.book();
        let started = clock::instant();
        book.set_wall(clock::now(), now);
        book.wake(now);
        let actions = plan(&book, now);
        farm.metrics.planned(started.elapsed());
        actions
    };
    if actions.len() >= MOST || !farm.fresh().is_empty() {
        farm.work.notify_one();
    }
    let mut leases = Vec::new();
    for action in actions {
        let applied = match action {
            Action::Lease { task, worker } => {
                leases.push((task, worker));
                Ok(())
            }
            Action::Requeue { task, .. } => differs(farm, apply(farm, action).await, |book| book.is_held(task)),
            other => apply(farm, other).await,
        };
        match applied {
            Ok(()) => {}
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                // Somebody was quicker: the book knows of it, and the next plan.
                tracing::debug!(%error, "an action came too late");
                farm.work.notify_one();
            }
        }
    }
    if !leases.is_empty() {
        lease(farm, leases, &compared).await?;
    }
    let now = farm.time.now();
    Ok(next_wake(&farm.book(), now).map(|at| at.since(now) + Duration::from_millis(10)))
}

/// What the ledger refused as too late, and the book still knows no better, shows that they differ.
fn differs<T>(farm: &Farm, applied: Result<T, LedgerError>, still: impl Fn(&Book) -> bool) -> Result<T, LedgerError> {
    if matches!(applied, Err(LedgerError::Transition(_))) && still(&farm.book()) {
        farm.in_doubt();
    }
    applied
}

/// Takes the outputs of earlier equal tasks; tells which tasks have none.
async fn prepare(farm: &Farm) -> Result<BTreeSet<TaskId>, LedgerError> {
    let mut compared = BTreeSet::new();
    for _ in 0..COMPARED {
        let Some((task, spec)) = farm.fresh().pop_front() else { break };
        match done_before(farm, spec).await? {
            Some(output) => drop(farm.reuse(task, output).await),
            None => drop(compared.insert(task)),
        }
    }
    Ok(compared)
}

async fn apply(farm: &Farm, action: Action) -> Result<(), LedgerError> {
    match action {
        Action::Lease { .. } => {} // all of a plan's together, see `lease`
        Action::Requeue { task, blame } => {
            tracing::warn!(task.id = %task, blame, "the task's worker is gone; the task goes back to the queue");
            farm.requeue(task, blame).await?;
        }
        Action::TimeOut { task, after, silent, .. } => {
            let Some((outbox, running)) = farm.workers.of_task(task) else { return Ok(()) };
            let _ = outbox.send(Ok(api::cancel_task(running))).await;
            let what = if silent { "it got no further" } else { "it ran" };
            let cause = format!("{what} for {} s, as long as the policy allows", after.as_secs());
            tracing::warn!(task.id = %task, cause, "task.timeout");
            let remedy = "raise the time-out in the policy, or look into the worker's log";
            let problem = Problem::new(ProblemKind::Unavailable, "run task", task.to_string(), cause, remedy);
            farm.fail(task, running.epoch, TaskError { problem, retry: true }).await?;
        }
        Action::Preempt { task, worker, cause } => {
            let Some((outbox, running)) = farm.workers.of_task(task) else { return Ok(()) };
            tracing::info!(task.id = %task, worker.id = %worker, ?cause, "task.preempt");
            farm.book().pausing(task);
            let _ = outbox.send(Ok(api::pause_task(running))).await;
        }
        Action::Drain { node, reason } => {
            tracing::error!(node, reason, "the node is sick; it takes nothing new until it is healed");
            let text = format!("{node} is sick and takes nothing new: {reason}");
            let _ = farm.notices.send(Notice::node("node.sick", clock::now(), text));
            let drained = Drained { reason, since: Moment(clock::now()), sick: true };
            farm.set_policy(|policy| drop(policy.drained.insert(node, drained))).await?;
        }
        Action::Heal { node } => {
            tracing::info!(node, "a task succeeded on the sick node; it takes work again");
            let text = format!("{node} takes work again: a task succeeded there");
            let _ = farm.notices.send(Notice::node("node.healed", clock::now(), text));
            farm.set_policy(|policy| drop(policy.drained.remove(&node))).await?;
        }
    }
    Ok(())
}

/// Gives tasks to workers: in the ledger first, all at once, then to the workers.
async fn lease(farm: &Farm, leases: Vec<(TaskId, WorkerId)>, compared: &BTreeSet<TaskId>) -> Result<(), LedgerError> {
    let mut begin = Vec::new();
    for (task, worker) in leases {
        if compared.contains(&task) {
            begin.push((task, worker));
            continue;
        }
        // An equal one may have ended since this one became ready.
        let spec = farm.store.task(task).await?.and_then(|task| task.spec.as_ref().map(Spec::digest));
        let output = if let Some(spec) = spec { done_before(farm, spec).await? } else { None };
        match output {
            Some(output) => drop(farm.reuse(task, output).await),
            None => begin.push((task, worker)),
        }
    }
    let leased = farm.lease(&begin).await?;
    if leased.len() < begin.len() {
        let given: BTreeSet<_> = leased.iter().map(|task| task.id).collect();
        let book = farm.book();
        if begin.iter().any(|(task, _)| !given.contains(task) && book.is_ready(*task)) {
            farm.in_doubt();
        }
    }
    for task in leased {
        let TaskState::Leased(lease) = task.state else { continue };
        let running = Running { job: task.job, task: task.id, epoch: task.epoch };
        let spec = serde_json::to_vec(&task.spec).unwrap_or_default();
        let assignment = wire::Assignment { task: task.id.to_string(), epoch: task.epoch.0, spec };
        let message = wire::attach_response::Message::Assignment(assignment);
        tracing::info!(task.id = %task.id, task.kind = %task.kind, worker.id = %lease.worker, "task.lease");
        match farm.workers.start(lease.worker, running) {
            Some(outbox) if outbox.send(Ok(wire::AttachResponse { message: Some(message) })).await.is_ok() => {}
            // It goes, or has gone in this moment, before it heard of it.
            _ => {
                farm.book().undelivered(task.id, task.epoch);
                farm.work.notify_one();
            }
        }
    }
    Ok(())
}

/// What an earlier task with an equal spec gave, if its artifacts are still there.
async fn done_before(farm: &Farm, spec: greenroom_domain::Digest) -> Result<Option<TaskOutput>, LedgerError> {
    let Some(output) = farm.store.output_by_spec(spec).await? else { return Ok(None) };
    if output == TaskOutput::Forgotten {
        return Ok(None);
    }
    for (_, digest) in output.artifacts() {
        if !farm.artifacts.has(digest).await.unwrap_or(false) {
            return Ok(None);
        }
    }
    Ok(Some(output))
}
