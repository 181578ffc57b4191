//! Reading what tasks said.

use greenroom_domain::{JobId, JobState, LeaseEpoch, Problem, ProblemKind, Task, TaskId};
use greenroom_proto::v1::{self, log_service_server::LogService};
use regex::{Regex, RegexBuilder};
use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{invalid, not_found, status, store},
};
use crate::{
    farm::Farm,
    task_logs::{Line, Part},
};

/// Lines of one message.
const PAGE: usize = 256;
/// A search that needs more memory than this, bytes, is refused.
const PATTERN: usize = 1 << 20;
/// Whoever follows looks again after this at the latest: the job may have ended without a further word.
const LOOK: Duration = Duration::from_secs(1);

/// Which lines are asked for.
struct Wanted {
    job: JobId,
    task: Option<TaskId>,
    shot: String,
    attempt: Option<LeaseEpoch>,
    pattern: Option<Regex>,
    level: usize,
}

#[tonic::async_trait]
impl LogService for Api {
    type ReadLogsStream = Pin<Box<dyn Stream<Item = Result<v1::ReadLogsResponse, Status>> + Send>>;

    async fn read_logs(&self, request: Request<v1::ReadLogsRequest>) -> Result<Response<Self::ReadLogsStream>, Status> {
        let request = request.into_inner();
        let (tail, follow) = (request.tail as usize, request.follow);
        let wanted = self.wanted(request).await?;
        let (outbox, stream) = mpsc::channel(4);
        let farm = self.0.clone();
        tokio::spawn(async move {
            if let Err(status) = read(farm, wanted, tail, follow, &outbox).await {
                let _ = outbox.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

impl Api {
    /// A task whose project the caller may look at.
    pub(super) async fn task(&self, id: TaskId) -> Result<Task, Status> {
        let missing = || not_found("task", &id.to_string());
        let task = self.0.store.task(id).await.map_err(store)?.ok_or_else(missing)?;
        let job = self.0.store.job(task.job).await.map_err(store)?.ok_or_else(missing)?;
        let project = self.0.store.project(job.project).await.map_err(store)?.ok_or_else(missing)?;
        // Whose it is decides who may ask.
        self.job(&format!("projects/{}/jobs/{}", project.name, job.id)).await?;
        Ok(task)
    }

    async fn wanted(&self, request: v1::ReadLogsRequest) -> Result<Wanted, Status> {
        let (task, job) = match request.name.parse::<TaskId>() {
            Ok(id) => (Some(id), self.task(id).await?.job),
            Err(_) => (None, self.job(&request.name).await?.1.id),
        };
        let levels = ["error", "warn", "info"];
        let level = match request.level.as_str() {
            "" => levels.len(),
            level => levels
                .iter()
                .position(|l| *l == level)
                .ok_or_else(|| invalid("read logs", level, "it is no level", "write error, warn or info"))?,
        };
        let pattern = RegexBuilder::new(&request.pattern).case_insensitive(true).size_limit(PATTERN).build();
        let remedy = "write a regular expression; a backslash in front of . * ( [ means the character itself";
        let pattern = pattern.map_err(|e| invalid("read logs", &request.pattern, e, remedy))?;
        Ok(Wanted {
            job,
            task,
            shot: request.shot,
            attempt: (request.attempt > 0).then_some(LeaseEpoch(request.attempt)),
            pattern: (!request.pattern.is_empty()).then_some(pattern),
            level,
        })
    }
}

/// Reads what there is, then, if asked, what comes until the job has ended.
async fn read(
    farm: Arc<Farm>,
    wanted: Wanted,
    tail: usize,
    follow: bool,
    outbox: &mpsc::Sender<Result<v1::ReadLogsResponse, Status>>,
) -> Result<(), Status> {
    let mut grown = farm.task_logs.grown();
    let tail = (tail > 0).then_some(tail);
    let mut reader = Reader { wanted, tasks: BTreeMap::new(), at: BTreeMap::new(), tail };
    loop {
        grown.borrow_and_update();
        // What is said before the job has ended is written by then.
        let job = farm.store.job(reader.wanted.job).await.map_err(store)?;
        let ended = job.is_none_or(|job| job.state != JobState::Active);
        // Logs grow many times a second on a busy farm; that a task is new to us is rare.
        let parts = farm.task_logs.parts(reader.wanted.job).map_err(|e| unreadable(&e))?;
        if parts.iter().any(|part| !reader.tasks.contains_key(&part.task)) {
            let tasks = farm.store.tasks(reader.wanted.job).await.map_err(store)?;
            reader.tasks = tasks.into_iter().map(|task| (task.id, task)).collect();
        }
        let out = outbox.clone();
        let step = tokio::task::spawn_blocking(move || {
            let read = reader.step(parts, &out);
            (reader, read)
        });
        let (read, result) = step.await.map_err(|e| Status::internal(e.to_string()))?;
        reader = read;
        match result {
            Ok(true) => {}
            Ok(false) => return Ok(()), // the reader has gone
            Err(error) => return Err(unreadable(&error)),
        }
        if !follow || ended {
            return Ok(());
        }
        tokio::select! {
            _ = grown.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = outbox.closed() => return Ok(()),
            () = farm.stop.cancelled() => return Err(Status::unavailable("the daemon stops")),
        }
    }
}

/// How far somebody has read.
struct Reader {
    wanted: Wanted,
    /// The job's tasks, as of when the last new one was seen: what is asked of them does not change.
    tasks: BTreeMap<TaskId, Task>,
    at: BTreeMap<Part, u64>,
    /// Of what there is at first, only so many of the last lines.
    tail: Option<usize>,
}

impl Reader {
    /// Sends what is new. Answers whether anybody still reads.
    fn step(
        &mut self,
        parts: Vec<Part>,
        outbox: &mpsc::Sender<Result<v1::ReadLogsResponse, Status>>,
    ) -> std::io::Result<bool> {
        let tail = self.tail.take();
        let (mut page, mut open) = (VecDeque::new(), true);
        let wanted = &self.wanted;
        for part in parts {
            let Some(task) = self.tasks.get(&part.task).filter(|task| wanted.is_of(task, part.epoch)) else { continue };
            let from = self.at.get(&part).copied().unwrap_or_default();
            let to = part.lines(from, &mut |line| {
                if wanted.has(&line) {
                    page.push_back(told(task, part.epoch, line));
                }
                match tail {
                    Some(most) if page.len() > most => drop(page.pop_front()),
                    None if page.len() >= PAGE => open = send(&mut page, outbox),
                    _ => {}
                }
                open
            })?;
            self.at.insert(part, to);
            if !open {
                return Ok(false);
            }
        }
        while open && !page.is_empty() {
            let mut first = page.drain(..page.len().min(PAGE)).collect();
            open = send(&mut first, outbox);
        }
        Ok(open)
    }
}

impl Wanted {
    fn is_of(&self, task: &Task, epoch: LeaseEpoch) -> bool {
        self.task.is_none_or(|id| id == task.id)
            && self.attempt.is_none_or(|attempt| attempt == epoch)
            && (self.shot.is_empty() || task.shot.is_some_and(|shot| shot.to_string() == self.shot))
    }

    fn has(&self, line: &Line) -> bool {
        let level = match line.level.as_str() {
            "error" => 0,
            "warn" => 1,
            "info" => 2,
            _ => 3,
        };
        level <= self.level && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&line.text))
    }
}

fn told(task: &Task, epoch: LeaseEpoch, line: Line) -> v1::LogLine {
    v1::LogLine {
        task: task.id.to_string(),
        kind: task.kind.to_string(),
        shot: task.shot.map(|shot| shot.to_string()).unwrap_or_default(),
        attempt: epoch.0,
        time: convert::time(greenroom_domain::Timestamp::from_millis(line.at)),
        level: line.level,
        text: line.text,
    }
}

fn send(page: &mut VecDeque<v1::LogLine>, outbox: &mpsc::Sender<Result<v1::ReadLogsResponse, Status>>) -> bool {
    outbox.blocking_send(Ok(v1::ReadLogsResponse { lines: page.drain(..).collect() })).is_ok()
}

fn unreadable(error: &std::io::Error) -> Status {
    let remedy = "look at [logs] folder on the daemon's machine";
    status(&Problem::new(ProblemKind::Unavailable, "read logs", "logs", error, remedy))
}
