//! The worker's life: attach to the daemon, run one task at a time on a thread of its own, tell how it goes.

use greenroom_domain::{Problem, ProblemKind, Spec, TaskError, TaskOutput};
use greenroom_proto::worker_v1::{
    self as wire, attach_request::Message as Say, attach_response::Message as Hear, outcome::Result as Ended,
    worker_service_client::WorkerServiceClient,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt as _,
    runtime::Handle,
    sync::mpsc::{self, UnboundedSender},
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    Args, credential, device,
    models::Models,
    run::{self, Bench, Preview},
};

/// Works until the daemon says stop, goes away, or standard input closes.
pub(crate) async fn work(args: Args) -> Result<(), Problem> {
    let device = args.device.open()?;
    let device_name = device::name(&device, args.threads);
    let models = Models::open(&args.pack, args.onnxruntime.clone(), args.threads)?;
    let models = models.with_precision(args.faces.into()).on(device);
    let pack_digest = models.pack.digest().to_string();
    let away = |cause: String| {
        let remedy = "check that greenroomd runs and that address and token are its own";
        Problem::new(ProblemKind::Unavailable, "attach worker", &args.daemon, cause, remedy)
    };
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
        }),
    );
    let answer = client.attach(UnboundedReceiverStream::new(words)).await.map_err(|e| away(e.message().to_owned()))?;
    let mut inbox = answer.into_inner();
    let preview = Preview::default();
    let bench = Bench { models, artifacts, runtime: Handle::current(), scratch: args.scratch.clone(), preview };
    let jobs = Jobs::start(bench, say.clone());

    let mut heartbeat = tokio::time::interval(Duration::from_secs(2));
    loop {
        tokio::select! {
            _ = heartbeat.tick() => tell(&say, Say::Heartbeat(wire::Heartbeat {})),
            () = stdin_closed(), if args.until_stdin_closes => return Ok(()),
            message = inbox.message() => match message.map_err(|e| away(e.message().to_owned()))?.and_then(|m| m.message) {
                Some(Hear::Welcome(welcome)) => {
                    heartbeat = tokio::time::interval(Duration::from_millis(welcome.heartbeat_ms.max(100).into()));
                    tracing::info!(worker.id = welcome.worker, "worker.attach");
                }
                Some(Hear::Assignment(assignment)) => jobs.run(assignment),
                Some(Hear::Cancel(cancel)) => jobs.cancel(&cancel),
                Some(Hear::Credential(credential)) => keeper.renew(&credential)?,
                Some(Hear::Stop(_)) | None => return Ok(()),
            },
        }
    }
}

/// The thread that computes, and the task that it has.
struct Jobs {
    assignments: std::sync::mpsc::Sender<(wire::Assignment, Arc<AtomicBool>)>,
    current: std::sync::Mutex<Option<(String, u64, Arc<AtomicBool>)>>,
}

impl Jobs {
    fn start(mut bench: Bench, say: UnboundedSender<wire::AttachRequest>) -> Self {
        let (assignments, queue) = std::sync::mpsc::channel::<(wire::Assignment, Arc<AtomicBool>)>();
        std::thread::spawn(move || {
            for (assignment, stop) in queue {
                let outcome = perform(&mut bench, &assignment, &stop, &say);
                let result = match outcome {
                    Ok(output) => Ended::Output(serde_json::to_vec(&output).unwrap_or_default()),
                    Err(error) => Ended::Error(serde_json::to_vec(&error).unwrap_or_default()),
                };
                let (task, epoch) = (assignment.task, assignment.epoch);
                tell(&say, Say::Outcome(wire::Outcome { task, epoch, result: Some(result) }));
            }
        });
        Self { assignments, current: std::sync::Mutex::default() }
    }

    fn run(&self, assignment: wire::Assignment) {
        let stop = Arc::new(AtomicBool::new(false));
        let current = (assignment.task.clone(), assignment.epoch, stop.clone());
        *self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(current);
        // The thread ends with the process only.
        let _ = self.assignments.send((assignment, stop));
    }

    fn cancel(&self, cancel: &wire::Cancel) {
        let current = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((task, epoch, stop)) = &*current
            && (task, *epoch) == (&cancel.task, cancel.epoch)
        {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs one assignment. A panic in a model or codec fails the task, not the worker.
fn perform(
    bench: &mut Bench,
    assignment: &wire::Assignment,
    stop: &AtomicBool,
    say: &UnboundedSender<wire::AttachRequest>,
) -> Result<TaskOutput, TaskError> {
    let internal = |cause: String| {
        let problem = Problem::new(ProblemKind::Internal, "run task", &assignment.task, cause, "report this as a bug");
        TaskError { problem, retry: false }
    };
    let spec: Spec = serde_json::from_slice(&assignment.spec).map_err(|e| internal(e.to_string()))?;
    let preview = bench.preview.clone();
    let mut progress = |fraction: f32, message: &str| {
        let (task, message, picture) = (assignment.task.clone(), message.to_owned(), preview.take());
        tell(say, Say::Progress(wire::Progress { task, epoch: assignment.epoch, fraction, message, picture }));
        if stop.load(Ordering::Relaxed) {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    };
    let kind = spec.kind();
    tracing::info!(task.id = assignment.task, task.kind = %kind, "task.run");
    let run = std::panic::AssertUnwindSafe(|| run::run(bench, spec, &mut progress));
    match std::panic::catch_unwind(run) {
        Ok(result) => result.map_err(|fault| fault.0),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(internal(format!("{kind} panicked: {}", text.unwrap_or_else(|| "no message".into()))))
        }
    }
}

/// Failing to send means that the stream has ended; the loop above sees that too.
fn tell(say: &UnboundedSender<wire::AttachRequest>, message: Say) {
    let _ = say.send(wire::AttachRequest { message: Some(message) });
}

async fn stdin_closed() {
    let (mut stdin, mut buffer) = (tokio::io::stdin(), [0; 64]);
    while matches!(stdin.read(&mut buffer).await, Ok(n) if n > 0) {}
}
