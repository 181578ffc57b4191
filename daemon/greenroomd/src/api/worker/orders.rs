//! What workers are told to do.

use greenroom_domain::{Job, JobId};
use greenroom_proto::worker_v1 as wire;

use super::message;
use crate::{farm::Farm, ledger::LedgerError, workers::Running};

/// Tells a worker to stop a task.
pub(crate) fn cancel(running: Running) -> wire::AttachResponse {
    stop(running, false)
}

/// Tells a worker to pause a task at its next checkpoint.
pub(crate) fn pause(running: Running) -> wire::AttachResponse {
    stop(running, true)
}

fn stop(running: Running, pause: bool) -> wire::AttachResponse {
    let cancel = wire::Cancel { task: running.task.to_string(), epoch: running.epoch.0, pause };
    message(wire::attach_response::Message::Cancel(cancel))
}

/// Stops a job, and tells the workers that have something of it.
pub(crate) async fn cancel_job(farm: &Farm, id: JobId) -> Result<Job, LedgerError> {
    let running = farm.workers.of_job(id);
    let job = farm.cancel(id).await?;
    for (outbox, running) in running {
        let _ = outbox.send(Ok(cancel(running))).await;
    }
    Ok(job)
}

/// Puts what runs of a job back to the queue, and tells its workers to stop.
pub(crate) async fn requeue_job(farm: &Farm, id: JobId) {
    for (outbox, running) in farm.workers.of_job(id) {
        // What ended in this moment stays as it is.
        if farm.release(running.task, running.epoch).await.is_ok() {
            let _ = outbox.send(Ok(cancel(running))).await;
        }
    }
}

/// Tells a worker to exit.
pub(crate) fn stop_worker() -> wire::AttachResponse {
    message(wire::attach_response::Message::Stop(wire::Stop {}))
}
