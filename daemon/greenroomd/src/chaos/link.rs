//! What lies between a worker and the daemon: two directions of messages, and what can happen to them.

use greenroom_domain::{LeaseEpoch, TaskId};
use greenroom_proto::worker_v1::{
    AttachRequest, AttachResponse, Outcome, attach_request::Message as Said, attach_response::Message as Told,
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    daemon::Daemon,
    fault::{Kind, Planned},
    world::World,
};
use crate::api::Api;

/// One connection of a worker.
pub(super) struct Link {
    pub worker: u32,
    /// Ends it on both sides.
    pub cut: CancellationToken,
    /// Ends the worker with it.
    pub dead: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Leases that went through it and were not answered yet.
    holds: BTreeSet<(TaskId, LeaseEpoch)>,
    /// Something happened to it: what it holds from now on may be lost without anybody else's fault.
    disturbed: bool,
    held: Option<(Planned, Instant)>,
    delayed: Option<(Planned, Instant, Duration)>,
    /// What happens to the next message that matters.
    next: VecDeque<(Planned, Duration)>,
    /// The worker lives on when the connection ends.
    zombie: Option<Planned>,
}

/// The worker's end.
pub(super) struct Connection {
    pub link: Arc<Link>,
    pub say: UnboundedSender<AttachRequest>,
    pub hear: UnboundedReceiver<AttachResponse>,
}

/// Connects a worker, which says hello first.
pub(super) async fn connect(
    world: &Arc<World>,
    daemon: &Arc<Daemon>,
    worker: u32,
    hello: AttachRequest,
) -> Option<Connection> {
    let (cut, dead) = (daemon.dead.child_token(), CancellationToken::new());
    let link = Arc::new(Link { worker, cut, dead, state: Mutex::default() });
    let (say, said) = mpsc::unbounded_channel();
    let (inbox, arrives) = mpsc::unbounded_channel::<Result<AttachRequest, Status>>();
    let (tell, hear) = mpsc::unbounded_channel();
    let _ = say.send(hello);
    tokio::spawn(up(world.clone(), link.clone(), said, inbox));
    let api = Api(daemon.farm.clone());
    let outgoing = tokio::select! {
        biased;
        () = link.cut.cancelled() => return None,
        welcomed = api.welcome(UnboundedReceiverStream::new(arrives)) => match welcomed {
            Ok(outgoing) => outgoing,
            Err(status) => {
                world.broken(format!("a worker was refused: {}", status.message()));
                return None;
            }
        },
    };
    let (world, of) = (world.clone(), link.clone());
    world.linked(link.clone());
    tokio::spawn(async move {
        let mut outgoing = outgoing;
        loop {
            let message = tokio::select! {
                biased;
                () = of.cut.cancelled() => break,
                message = outgoing.next() => message,
            };
            let Some(Ok(message)) = message else { break };
            if let Some(Told::Assignment(given)) = &message.message
                && let Some(lease) = lease(&given.task, given.epoch)
            {
                let disturbed = {
                    let mut state = of.state();
                    state.holds.insert(lease);
                    state.disturbed
                };
                world.leased(lease, of.worker, disturbed);
            }
            let matters = !matches!(message.message, Some(Told::Welcome(_) | Told::Credential(_)) | None);
            if !of.pass(&world, message, matters, &tell).await {
                break;
            }
        }
        of.cut.cancel();
        world.unlinked(&of);
    });
    Some(Connection { link, say, hear })
}

async fn up(
    world: Arc<World>,
    link: Arc<Link>,
    mut said: UnboundedReceiver<AttachRequest>,
    inbox: UnboundedSender<Result<AttachRequest, Status>>,
) {
    let pass = async {
        while let Some(message) = said.recv().await {
            let message = world.forged(message);
            let matters = matches!(message.message, Some(Said::Outcome(_)));
            if let Some(Said::Outcome(Outcome { task, epoch, .. })) = &message.message
                && let Some(lease) = lease(task, *epoch)
                && !link.state().holds.remove(&lease)
            {
                world.came_late(link.worker, lease);
            }
            if !link.pass(&world, Ok(message), matters, &inbox).await {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = link.cut.cancelled() => {}
        () = pass => {}
    }
    link.cut.cancel();
}

impl Link {
    /// Whether its worker has something to do.
    pub(super) fn is_busy(&self) -> bool {
        !self.state().holds.is_empty()
    }

    /// What of the farm's work a loss of this connection would lose.
    pub(super) fn holds(&self) -> BTreeSet<(TaskId, LeaseEpoch)> {
        self.state().holds.clone()
    }

    /// Whether its worker is to live on without it.
    pub(super) fn zombie(&self) -> Option<Planned> {
        self.state().zombie
    }

    /// A fault strikes here.
    pub(super) fn disturb(&self, world: &World, fault: Planned, time: Duration) {
        world.blame_may_follow(&self.holds());
        let mut state = self.state();
        state.disturbed = true;
        match fault.kind {
            Kind::WorkerKill => {
                self.dead.cancel();
                self.cut.cancel();
                world.fired(fault);
            }
            Kind::WorkerZombie => {
                state.zombie = Some(fault);
                world.lives_on(self.worker, fault);
                self.cut.cancel();
            }
            Kind::Partition => state.held = Some((fault, Instant::now() + time)),
            Kind::Delay => state.delayed = Some((fault, Instant::now() + 4 * time, time / 4)),
            _ => state.next.push_back((fault, time)),
        }
    }

    /// Passes a message on, or does not; false once the other end has gone.
    async fn pass<T: Clone + Send + 'static>(
        &self,
        world: &Arc<World>,
        message: T,
        matters: bool,
        to: &UnboundedSender<T>,
    ) -> bool {
        let held = self.state().held;
        if let Some((fault, until)) = held.filter(|(_, until)| *until > Instant::now()) {
            world.fired(fault);
            sleep_until(until).await;
        }
        let delayed = self.state().delayed;
        if let Some((fault, _, by)) = delayed.filter(|(_, until, _)| *until > Instant::now()) {
            world.fired(fault);
            sleep(by).await;
        }
        let next = if matters { self.state().next.pop_front() } else { None };
        let Some((fault, time)) = next else { return to.send(message).is_ok() };
        world.fired(fault);
        match fault.kind {
            Kind::Duplicate => to.send(message.clone()).is_ok() && to.send(message).is_ok(),
            Kind::Reorder => {
                let (to, cut) = (to.clone(), self.cut.clone());
                tokio::spawn(async move {
                    sleep(time).await;
                    if !cut.is_cancelled() {
                        let _ = to.send(message);
                    }
                });
                true
            }
            _ => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lease(task: &str, epoch: u64) -> Option<(TaskId, LeaseEpoch)> {
    Some((task.parse().ok()?, LeaseEpoch(epoch)))
}
