//! What a worker answers goes to the ledger.

use greenroom_domain::{LeaseEpoch, Problem, ProblemKind, TaskError, TaskId, TaskOutput};
use greenroom_proto::worker_v1::outcome::Result as Outcome;
use std::time::Duration;

use crate::{farm::Farm, ledger::LedgerError};

/// An outcome that cannot be written is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// Writes an outcome as soon as the ledger can be written: a full disk is no reason to compute anything twice.
pub(super) async fn keep_trying(
    farm: &Farm,
    task: TaskId,
    epoch: LeaseEpoch,
    outcome: Option<Outcome>,
    out_of_memory: bool,
) -> Result<(), LedgerError> {
    loop {
        let written = publish(farm, task, epoch, outcome.clone(), out_of_memory).await;
        let error = match written {
            Err(error) if error.may_pass() => error,
            other => return other,
        };
        tracing::error!(task.id = %task, %error, remedy = error.problem().remedy, "an outcome cannot be written; trying again");
        tokio::select! {
            biased;
            () = farm.stop.cancelled() => return Err(error),
            () = farm.role.resigned() => return Err(error),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn publish(
    farm: &Farm,
    task: TaskId,
    epoch: LeaseEpoch,
    outcome: Option<Outcome>,
    out_of_memory: bool,
) -> Result<(), LedgerError> {
    let read = match &outcome {
        Some(Outcome::Output(json)) => serde_json::from_slice(json).map(Ok),
        Some(Outcome::Error(json)) => serde_json::from_slice(json).map(Err),
        Some(Outcome::Paused(_)) => {
            farm.release(task, epoch).await?;
            tracing::info!(task.id = %task, epoch = epoch.0, "task.pause");
            return Ok(());
        }
        None => return Ok(()),
    };
    let result = read.unwrap_or_else(|e| {
        let remedy = "install daemon and worker from one release";
        let problem = Problem::new(ProblemKind::Internal, "read outcome", task.to_string(), e, remedy);
        Err(TaskError { problem, retry: false })
    });
    match result {
        Ok(output) => {
            farm.finish(task, epoch, TaskOutput::clone(&output)).await?;
            farm.metrics.judged(&output);
            tracing::info!(task.id = %task, epoch = epoch.0, "task.done");
        }
        Err(error) => {
            tracing::warn!(task.id = %task, epoch = epoch.0, out_of_memory, %error, "task.fail");
            // A device with more memory may do it.
            let error = TaskError { retry: error.retry || out_of_memory, ..error };
            farm.fail(task, epoch, error).await?;
        }
    }
    Ok(())
}
