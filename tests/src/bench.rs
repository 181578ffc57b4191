//! One worker program with one task, given by hand: what the farm would never ask of it can be asked here.

use greenroom_domain::{Spec, TaskError, TaskOutput};
use greenroom_proto::worker_v1::{
    self as wire,
    attach_request::Message as Said,
    attach_response::Message as Say,
    outcome::Result as Outcome,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use std::{
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, oneshot},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::process::{PATIENCE, Programs};

/// What a worker said of its one task.
type Answer = Result<TaskOutput, TaskError>;

/// Gives one task to whoever attaches first.
#[derive(Clone)]
pub struct Bench {
    task: wire::Assignment,
    answer: Arc<Mutex<Option<oneshot::Sender<Answer>>>>,
}

impl Bench {
    /// Runs a task in a worker of its own, on the artifacts of a farm.
    pub async fn run(farm_state: &Path, spec: &Spec) -> Answer {
        let (answer, answered) = oneshot::channel();
        let spec = serde_json::to_vec(spec).unwrap();
        let bench = Self {
            task: wire::Assignment { task: "task_by_hand".into(), epoch: 1, spec },
            answer: Arc::new(Mutex::new(Some(answer))),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder().add_service(WorkerServiceServer::new(bench));
        let server = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let output = tokio::time::timeout(PATIENCE, worker(&address, farm_state)).await.unwrap();
        server.abort();
        let log = String::from_utf8_lossy(&output.stderr);
        answered.await.unwrap_or_else(|_| panic!("the worker gave no answer ({}):\n{log}", output.status))
    }
}

async fn worker(address: &str, farm_state: &Path) -> Output {
    let programs = Programs::find();
    let scratch = TempDir::new().unwrap();
    let mut command = tokio::process::Command::new(programs.path("greenroom-worker"));
    command.args(["--daemon", address]).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command.arg("--token-file").arg(farm_state.join("worker.token"));
    command.arg("--artifacts").arg(farm_state.join("artifacts"));
    command.arg("--scratch").arg(scratch.path());
    command.arg("--pack").arg(&programs.pack).arg("--onnxruntime").arg(&programs.onnxruntime);
    command.output().await.unwrap()
}

#[tonic::async_trait]
impl WorkerService for Bench {
    type AttachStream = ReceiverStream<Result<wire::AttachResponse, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut said = request.into_inner();
        let (say, words) = mpsc::channel(4);
        let bench = self.clone();
        tokio::spawn(async move {
            let message = |message| Ok(wire::AttachResponse { message: Some(message) });
            say.send(message(Say::Assignment(bench.task))).await.unwrap();
            while let Ok(Some(request)) = said.message().await {
                let Some(Said::Outcome(outcome)) = request.message else { continue };
                let answer = match outcome.result.unwrap() {
                    Outcome::Output(json) => Ok(serde_json::from_slice(&json).unwrap()),
                    Outcome::Error(json) => Err(serde_json::from_slice(&json).unwrap()),
                    Outcome::Paused(_) => panic!("nobody asked for a pause"),
                };
                let waiting = bench.answer.lock().await.take();
                waiting.unwrap().send(answer).unwrap();
                say.send(message(Say::Stop(wire::Stop {}))).await.unwrap();
            }
        });
        Ok(Response::new(ReceiverStream::new(words)))
    }

    async fn enrol(&self, _: Request<wire::EnrolRequest>) -> Result<Response<wire::Credential>, Status> {
        Err(Status::unimplemented("nobody joins a bench"))
    }
}
