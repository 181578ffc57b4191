//! The workers' side of the wire: one stream each, for the worker's whole life.

pub(super) mod orders;
mod outcome;

use greenroom_domain::{Holder, LeaseEpoch, Offer, Problem, ProblemKind, TaskError, TaskId, TokenId, WorkerId};
use greenroom_proto::worker_v1::{self as wire, attach_request::Message, worker_service_server::WorkerService};
use std::sync::Arc;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Api,
    status::{invalid, ledger, status, store},
};
use crate::{
    access::{self, Caller, Credential},
    clock, dispatch,
    farm::{Farm, Progress},
    supervise::{self, Life},
    task_logs::Line,
    workers::{Attached, Outbox},
};

/// A picture on the way of more bytes is not passed on: watchers hold a few hundred messages each.
const PICTURE_LIMIT: usize = 128 << 10;

/// What comes from a worker.
pub(crate) trait Inbox: Stream<Item = Result<wire::AttachRequest, Status>> + Unpin + Send + 'static {}

impl<T: Stream<Item = Result<wire::AttachRequest, Status>> + Unpin + Send + 'static> Inbox for T {}

/// What goes to it.
pub(crate) type Outgoing = ReceiverStream<Result<wire::AttachResponse, Status>>;

#[tonic::async_trait]
impl WorkerService for Api {
    type AttachStream = Outgoing;

    async fn attach(
        &self,
        request: Request<Streaming<wire::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        self.welcome(request.into_inner()).await.map(Response::new)
    }

    async fn enrol(&self, request: Request<wire::EnrolRequest>) -> Result<Response<wire::Credential>, Status> {
        let Some(Caller::Joining(token)) = access::caller() else {
            return Err(Status::internal("nobody's call"));
        };
        let given = access::enrol(&self.0, token, &request.into_inner().node).await.map_err(|e| ledger(&e))?;
        tracing::info!(token.id = %given.id, "worker.enrol");
        Ok(Response::new(credential(given)))
    }
}

impl Api {
    /// A worker comes, over whatever carries its messages.
    pub(crate) async fn welcome(&self, mut inbox: impl Inbox) -> Result<Outgoing, Status> {
        let Some(Message::Hello(hello)) = inbox.next().await.transpose()?.and_then(|m| m.message) else {
            return Err(invalid("attach worker", "stream", "the first message is not hello", "use greenroom-worker"));
        };
        self.check(&hello)?;
        let joined = self.joined().await?;
        let (outbox, stream) = mpsc::channel(16);
        let id = clock::new_worker();
        let heartbeat_ms = dispatch::HEARTBEAT.as_millis() as u32;
        let welcome = wire::Welcome { worker: id.to_string(), heartbeat_ms };
        let _ = outbox.send(Ok(message(wire::attach_response::Message::Welcome(welcome)))).await;
        let node = joined.as_ref().map(|joined| joined.node.clone());
        tracing::info!(worker.id = %id, worker.node = node, worker.pid = hello.pid, worker.device = hello.device, "worker.attach");
        let offer = offer(&hello)?;
        let words = outbox.clone();
        let by = joined.as_ref().map(|joined| joined.by);
        let attached = Attached { device: hello.device, outbox, running: vec![], joined: by, leaving: false };
        self.0.workers.attach(id, attached);
        self.0.book().attach(id, offer, self.0.time.now());
        self.0.work.notify_one();
        let ended = CancellationToken::new();
        if let Some(joined) = joined {
            tokio::spawn(keep(self.0.clone(), joined, words, ended.clone()));
        }
        let life = match access::caller() {
            Some(Caller::OwnWorker(Some(secret))) => self.0.children.life(secret),
            _ => None,
        };
        tokio::spawn(listen(self.0.clone(), id, inbox, ended, life));
        Ok(ReceiverStream::new(stream))
    }
}

/// A worker that joined, while it is attached.
struct Joined {
    credential: TokenId,
    node: String,
    /// The join token that it used.
    by: TokenId,
    /// Cancelled when the credential is revoked, or shown by another worker.
    away: CancellationToken,
    /// When the credential is renewed next.
    renew: Instant,
}

impl Api {
    /// The worker's credential, if it has joined. From here on it can be sent away.
    async fn joined(&self) -> Result<Option<Joined>, Status> {
        let Some(Caller::Joined(token, node)) = access::caller() else { return Ok(None) };
        let Holder::Worker { joined: by, .. } = token.holder else { return Ok(None) };
        let away = self.0.access.attached(token.id);
        let now = clock::now();
        // Had it been revoked before it stood in the list, nobody would have sent it away.
        match self.0.store.token(token.id).await.map_err(store)? {
            Some(token) if token.revoked.is_none() => {}
            _ => return Err(status(&access::sent_away(&self.0, token.id).await)),
        }
        let left = token.expires.map_or(self.0.access.lifetime, |end| end.since(now));
        let renew = Instant::now() + left.saturating_sub(self.0.access.lifetime / 2);
        Ok(Some(Joined { credential: token.id, node, by, away, renew }))
    }

    fn check(&self, hello: &wire::Hello) -> Result<(), Status> {
        let refuse = |subject: &str, cause: String, remedy: &str| {
            Err(status(&Problem::new(ProblemKind::Conflict, "attach worker", subject, cause, remedy)))
        };
        let version = env!("CARGO_PKG_VERSION");
        if hello.version != version {
            let cause = format!("the worker is {}, the daemon is {version}", hello.version);
            return refuse("version", cause, "install both from one release");
        }
        if hello.pack_digest != self.0.pack_digest.to_string() {
            return refuse(
                "pack",
                "the worker has another pack than the daemon".into(),
                "start both with the same --pack",
            );
        }
        Ok(())
    }
}

async fn listen(farm: Arc<Farm>, id: WorkerId, mut inbox: impl Inbox, ended: CancellationToken, life: Option<Life>) {
    loop {
        let next = tokio::select! {
            biased;
            () = farm.stop.cancelled() => break,
            () = farm.role.resigned() => break,
            () = ended.cancelled() => break,
            next = inbox.next() => next,
        };
        let Some(Ok(wire::AttachRequest { message: Some(message) })) = next else {
            if let Some(life) = life {
                bury(&farm, id, life).await;
            }
            break;
        };
        farm.book().heard(id, farm.time.now());
        hear(&farm, id, message);
    }
    ended.cancel();
    farm.workers.detach(id);
    farm.book().detach(id);
    tracing::info!(worker.id = %id, "worker.detach");
    farm.work.notify_one();
}

/// Tells the tasks of a worker whose stream has ended what it died of, if it was one of the daemon's own.
async fn bury(farm: &Farm, id: WorkerId, life: Life) {
    let fate = tokio::select! {
        fate = supervise::fate(life) => fate,
        () = farm.stop.cancelled() => None,
    };
    for running in farm.workers.of_worker(id) {
        let Some(problem) = fate.as_ref().and_then(|fate| fate.problem(running.task)) else { return };
        tracing::warn!(task.id = %running.task, epoch = running.epoch.0, %problem, "task.fail");
        if problem.kind == ProblemKind::OutOfMemory {
            farm.book().out_of_ram(running.task);
        }
        if let Err(error) = farm.fail(running.task, running.epoch, TaskError { problem, retry: true }).await {
            tracing::warn!(task.id = %running.task, %error, "what became of the task cannot be written");
        }
    }
}

/// Renews a worker's credential while it is attached; tells it why where it may not stay, and ends its stream.
async fn keep(farm: Arc<Farm>, mut joined: Joined, words: Outbox, ended: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = ended.cancelled() => return,
            () = joined.away.cancelled() => break,
            () = tokio::time::sleep_until(joined.renew) => {}
        }
        joined.renew = Instant::now() + farm.access.lifetime / 2;
        match access::renew(&farm, joined.credential).await {
            Ok(Some(given)) => {
                let _ = words.send(Ok(message(wire::attach_response::Message::Credential(credential(given))))).await;
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, worker.node = joined.node, "a worker's credential cannot be renewed; trying again");
                joined.renew = Instant::now() + farm.access.lifetime / 8;
            }
        }
    }
    let problem = access::sent_away(&farm, joined.credential).await;
    tracing::warn!(worker.node = joined.node, "{problem}");
    let _ = words.send(Err(status(&problem))).await;
    ended.cancel();
}

fn credential(given: Credential) -> wire::Credential {
    wire::Credential { token: given.secret, expire_time: super::convert::time(given.expires) }
}

/// Nothing here waits: while an outcome is being written, its worker can be heard.
fn hear(farm: &Arc<Farm>, id: WorkerId, message: Message) {
    match message {
        Message::Hello(_) | Message::Heartbeat(_) => {}
        Message::Leaving(_) => {
            farm.workers.leaves(id);
            farm.book().leaves(id, farm.time.now());
            let farm = farm.clone();
            tokio::spawn(async move { dismiss(&farm, id).await });
        }
        Message::Reading(told) => {
            let Ok(reading) = serde_json::from_slice(&told.reading) else { return };
            farm.book().reads(id, reading, told.pids.into_iter().collect(), farm.time.now());
            farm.work.notify_one();
        }
        Message::Progress(p) => {
            let Some((task, epoch)) = lease(&p.task, p.epoch) else { return };
            if let Some(running) = farm.workers.running(id, task, epoch) {
                farm.book().moved(task, farm.time.now());
                let fraction = p.fraction.clamp(0.0, 1.0);
                farm.metrics.moved(task, fraction, &p.message);
                let picture = Some(p.picture).filter(|picture| picture.len() <= PICTURE_LIMIT).unwrap_or_default();
                let told = Progress { job: running.job, task, fraction, message: p.message, picture };
                let _ = farm.progress.send(told);
            }
        }
        Message::Log(log) => {
            let Some((task, epoch)) = lease(&log.task, log.epoch) else { return };
            if let Some(running) = farm.workers.running(id, task, epoch) {
                farm.book().moved(task, farm.time.now());
                let line = |line: wire::LogLine| Line { at: line.at_ms, level: line.level, text: line.text };
                let lines: Vec<_> = log.lines.into_iter().map(line).collect();
                // Some KiB to the system's cache: sooner done than handed to another thread.
                farm.task_logs.append(running.job, task, epoch, &lines);
            }
        }
        Message::Outcome(outcome) => {
            let Some((task, epoch)) = lease(&outcome.task, outcome.epoch) else { return };
            farm.workers.finish(id, task, epoch);
            {
                let mut book = farm.book();
                book.holds(id, outcome.warm.into_iter().collect());
                if outcome.out_of_memory {
                    book.out_of_memory(task);
                }
                book.answered(task, epoch);
            }
            farm.work.notify_one();
            let farm = farm.clone();
            tokio::spawn(async move {
                if let Err(error) =
                    outcome::keep_trying(&farm, task, epoch, outcome.result, outcome.out_of_memory).await
                {
                    tracing::warn!(worker.id = %id, %error, "an outcome was refused");
                    // The task is given again.
                    farm.book().dropped(task, epoch);
                }
                farm.work.notify_one();
                dismiss(&farm, id).await;
            });
        }
    }
}

/// Lets a worker go that wants to and has answered for everything.
async fn dismiss(farm: &Farm, id: WorkerId) {
    if let Some(outbox) = farm.workers.done(id) {
        let _ = outbox.send(Ok(orders::stop_worker())).await;
    }
}

fn lease(task: &str, epoch: u64) -> Option<(TaskId, LeaseEpoch)> {
    Some((task.parse().ok()?, LeaseEpoch(epoch)))
}

const fn message(message: wire::attach_response::Message) -> wire::AttachResponse {
    wire::AttachResponse { message: Some(message) }
}

/// What a worker offers; one that does not say offers one slot of what it computes on.
fn offer(hello: &wire::Hello) -> Result<Offer, Status> {
    if hello.offer.is_empty() {
        return Ok(Offer { node: "unnamed".into(), device: hello.device.clone(), slots: 1, ..Offer::default() });
    }
    let remedy = "install daemon and worker from one release";
    serde_json::from_slice(&hello.offer).map_err(|e| invalid("attach worker", "offer", e, remedy))
}
