//! Watching a job: the log from a sequence on, page by page, with live progress between.

use greenroom_domain::{EventBody, EventSeq, JobId};
use greenroom_proto::v1::{self, event::Body, watch_job_response::Update};
use greenroom_store::EventScope;
use std::{pin::Pin, sync::Arc};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::Status;

use super::{convert, status::store};
use crate::farm::Farm;

/// What the call streams.
pub(super) type Updates = Pin<Box<dyn Stream<Item = Result<v1::WatchJobResponse, Status>> + Send>>;

/// Events read at once. The channel holds as many, so a slow watcher costs so much and no more.
const PAGE: usize = 64;

pub(super) fn watch(farm: Arc<Farm>, project: String, job: JobId, after: u64) -> Updates {
    let (outbox, stream) = mpsc::channel(PAGE);
    tokio::spawn(async move {
        if let Err(status) = follow(&farm, &project, job, EventSeq(after), &outbox).await {
            let _ = outbox.send(Err(status)).await;
        }
    });
    Box::pin(ReceiverStream::new(stream))
}

async fn follow(
    farm: &Farm,
    project: &str,
    job: JobId,
    mut after: EventSeq,
    outbox: &mpsc::Sender<Result<v1::WatchJobResponse, Status>>,
) -> Result<(), Status> {
    let mut committed = farm.committed.subscribe();
    let mut progress = farm.progress.subscribe();
    loop {
        committed.borrow_and_update();
        loop {
            let page = farm.store.events(after, EventScope::Job(job), PAGE).await.map_err(store)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for event in page {
                let ended = matches!(&event.body, EventBody::JobChanged { state } if state.is_final());
                if let Some(event) = show(farm, project, job, event).await? {
                    let update = v1::WatchJobResponse { update: Some(Update::Event(event)) };
                    if outbox.send(Ok(update)).await.is_err() {
                        return Ok(()); // the watcher has gone
                    }
                }
                if ended {
                    return Ok(());
                }
            }
        }
        let ended = farm.store.job(job).await.map_err(store)?.is_none_or(|j| j.state.is_final());
        if ended && farm.store.events(after, EventScope::Job(job), 1).await.map_err(store)?.is_empty() {
            return Ok(()); // it had ended before the sequence that was asked for
        }
        tokio::select! {
            changed = committed.changed() => if changed.is_err() { return Ok(()) },
            () = farm.stop.cancelled() => return Err(Status::unavailable("the daemon stops")),
            () = outbox.closed() => return Ok(()),
            () = relay(&mut progress, job, outbox) => {}
        }
    }
}

/// Passes on this job's progress for ever; a watcher that is behind misses some.
async fn relay(
    progress: &mut tokio::sync::broadcast::Receiver<crate::farm::Progress>,
    job: JobId,
    outbox: &mpsc::Sender<Result<v1::WatchJobResponse, Status>>,
) {
    loop {
        match progress.recv().await {
            Ok(p) if p.job == job => {
                let crate::farm::Progress { job: _, task, fraction, message, picture } = p;
                let update = v1::TaskProgress { task: task.to_string(), fraction, message, picture };
                let _ = outbox.try_send(Ok(v1::WatchJobResponse { update: Some(Update::Progress(update)) }));
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// An event as the watcher sees it; none for those that tell nothing about the job.
async fn show(
    farm: &Farm,
    project: &str,
    id: JobId,
    event: greenroom_domain::Event,
) -> Result<Option<v1::Event>, Status> {
    let body = match event.body {
        EventBody::JobCreated { .. } | EventBody::JobChanged { .. } | EventBody::JobAdjusted { .. } => {
            let Some(mut job) = farm.store.job(id).await.map_err(store)? else { return Ok(None) };
            if let EventBody::JobChanged { state } = event.body {
                job.state = state;
            } else {
                job.state = greenroom_domain::JobState::Active;
            }
            // Tasks are told by their own events; here they would be told as they are now.
            Body::Job(convert::job(project, &job, &[], false))
        }
        EventBody::TaskChanged { task, kind, shot, take, step, label, state, note } => Body::Task(v1::Task {
            uid: task.to_string(),
            kind: kind.to_string(),
            shot: shot.map(|s| s.to_string()).unwrap_or_default(),
            take: take.unwrap_or_default(),
            state,
            note: note.unwrap_or_default(),
            attempts: 0,
            step: step.unwrap_or_default(),
            label: label.unwrap_or_default(),
        }),
        EventBody::ProjectCreated { .. }
        | EventBody::CharacterChanged { .. }
        | EventBody::CharacterForgotten { .. } => return Ok(None),
    };
    Ok(Some(v1::Event { sequence: event.seq.0, time: convert::time(event.at), body: Some(body) }))
}
