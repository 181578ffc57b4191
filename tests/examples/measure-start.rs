//! How long it takes from a push to the start of its task, and how many small tasks a second the whole farm does, in the ledger
//! and back, with workers in processes of their own: `cargo xtask measure dispatch`.
//!
//! Its workers are this program once more: they speak the workers' protocol and answer at once, so what is measured is the
//! farm's own time. Every change is on the disk before it is told.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, not a library"
)]

use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{Offer, Pack, TaskOutput};
use greenroom_proto::{
    v1,
    worker_v1::{
        self as wire, attach_request::Message as Say, attach_response::Message as Hear, outcome::Result as Ended,
        worker_service_client::WorkerServiceClient,
    },
};
use greenroom_tests::{Farm, Options, Programs, Project, until};
use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// Pushes that are timed one by one.
const PUSHES: usize = 300;
/// Tasks of the one job that is timed as a whole.
const TASKS: u32 = 2_000;
/// Worker processes for that.
const WORKERS: usize = 8;

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [role, address, state] = &arguments[..]
        && role == "worker"
    {
        return work(address, Path::new(state)).await;
    }
    let config = String::new();
    let farm =
        Farm::start_with(Options { workers: 0, commands: Some(String::new()), config, ..Options::default() }).await;
    let lab = farm.project("lab").await;
    let mut one = Worker::start(&farm).await;
    let mut times = vec![];
    for n in 0..PUSHES {
        let template = template(1, n);
        let digest = lab.client().upload(template.as_bytes()).await;
        let pushed = now();
        push(&lab, digest).await;
        times.push(one.started() - pushed);
    }
    times.sort_by(f64::total_cmp);
    print("submit_to_start_p50_ms", times[PUSHES / 2] * 1e3, "ms");
    print("submit_to_start_p99_ms", times[PUSHES * 99 / 100] * 1e3, "ms");
    let mut others = vec![];
    for _ in 1..WORKERS {
        others.push(Worker::start(&farm).await);
    }
    let digest = lab.client().upload(template(TASKS, PUSHES).as_bytes()).await;
    let began = Instant::now();
    let job = push(&lab, digest).await;
    until("the job ends", async || {
        let request = v1::GetJobRequest { name: job.clone() };
        let job = lab.client().jobs().get_job(request).await.unwrap().into_inner();
        (job.state() == v1::job::State::Done).then_some(())
    })
    .await;
    print("farm_tasks_per_second", f64::from(TASKS) / began.elapsed().as_secs_f64(), "1/s");
}

/// A job of so many tasks that do nothing; `n` makes it another one.
fn template(tasks: u32, n: usize) -> String {
    format!(
        "specificationVersion: jobtemplate-2023-09\nname: Nothing {n}\nsteps:\n  - name: Run\n    parameterSpace:\n      \
         taskParameterDefinitions:\n        - {{ name: N, type: INT, range: \"1-{tasks}\" }}\n    script:\n      actions:\n        \
         onRun: {{ command: \"true\" }}\n"
    )
}

async fn push(lab: &Project, template_digest: String) -> String {
    let request = v1::PushTemplateRequest {
        parent: lab.name().to_owned(),
        file_name: "job.yaml".into(),
        template_digest,
        parameters_json: "{}".into(),
        template_folder: "/lab".into(),
        working_folder: "/lab".into(),
        ..v1::PushTemplateRequest::default()
    };
    lab.client().jobs().push_template(request).await.unwrap().into_inner().job.unwrap().name
}

/// A worker in a process of its own, which says when each task begins.
struct Worker {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Worker {
    async fn start(farm: &Farm) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("worker").arg(farm.address()).arg(farm.state());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let before = farm.client().farm().get_farm(v1::GetFarmRequest {}).await.unwrap().into_inner().workers.len();
        until("the worker is attached", async || {
            let farm = farm.client().farm().get_farm(v1::GetFarmRequest {}).await.unwrap().into_inner();
            (farm.workers.len() >= before.max(1)).then_some(())
        })
        .await;
        Self { process, said }
    }

    /// When its next task began, seconds.
    fn started(&mut self) -> f64 {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers every task at once.
async fn work(address: &str, state: &Path) {
    let token = std::fs::read_to_string(state.join("worker.token")).unwrap();
    let pack = std::fs::read_to_string(Programs::find().pack.join("pack.toml")).unwrap();
    let artifacts = ArtifactStore::local(state.join("artifacts")).unwrap();
    let log = artifacts.put_bytes("nothing was said\n".into()).await.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(address.to_owned()).unwrap().connect().await.unwrap();
    let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {}", token.trim()).parse().unwrap();
    let mut client = WorkerServiceClient::with_interceptor(channel, move |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", bearer.clone());
        Ok(request)
    });
    let offer = Offer { node: "here".into(), device: "cpu".into(), threads: 1, slots: 1, ..Offer::default() };
    let (say, words) = tokio::sync::mpsc::unbounded_channel();
    let tell = |message| say.send(wire::AttachRequest { message: Some(message) }).unwrap();
    tell(Say::Hello(wire::Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        device: "cpu".into(),
        pack_digest: Pack::parse(&pack, "pack.toml").unwrap().digest().to_string(),
        pid: std::process::id(),
        offer: serde_json::to_vec(&offer).unwrap(),
    }));
    let mut inbox = client.attach(UnboundedReceiverStream::new(words)).await.unwrap().into_inner();
    let mut beat = tokio::time::interval(std::time::Duration::from_secs(1));
    let output = TaskOutput::Command { files: vec![], log, timings: Default::default() };
    let output = serde_json::to_vec(&output).unwrap();
    loop {
        tokio::select! {
            _ = beat.tick() => tell(Say::Heartbeat(wire::Heartbeat {})),
            message = inbox.message() => match message.ok().flatten().and_then(|m| m.message) {
                Some(Hear::Assignment(given)) => {
                    println!("{}", now());
                    let result = Some(Ended::Output(output.clone()));
                    let outcome = wire::Outcome { task: given.task, epoch: given.epoch, result, ..Default::default() };
                    tell(Say::Outcome(outcome));
                }
                Some(_) => {}
                None => return,
            },
        }
    }
}

/// Seconds since 1970: the processes share the machine's clock.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn print(figure: &str, value: f64, unit: &str) {
    println!("{}", serde_json::json!({ "figure": figure, "value": value, "unit": unit }));
}
