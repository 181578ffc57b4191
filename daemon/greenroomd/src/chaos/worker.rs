//! A worker without a device: it attaches, takes its time over what it is given, and publishes what it made up.

use greenroom_domain::{DeviceKind, LeaseEpoch, Offer, Problem, ProblemKind, Spec, TaskError, TaskId, mark, rehearse};
use greenroom_proto::worker_v1::{
    Assignment, AttachRequest, Cancel, Heartbeat, Hello, Outcome, Progress, attach_request::Message as Say,
    attach_response::Message as Told, outcome::Result as Ended,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    chance::Chance,
    fault::Planned,
    link::{Connection, connect},
    world::World,
};

/// Its process.
struct Process {
    world: Arc<World>,
    number: u32,
    /// It was killed, or ended.
    dead: CancellationToken,
    /// Where it can be heard now.
    say: Mutex<Option<UnboundedSender<AttachRequest>>>,
    running: Mutex<BTreeMap<(TaskId, LeaseEpoch), CancellationToken>>,
    chance: Mutex<Chance>,
}

/// Lives, dies, and comes back, until the simulation ends.
pub(super) async fn run(world: Arc<World>, number: u32, pack: String) {
    let mut chance = Chance::of(world.seed, "worker", number);
    let slots = chance.between(1, 3) as u32;
    let mut process = Process::new(&world, number, 0);
    for life in 1.. {
        let Some(daemon) = world.daemon() else {
            sleep(chance.ms(50, 500)).await;
            continue;
        };
        let Some(connection) = connect(&world, &daemon, number, hello(number, slots, &pack)).await else {
            sleep(chance.ms(200, 2_000)).await;
            continue;
        };
        let lived_on = process.clone().serve(connection).await;
        if let Some(fault) = lived_on {
            // It computes on, and says so when it is back.
            process.world.say(format_args!("worker {number} lives on after fault {}", fault.number));
        } else {
            process.dead.cancel();
            process = Process::new(&world, number, life);
        }
        sleep(chance.ms(200, 5_000)).await;
    }
}

fn hello(number: u32, slots: u32, pack: &str) -> AttachRequest {
    let offer = Offer {
        node: format!("node{}", number / 2),
        device: format!("cuda:{}", number % 2),
        kind: DeviceKind::Gpu,
        memory_mib: 24_000,
        threads: 8,
        slots,
        ..Offer::default()
    };
    words(Say::Hello(Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        device: offer.device.clone(),
        pack_digest: pack.to_owned(),
        pid: number,
        offer: serde_json::to_vec(&offer).unwrap_or_default(),
    }))
}

impl Process {
    fn new(world: &Arc<World>, number: u32, life: u32) -> Arc<Self> {
        let chance = Mutex::new(Chance::of(world.seed, "process", number * 10_000 + life));
        let (dead, say, running) = (CancellationToken::new(), Mutex::default(), Mutex::default());
        Arc::new(Self { world: world.clone(), number, dead, say, running, chance })
    }

    /// Answers one connection until it ends; tells the fault by which the process outlives it.
    async fn serve(self: Arc<Self>, connection: Connection) -> Option<Planned> {
        let Connection { link, say, mut hear } = connection;
        *lock(&self.say) = Some(say.clone());
        let mut heartbeat = tokio::time::interval(Duration::from_secs(2));
        loop {
            tokio::select! {
                biased;
                () = link.dead.cancelled() => {
                    self.world.say(format_args!("worker {} killed", self.number));
                    self.dead.cancel();
                    break;
                }
                () = link.cut.cancelled() => break,
                message = hear.recv() => match message.map(|message| message.message) {
                    Some(Some(Told::Assignment(given))) => self.clone().begin(given),
                    Some(Some(Told::Cancel(cancel))) => {
                        let lease = cancel.task.parse().ok().map(|task| (task, LeaseEpoch(cancel.epoch)));
                        let running = lease.and_then(|lease| lock(&self.running).get(&lease).cloned());
                        match running {
                            Some(running) => running.cancel(),
                            None => drop(say.send(words(Say::Outcome(nothing_of(cancel))))),
                        }
                    }
                    Some(Some(Told::Welcome(_) | Told::Credential(_)) | None) => {}
                    Some(Some(Told::Stop(_))) | None => break,
                },
                _ = heartbeat.tick() => drop(say.send(words(Say::Heartbeat(Heartbeat {})))),
            }
        }
        *lock(&self.say) = None;
        link.zombie().filter(|_| !self.dead.is_cancelled())
    }

    fn begin(self: Arc<Self>, given: Assignment) {
        let Ok(task) = given.task.parse() else { return self.world.broken(format!("no task: {}", given.task)) };
        let lease = (task, LeaseEpoch(given.epoch));
        let stop = self.dead.child_token();
        lock(&self.running).insert(lease, stop.clone());
        tokio::spawn(async move {
            let ended = self.compute(lease, &given, &stop).await;
            lock(&self.running).remove(&lease);
            if let (Some(result), false) = (ended, self.dead.is_cancelled()) {
                let (task, epoch) = (given.task, given.epoch);
                let outcome = Outcome { task, epoch, result: Some(result), warm: vec![], out_of_memory: false };
                self.tell(Say::Outcome(outcome)).await;
            }
        });
    }

    /// Takes its time and makes something up; nothing where the process ends before that.
    async fn compute(
        &self,
        lease: (TaskId, LeaseEpoch),
        given: &Assignment,
        stop: &CancellationToken,
    ) -> Option<Ended> {
        let spec: Spec = match serde_json::from_slice(&given.spec) {
            Ok(spec) => spec,
            Err(error) => {
                self.world.broken(format!("the spec of {} cannot be read: {error}", given.task));
                return None;
            }
        };
        let (mut left, fails) = {
            let mut chance = lock(&self.chance);
            (chance.ms(200, 12_000), chance.percent(4))
        };
        while left > Duration::ZERO {
            let part = left.min(Duration::from_secs(2));
            tokio::select! {
                biased;
                () = stop.cancelled() => return (!self.dead.is_cancelled()).then(|| error("it was cancelled")),
                () = sleep(part) => {}
            }
            left -= part;
            let (task, epoch) = (given.task.clone(), given.epoch);
            let (fraction, message, picture) = (0.5, "computing".into(), vec![]);
            self.say_now(Say::Progress(Progress { task, epoch, fraction, message, picture }));
        }
        if fails {
            self.world.blame_may_follow(&[lease].into());
            return Some(error("it went wrong by chance"));
        }
        let Some(made) = rehearse(&spec, &mark(&given.task, lease.1)) else {
            self.world.broken(format!("{} is nothing that a worker does", given.task));
            return None;
        };
        for bytes in made.artifacts {
            // A disk that is full is waited for.
            while self.world.ground.artifacts.put_bytes(bytes.clone().into()).await.is_err() {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return (!self.dead.is_cancelled()).then(|| error("it was cancelled")),
                    () = sleep(Duration::from_secs(1)) => {}
                }
            }
        }
        Some(Ended::Output(serde_json::to_vec(&made.output).unwrap_or_default()))
    }

    /// Says it as soon as somebody listens.
    async fn tell(&self, message: Say) {
        while !self.say_now(message.clone()) {
            if self.dead.is_cancelled() {
                return;
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    fn say_now(&self, message: Say) -> bool {
        lock(&self.say).as_ref().is_some_and(|say| say.send(words(message)).is_ok())
    }
}

/// What a worker says of a task that it does not have.
fn nothing_of(cancel: Cancel) -> Outcome {
    let (task, epoch, result) = (cancel.task, cancel.epoch, Some(error("it was cancelled")));
    Outcome { task, epoch, result, warm: vec![], out_of_memory: false }
}

fn error(cause: &str) -> Ended {
    let problem = Problem::new(ProblemKind::Conflict, "run task", "task", cause, "push again");
    Ended::Error(serde_json::to_vec(&TaskError { problem, retry: true }).unwrap_or_default())
}

fn words(message: Say) -> AttachRequest {
    AttachRequest { message: Some(message) }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
