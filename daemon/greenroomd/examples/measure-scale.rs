//! Prints figures of the scheduler at the size of a large farm: the book and the plan as the daemon has them, and the ledger in
//! SQLite. `cargo xtask measure scale` builds and runs it.
//!
//! Tasks end when they are told to, and workers are entries of the book: what is measured is what deciding and writing cost.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![expect(clippy::print_stdout, reason = "figures go to whoever asked for them")]
#![expect(clippy::cast_precision_loss, reason = "figures are for people")]

use anyhow::Context as _;
use greenroom_domain::*;
use greenroom_schedule::{Action, Book, Entry, Stand, plan};
use greenroom_store::{Batch, Store as _, TaskStore as _};
use greenroom_store_sqlite::SqliteStore;
use std::time::{Duration, Instant};

const NODES: u32 = 1_600;
const DEVICES: u32 = 8;
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn main() -> anyhow::Result<()> {
    let (booked, ticks) = idle_to_full();
    say("idle_to_99_percent_s", booked.as_secs_f64(), "s", "<= 10");
    say("tick_p99_ms", percentile(&ticks, 0.99).as_secs_f64() * 1e3, "ms", "<= 100");
    let small = cost_per_task(1_000);
    let large = cost_per_task(100_000);
    say("cost_per_task_1k_us", small * 1e6, "us", "");
    say("cost_per_task_100k_us", large * 1e6, "us", "");
    say("cost_growth_1k_to_100k", large / small, "1", "<= 1.5");
    let (filled, tick, bytes) = a_million();
    say("queue_1m_s", filled.as_secs_f64(), "s", "");
    say("tick_at_1m_ms", tick.as_secs_f64() * 1e3, "ms", "<= 100");
    say("bytes_per_queued_task", bytes, "B", "");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(ledger())
}

/// Every device idle, 100,000 tasks of 200 jobs queued: time until 99 of 100 devices have a task, deciding alone, and each plan's.
fn idle_to_full() -> (Duration, Vec<Duration>) {
    let mut farm = Farm::with(100_000, 200);
    farm.workers(NODES, DEVICES);
    let (started, mut ticks) = (Instant::now(), Vec::new());
    let goal = (NODES * DEVICES) as usize * 99 / 100;
    while farm.book.running() < goal {
        let tick = Instant::now();
        farm.step();
        ticks.push(tick.elapsed());
    }
    let booked = started.elapsed();
    // A full farm in its stride: tasks end, others begin.
    for _ in 0..200 {
        farm.end(128);
        let tick = Instant::now();
        farm.step();
        ticks.push(tick.elapsed());
    }
    (booked, ticks)
}

/// Seconds for a task's whole way (queued, begun, ended) with so many queued, on 1,000 devices.
fn cost_per_task(queued: u32) -> f64 {
    let mut farm = Farm::with(queued, 50);
    farm.workers(125, 8);
    farm.step();
    farm.step();
    let (mut done, started) = (0, Instant::now());
    while started.elapsed() < Duration::from_secs(2) {
        farm.end(100);
        farm.push(100);
        farm.step();
        done += 100;
    }
    started.elapsed().as_secs_f64() / f64::from(done)
}

/// A million tasks in the queue: time to fill it, one plan, and what each task takes of memory.
fn a_million() -> (Duration, Duration, f64) {
    let before = resident();
    let started = Instant::now();
    let mut farm = Farm::with(1_000_000, 1_000);
    let filled = started.elapsed();
    let bytes = resident().saturating_sub(before) as f64 / 1e6;
    farm.workers(NODES, DEVICES);
    let mut ticks = Vec::new();
    for _ in 0..40 {
        let tick = Instant::now();
        farm.step();
        ticks.push(tick.elapsed());
    }
    (filled, percentile(&ticks, 0.99), bytes)
}

/// 100,000 tasks of one job written at once; then 12,672 leases, a transaction for each plan.
async fn ledger() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("greenroom.db")).await?;
    let project =
        Project { id: ProjectId::new(NOW, [1; 10]), name: "p".into(), settings: Settings::default(), created: NOW };
    let job = Job::new(JobId::new(NOW, [1; 10]), project.id, "film".into(), Digest::of(b"r"), NOW);
    store.commit(Batch::new().insert_project(project).insert_job(job.clone())).await?;
    let mut batch = Batch::new();
    for n in 0..100_000 {
        let spec = Spec::Breakdown { script: Digest::of(&n.to_string().into_bytes()) };
        let (kind, state) = (TaskKind::Generate, TaskState::Ready { since: NOW });
        batch = batch.insert_task(Task {
            id: task_id(n),
            job: job.id,
            shot: Some(ShotKey { scene: 1, shot: n + 1 }),
            take: Some(1),
            kind,
            spec: Some(spec),
            state,
            epoch: LeaseEpoch(0),
            failures: 0,
            created: NOW,
        });
    }
    let started = Instant::now();
    store.commit(batch).await?;
    say("submit_100k_s", started.elapsed().as_secs_f64(), "s", "<= 1");

    let mut book = Book::new(Policy::default());
    let started = Instant::now();
    book.put_job(&job, NOW);
    store.open_tasks().await?.iter().for_each(|task| book.put_task(&Entry::from(task), NOW));
    say("open_100k_s", started.elapsed().as_secs_f64(), "s", "");
    let mut farm = Farm { book, jobs: vec![job.clone()], next: 100_000, workers: vec![] };
    farm.workers(NODES, DEVICES);
    let started = Instant::now();
    let goal = (NODES * DEVICES) as usize * 99 / 100;
    while farm.book.running() < goal {
        let mut batch = Batch::new();
        for action in farm.plan() {
            let Action::Lease { task, worker } = action else { continue };
            let task = store.task(task).await?.context("a queued task is gone")?;
            let was = greenroom_store::Expected::of(&task);
            let task = task.lease(worker, NOW)?;
            let (kind, shot, take, state) = (task.kind, task.shot, task.take, "leased".to_owned());
            let (step, label) = (None, None);
            let body = EventBody::TaskChanged { task: task.id, kind, shot, take, step, label, state, note: None };
            let event = Event { seq: EventSeq(0), at: NOW, project: job.project, job: Some(job.id), body };
            farm.book.put_task(&Entry::from(&task), NOW);
            batch = batch.update_task(task, was).event(event);
        }
        store.commit(batch).await?;
    }
    say("idle_to_99_percent_in_sqlite_s", started.elapsed().as_secs_f64(), "s", "<= 10");
    Ok(())
}

/// A farm that is nothing but its book.
struct Farm {
    book: Book,
    jobs: Vec<Job>,
    next: u32,
    workers: Vec<(TaskId, WorkerId)>,
}

impl Farm {
    /// So many tasks of so many jobs, of four projects and eight users, with ten LoRAs between them.
    fn with(tasks: u32, jobs: u32) -> Self {
        let mut book = Book::new(Policy::default());
        let project = |n: u32| ProjectId::new(NOW, entropy(n % 4, 1));
        for n in 0..4 {
            book.name_project(project(n), &format!("p{n}"));
        }
        let job = |n| {
            let id = JobId::new(NOW, entropy(n, 2));
            Job { user: format!("u{}", n % 8), ..Job::new(id, project(n), "film".into(), Digest::of(b"r"), NOW) }
        };
        let jobs: Vec<_> = (0..jobs).map(job).collect();
        jobs.iter().for_each(|job| book.put_job(job, NOW));
        let mut farm = Self { book, jobs, next: 0, workers: vec![] };
        farm.push(tasks);
        farm
    }

    fn workers(&mut self, nodes: u32, devices: u32) {
        for n in 0..nodes * devices {
            let (node, device) = (format!("n{}", n / devices), format!("cuda:{}", n % devices));
            let kind = DeviceKind::Gpu;
            let offer = Offer { node, device, kind, memory_mib: 81_920, threads: 8, slots: 1, ..Offer::default() };
            self.book.attach(WorkerId::new(NOW, entropy(n, 3)), offer, NOW);
        }
    }

    fn push(&mut self, tasks: u32) {
        for n in self.next..self.next + tasks {
            let at = n as usize % self.jobs.len();
            let warm = ["sd/generator".to_owned(), format!("lora{}", at % 10)].into();
            let entry = Entry {
                id: task_id(n),
                job: self.jobs[at].id,
                kind: TaskKind::Generate,
                shot: Some(ShotKey { scene: 1, shot: n }),
                take: Some(1),
                needs: Needs { vram_mib: 20_000, warm, ..Needs::default() },
                failures: 0,
                stand: Stand::Ready { since: NOW },
            };
            self.book.put_task(&entry, NOW);
        }
        self.next += tasks;
    }

    fn plan(&mut self) -> Vec<Action> {
        self.book.wake(NOW);
        plan(&self.book, NOW)
    }

    /// One decision, and what the book learns of it.
    fn step(&mut self) {
        for action in self.plan() {
            if let Action::Lease { task, worker } = action {
                self.workers.push((task, worker));
                self.tell(task, Stand::Leased { worker, epoch: LeaseEpoch(1), since: NOW });
            }
        }
    }

    /// So many of the running tasks end.
    fn end(&mut self, tasks: usize) {
        for (task, _) in self.workers.drain(..tasks.min(self.workers.len())).collect::<Vec<_>>() {
            self.book.answered(task, LeaseEpoch(1));
            self.tell(task, Stand::Ended { well: true });
        }
    }

    fn tell(&mut self, task: TaskId, stand: Stand) {
        let mut number = [0; 4];
        number.copy_from_slice(&entropy_of(task)[..4]);
        let at = u32::from_be_bytes(number) as usize % self.jobs.len();
        let warm = ["sd/generator".to_owned(), format!("lora{}", at % 10)].into();
        let needs = Needs { vram_mib: 20_000, warm, ..Needs::default() };
        let (job, kind) = (self.jobs[at].id, TaskKind::Generate);
        self.book.put_task(&Entry { id: task, job, kind, shot: None, take: None, needs, failures: 0, stand }, NOW);
    }
}

fn task_id(n: u32) -> TaskId {
    TaskId::new(NOW, entropy(n, 4))
}

fn entropy(n: u32, salt: u8) -> [u8; 10] {
    let mut bytes = [salt; 10];
    // The version's and the variant's bits take the place of some: the number stands where none are.
    bytes[4..8].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// The entropy that an id was made of, from its number on.
fn entropy_of(task: TaskId) -> Vec<u8> {
    let text = task.to_string();
    hex::decode(&text[text.len() - 12..text.len() - 4]).unwrap_or_default()
}

fn percentile(times: &[Duration], at: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[((sorted.len() as f64 * at) as usize).min(sorted.len() - 1)]
}

/// Memory of this process, bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn say(figure: &str, value: f64, unit: &str, goal: &str) {
    let goal = (!goal.is_empty()).then_some(goal);
    println!("{}", serde_json::json!({"figure": figure, "value": value, "unit": unit, "goal": goal}));
}
