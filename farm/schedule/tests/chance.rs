//! Whatever is done in whatever order: the book agrees with itself, nothing is given twice, and everything ends.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use greenroom_domain::*;
use greenroom_schedule::{Action, Book, Entry, Stand, plan, queue, why};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const POLICY: &str = r#"
    [limit.veo]
    at_once = 2
    [project.p1]
    max_running = 3
    [pace]
    hold_after = "20s"
"#;

struct World {
    book: Book,
    now: Timestamp,
    seed: Seed,
    drawn: u32,
    entries: BTreeMap<TaskId, Entry>,
    workers: BTreeSet<WorkerId>,
    epochs: BTreeMap<TaskId, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Timestamp::from_millis(1_000);
        let mut book = Book::new(Policy::parse(POLICY, "test").unwrap());
        for n in 0..3 {
            book.name_project(project(n), &format!("p{n}"));
        }
        let (entries, workers, epochs) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { book, now, seed: Seed(seed), drawn: 0, entries, workers, epochs }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.drawn += 1;
        self.seed.derive("chance", self.drawn).0 % below
    }

    fn entropy(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.drawn += 1;
        bytes[..8].copy_from_slice(&self.seed.derive("id", self.drawn).0.to_be_bytes());
        bytes
    }

    fn act(&mut self) {
        match self.draw(8) {
            0 => self.push(),
            1 => {
                let id = WorkerId::new(self.now, self.entropy());
                let (node, slots) = (format!("n{}", self.draw(4)), 1 + self.draw(3) as u32);
                let device = format!("cuda:{}", self.draw(2));
                let offer =
                    Offer { node, device, kind: DeviceKind::Gpu, memory_mib: 24_000, slots, ..Offer::default() };
                self.workers.insert(id);
                self.book.attach(id, offer, self.now);
            }
            2 if self.workers.len() > 3 => {
                let at = self.draw(self.workers.len() as u64) as usize;
                let id = *self.workers.iter().nth(at).unwrap();
                self.workers.remove(&id);
                self.book.detach(id);
            }
            3..=6 => self.end_one(),
            _ => self.now = self.now.after(Duration::from_secs(1 + self.draw(10))),
        }
        self.workers.iter().for_each(|&worker| self.book.heard(worker, self.now));
        self.decide();
    }

    fn push(&mut self) {
        let number = self.draw(3);
        let id = JobId::new(self.now, self.entropy());
        let mut job = Job::new(id, project(number), "film".into(), Digest::of(b"r"), self.now);
        job.priority = Priority::try_from(self.draw(5) as i64 - 2).unwrap();
        self.book.put_job(&job, self.now);
        for _ in 0..=self.draw(12) {
            let limits = (self.draw(3) == 0).then(|| "veo".to_owned()).into_iter().collect();
            let needs = Needs { vram_mib: [0, 6_000, 20_000][self.draw(3) as usize], limits, ..Needs::default() };
            let kind = [TaskKind::Generate, TaskKind::Validate, TaskKind::Train][self.draw(3) as usize];
            let task = TaskId::new(self.now, self.entropy());
            let stand = Stand::Ready { since: self.now };
            let entry = Entry { id: task, job: id, kind, shot: None, take: None, needs, failures: 0, stand };
            self.book.put_task(&entry, self.now);
            self.entries.insert(task, entry);
        }
    }

    fn end_one(&mut self) {
        let held: Vec<_> = self.entries.values().filter(|e| matches!(e.stand, Stand::Leased { .. })).collect();
        if held.is_empty() {
            return;
        }
        let id = held[(self.seed.derive("end", self.drawn).0 % held.len() as u64) as usize].id;
        let fails = self.draw(5) == 0;
        self.book.answered(id, LeaseEpoch(self.epochs[&id]));
        let entry = self.entries.get_mut(&id).unwrap();
        entry.failures += u32::from(fails);
        entry.stand = if fails { Stand::Ready { since: self.now } } else { Stand::Ended { well: true } };
        self.book.put_task(&entry.clone(), self.now);
    }

    fn decide(&mut self) {
        self.book.wake(self.now);
        for action in plan(&self.book, self.now) {
            match action {
                Action::Lease { task, worker } => {
                    assert!(self.workers.contains(&worker), "{worker} has gone");
                    let entry = self.entries.get_mut(&task).unwrap();
                    assert!(matches!(entry.stand, Stand::Ready { .. }), "{task} is given twice");
                    let epoch = self.epochs.entry(task).or_default();
                    *epoch += 1;
                    entry.stand = Stand::Leased { worker, epoch: LeaseEpoch(*epoch), since: self.now };
                }
                Action::Requeue { task, .. } | Action::TimeOut { task, .. } => {
                    self.entries.get_mut(&task).unwrap().stand = Stand::Ready { since: self.now };
                }
                Action::Preempt { task, .. } => {
                    self.book.pausing(task);
                    continue;
                }
                Action::Drain { .. } | Action::Heal { .. } => continue,
            }
            let (Action::Lease { task, .. } | Action::Requeue { task, .. } | Action::TimeOut { task, .. }) = action
            else {
                continue;
            };
            self.book.put_task(&self.entries[&task].clone(), self.now);
        }
        assert_eq!(self.book.faults(), Vec::<String>::new());
        let open = self.entries.values().filter(|e| matches!(e.stand, Stand::Ready { .. })).count();
        assert_eq!(self.book.queued(), open);
        for queued in queue(&self.book, self.now, 5) {
            let why = why(&self.book, queued.task, self.now);
            assert!(!matches!(why.reason.code(), "ended" | "running"), "{why:?}");
        }
    }
}

fn project(n: u64) -> ProjectId {
    ProjectId::new(Timestamp::from_millis(1), [n as u8; 10])
}

#[test]
fn the_book_agrees_with_itself_and_gives_nothing_twice() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.act();
        }
        assert!(world.epochs.len() > 20, "seed {seed}: too little was given to tell anything");
    }
}

#[test]
fn everything_ends_once_no_more_is_pushed() {
    for seed in 100..120 {
        let mut world = World::new(seed);
        for _ in 0..80 {
            world.act();
        }
        for n in 0..5_000 {
            if world.entries.values().all(|entry| matches!(entry.stand, Stand::Ended { .. })) {
                break;
            }
            assert!(n < 4_999, "seed {seed}: something starves");
            world.end_one();
            world.now = world.now.after(Duration::from_secs(2));
            world.workers.iter().for_each(|&worker| world.book.heard(worker, world.now));
            world.decide();
        }
    }
}
