//! The worker's life: attach to the daemon, run one task at a time on a thread of its own, tell how it goes.

use greenroom_domain::{Problem, ProblemKind, Spec, TaskError, TaskKind, TaskOutput};
use greenroom_proto::worker_v1::{
    self as wire, attach_request::Message as Say, attach_response::Message as Hear, outcome::Result as Ended,
    worker_service_client::WorkerServiceClient,
};
use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt as _,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::{
        mpsc::{self, UnboundedSender},
        watch,
    },
    time::Instant,
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    Args, credential, device,
    fault::Fault,
    inventory::Watch,
    models::Models,
    offer,
    run::{self, Bench, Commands, Patience, Preview},
    sim,
    task_log::{self, TaskLog},
};

/// The device is looked at this often.
const LOOKING: Duration = Duration::from_secs(5);
/// Longer than any worker rests.
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
/// A session of commands waits so long for the next task of its step.
const WARM: Duration = Duration::from_secs(5);

/// Works until the daemon says stop, goes away, or standard input closes.
pub(crate) async fn work(args: Args, log: TaskLog) -> Result<(), Problem> {
    let own = offer::open(&args)?;
    let device_name = device::name(&own.reading.name, args.threads);
    let offer = serde_json::to_vec(&offer::offer(&args, &own.reading)).unwrap_or_default();
    let models = Models::open(&args.pack, args.onnxruntime.clone(), args.threads)?;
    let models = models.with_precision(args.faces.into()).on(own.device);
    let pack_digest = models.pack.digest().to_string();
    let away = |cause: String| {
        let remedy = "check that greenroomd runs and that address and token are its own";
        Problem::new(ProblemKind::Unavailable, "attach worker", &args.daemon, cause, remedy)
    };
    #[expect(clippy::disallowed_methods, reason = "a bucket's keys are told by the environment alone")]
    let artifacts = args.artifacts.open(std::env::vars()).map_err(|e| e.problem())?;
    let (keeper, channel) = credential::open(&args).await?;
    let shown = keeper.shown();
    let mut client = WorkerServiceClient::with_interceptor(channel, move |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", shown.clone());
        Ok(request)
    });

    let (say, words) = mpsc::unbounded_channel();
    tell(
        &say,
        Say::Hello(wire::Hello {
            version: env!("CARGO_PKG_VERSION").into(),
            device: device_name,
            pack_digest,
            pid: std::process::id(),
            offer,
        }),
    );
    let answer = client.attach(UnboundedReceiverStream::new(words)).await.map_err(|e| away(e.message().to_owned()))?;
    let mut inbox = answer.into_inner();
    let preview = Preview::default();
    let commands = args.commands_user.clone().map(|user| Commands { user, scratch: args.commands_scratch.clone() });
    let (scratch, runtime) = (args.scratch.clone(), Handle::current());
    let (log_of_bench, patience) = (log.clone(), Patience::default());
    let bench =
        Bench { models, artifacts, runtime, scratch, preview, log: log_of_bench, commands, session: None, patience };
    let jobs = Jobs::start(bench, say.clone(), args.rehearse.map(Duration::from_millis));
    if let Some(watch) = own.watch {
        tokio::spawn(look(watch, say.clone()));
    }

    let mut heartbeat = tokio::time::interval(Duration::from_secs(2));
    let mut logged = tokio::time::interval(task_log::SENT_EVERY);
    let mut told_to = signal(SignalKind::terminate()).map_err(|e| away(e.to_string()))?;
    let (mut busy, mut rests_since, mut leaving) = (jobs.busy.subscribe(), Instant::now(), false);
    loop {
        let rest = args.idle.map_or(Duration::MAX, Duration::from_secs);
        let rests = !*busy.borrow_and_update() && !leaving && args.idle.is_some();
        tokio::select! {
            _ = told_to.recv() => {
                tracing::info!("worker.leave: it was told to; what it has goes back to the queue");
                jobs.give_back();
                tell(&say, Say::Leaving(wire::Leaving {}));
                leaving = true;
            }
            _ = busy.changed() => rests_since = Instant::now(),
            () = tokio::time::sleep_until(rests_since + rest.min(YEAR)), if rests => {
                tracing::info!("worker.leave: nothing to do for {} s", rest.as_secs());
                tell(&say, Say::Leaving(wire::Leaving {}));
                leaving = true;
            }
            _ = heartbeat.tick() => tell(&say, Say::Heartbeat(wire::Heartbeat {})),
            _ = logged.tick() => tell_log(&say, log.take()),
            () = stdin_closed(), if args.until_stdin_closes => return Ok(()),
            message = inbox.message() => match message.map_err(|e| away(e.message().to_owned()))?.and_then(|m| m.message) {
                Some(Hear::Welcome(welcome)) => {
                    heartbeat = tokio::time::interval(Duration::from_millis(welcome.heartbeat_ms.max(100).into()));
                    tracing::info!(worker.id = welcome.worker, "worker.attach");
                }
                Some(Hear::Assignment(assignment)) => jobs.run(assignment),
                Some(Hear::Cancel(cancel)) if jobs.cancel(&cancel) => {}
                // The daemon counts it as busy until it has heard that it is not.
                Some(Hear::Cancel(cancel)) => tell(&say, Say::Outcome(nothing_of(cancel))),
                Some(Hear::Credential(credential)) => keeper.renew(&credential)?,
                Some(Hear::Stop(_)) | None => return Ok(()),
            },
        }
    }
}

/// Tells how the device is, at once and whenever that has changed.
async fn look(watch: Watch, say: UnboundedSender<wire::AttachRequest>) {
    let (watch, mut told) = (Arc::new(watch), None);
    let mut every = tokio::time::interval(LOOKING);
    loop {
        every.tick().await;
        let watch = watch.clone();
        // A driver may take its time.
        let Ok(read) = tokio::task::spawn_blocking(move || watch.read()).await else { return };
        if read.is_some() && read != told {
            if let Some((reading, pids)) = &read {
                let reading = serde_json::to_vec(reading).unwrap_or_default();
                tell(&say, Say::Reading(wire::Reading { reading, pids: pids.iter().copied().collect() }));
            }
            told = read;
        }
    }
}

/// What a task is asked: to go on, …
const GO_ON: u8 = 0;
/// … to pause where it can go on later, …
const PAUSE_TASK: u8 = 1;
/// … to stop for good.
const STOP_TASK: u8 = 2;

/// The thread that computes, and the tasks that it has: one that it runs, and those that wait for that.
struct Jobs {
    assignments: std::sync::mpsc::Sender<Next>,
    held: Arc<Mutex<Vec<Held>>>,
    /// Whether it has one.
    busy: watch::Sender<bool>,
    /// What it has is given back, and what still comes too.
    leaving: Arc<AtomicBool>,
}

/// A task under its lease, and what is asked of it.
type Held = (String, u64, Arc<AtomicU8>);

impl Jobs {
    fn start(mut bench: Bench, say: UnboundedSender<wire::AttachRequest>, rehearse: Option<Duration>) -> Self {
        let (assignments, queue) = std::sync::mpsc::channel::<Next>();
        let held = Arc::<Mutex<Vec<Held>>>::default();
        let (busy, leaving) = (watch::Sender::new(false), Arc::new(AtomicBool::new(false)));
        let (running, rests, leaves) = (held.clone(), busy.clone(), leaving.clone());
        std::thread::spawn(move || {
            while let Some((assignment, stop)) = next(&mut bench, &queue) {
                bench.log.begin(&assignment.task, assignment.epoch);
                bench.patience.ask(wanted(&assignment, &stop, &say));
                let outcome = perform(&mut bench, &assignment, &stop, &say, rehearse);
                bench.patience.over();
                let outcome = outcome.map_err(sorted);
                if let Err(error) = &outcome {
                    bench.log.add("error", &format!("{error}; {}", error.problem.remedy));
                }
                tell_log(&say, bench.log.end());
                let out_of_memory = matches!(&outcome, Err(error) if error.problem.kind == ProblemKind::OutOfMemory);
                let paused = stop.load(Ordering::Relaxed) == PAUSE_TASK || leaves.load(Ordering::Relaxed);
                let result = match outcome {
                    Ok(output) => Ended::Output(serde_json::to_vec(&output).unwrap_or_default()),
                    Err(error) if paused && error == Fault::cancelled().0 => Ended::Paused(wire::Paused {}),
                    Err(error) => Ended::Error(serde_json::to_vec(&error).unwrap_or_default()),
                };
                let (task, epoch) = (assignment.task, assignment.epoch);
                let warm = bench.models.warm();
                lock(&running).retain(|(of, under, _)| (of, *under) != (&task, epoch));
                tell(&say, Say::Outcome(wire::Outcome { task, epoch, result: Some(result), warm, out_of_memory }));
                rests.send_replace(!lock(&running).is_empty());
            }
        });
        Self { assignments, held, busy, leaving }
    }

    fn run(&self, assignment: wire::Assignment) {
        let goes = self.leaving.load(Ordering::Relaxed);
        let stop = Arc::new(AtomicU8::new(if goes { STOP_TASK } else { GO_ON }));
        self.busy.send_replace(true);
        lock(&self.held).push((assignment.task.clone(), assignment.epoch, stop.clone()));
        // The thread ends with the process only.
        let _ = self.assignments.send((assignment, stop));
    }

    /// Stops what it has at the next chance; it goes back to the queue, for somebody else to do.
    fn give_back(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        for (_, _, stop) in lock(&self.held).iter() {
            stop.fetch_max(STOP_TASK, Ordering::Relaxed);
        }
    }

    /// Asks a task to stop or to pause; false where there is no such task.
    fn cancel(&self, cancel: &wire::Cancel) -> bool {
        let held = lock(&self.held);
        let found = held.iter().find(|(task, epoch, _)| (task, *epoch) == (&cancel.task, cancel.epoch));
        if let Some((_, _, stop)) = found {
            // What is to stop for good is not paused after all.
            stop.fetch_max(if cancel.pause { PAUSE_TASK } else { STOP_TASK }, Ordering::Relaxed);
        }
        found.is_some()
    }
}

/// What is said of a task that is not here.
fn nothing_of(cancel: wire::Cancel) -> wire::Outcome {
    let (result, warm) = (Ended::Error(serde_json::to_vec(&Fault::cancelled().0).unwrap_or_default()), vec![]);
    wire::Outcome { task: cancel.task, epoch: cancel.epoch, result: Some(result), warm, out_of_memory: false }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next assignment; a session that none comes for is ended meanwhile.
fn next(bench: &mut Bench, queue: &Receiver<Next>) -> Option<Next> {
    if bench.session.is_some() {
        match queue.recv_timeout(WARM) {
            Ok(next) => return Some(next),
            Err(RecvTimeoutError::Timeout) => run::end_session(bench),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    queue.recv().ok()
}

type Next = (wire::Assignment, Arc<AtomicU8>);

/// What failed because the device had no memory left, by what its driver said of it, is a problem of its own kind.
fn sorted(error: TaskError) -> TaskError {
    let cause = error.problem.cause.to_lowercase();
    if !["out of memory", "out_of_memory"].iter().any(|words| cause.contains(words)) {
        return error;
    }
    let remedy = "ask for smaller pictures, or attach a device with more memory".to_owned();
    TaskError { problem: Problem { kind: ProblemKind::OutOfMemory, remedy, ..error.problem }, retry: true }
}

/// Runs one assignment. A panic in a model or codec fails the task, not the worker.
fn perform(
    bench: &mut Bench,
    assignment: &wire::Assignment,
    stop: &AtomicU8,
    say: &UnboundedSender<wire::AttachRequest>,
    rehearse: Option<Duration>,
) -> Result<TaskOutput, TaskError> {
    let internal = |cause: String| {
        let problem = Problem::new(ProblemKind::Internal, "run task", &assignment.task, cause, "report this as a bug");
        TaskError { problem, retry: false }
    };
    let spec: Spec = serde_json::from_slice(&assignment.spec).map_err(|e| internal(e.to_string()))?;
    let kind = spec.kind();
    // Only a training has checkpoints; what is shorter is done sooner than paused.
    let most = if kind == TaskKind::Train { PAUSE_TASK } else { STOP_TASK };
    let (preview, log, mut stage) = (bench.preview.clone(), bench.log.clone(), String::new());
    let mut progress = |fraction: f32, message: &str| {
        // Of "keyframe 1 of 8" and "keyframe 2 of 8" the first is enough.
        let words: String = message.chars().filter(|c| !c.is_ascii_digit()).collect();
        if words != stage {
            log.add("info", message);
            stage = words;
        }
        let (task, message, picture) = (assignment.task.clone(), message.to_owned(), preview.take());
        tell(say, Say::Progress(wire::Progress { task, epoch: assignment.epoch, fraction, message, picture }));
        if stop.load(Ordering::Relaxed) >= most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    tracing::info!(task.id = assignment.task, task.kind = %kind, "task.run");
    let run = std::panic::AssertUnwindSafe(|| match rehearse {
        None => run::run(bench, spec, &mut progress),
        Some(takes) => sim::run(bench, &spec, (&assignment.task, assignment.epoch), takes, &mut progress),
    });
    match std::panic::catch_unwind(run) {
        Ok(result) => result.map_err(|fault| fault.0),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(internal(format!("{kind} panicked: {}", text.unwrap_or_else(|| "no message".into()))))
        }
    }
}

/// Tells that a task waits; it goes on waiting until somebody wants it stopped, or paused.
fn wanted(
    assignment: &wire::Assignment,
    stop: &Arc<AtomicU8>,
    say: &UnboundedSender<wire::AttachRequest>,
) -> impl FnMut(&str) -> ControlFlow<()> + Send + use<> {
    let (task, epoch, stop, say) = (assignment.task.clone(), assignment.epoch, stop.clone(), say.clone());
    move |message: &str| {
        let (task, message) = (task.clone(), message.to_owned());
        tell(&say, Say::Progress(wire::Progress { task, epoch, fraction: 1.0, message, picture: vec![] }));
        if stop.load(Ordering::Relaxed) == GO_ON { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// Failing to send means that the stream has ended; the loop above sees that too.
fn tell(say: &UnboundedSender<wire::AttachRequest>, message: Say) {
    let _ = say.send(wire::AttachRequest { message: Some(message) });
}

fn tell_log(say: &UnboundedSender<wire::AttachRequest>, log: Option<wire::Log>) {
    if let Some(log) = log {
        tell(say, Say::Log(log));
    }
}

async fn stdin_closed() {
    let (mut stdin, mut buffer) = (tokio::io::stdin(), [0; 64]);
    while matches!(stdin.read(&mut buffer).await, Ok(n) if n > 0) {}
}
