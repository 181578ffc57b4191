//! A farm without machines: the real book and the real plan, workers that are numbers, and time that is an argument.

mod measure;
mod script;

use greenroom_domain::*;
use greenroom_schedule::{Action, Book, Entry, Stand, next_wake, plan, why};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use measure::Measured;
use script::JobScript;
pub use script::Script;

/// What happens at a moment.
#[derive(Clone, Debug, PartialEq)]
enum Happens {
    Comes(TaskId),
    Ends(TaskId, LeaseEpoch),
    Pauses(TaskId, LeaseEpoch),
    Told(Vec<String>),
    Look,
}

#[derive(Clone)]
struct SimTask {
    entry: Entry,
    job: usize,
    number: u32,
    epoch: LeaseEpoch,
    left: Duration,
    needs: Option<TaskId>,
    done: bool,
}

/// A farm that is played.
pub struct Sim {
    script: Script,
    book: Book,
    now: Timestamp,
    happens: BTreeMap<(Timestamp, u64), Happens>,
    numbered: u64,
    jobs: Vec<Job>,
    tasks: BTreeMap<TaskId, SimTask>,
    workers: BTreeMap<WorkerId, Offer>,
    silent: BTreeSet<WorkerId>,
    measured: Measured,
}

/// Plays a scenario: what was measured, as recorded beside it, and what of its expectations was not met.
pub fn play(text: &str) -> (String, Vec<String>) {
    let mut sim = Sim::begin(Script::parse(text));
    sim.run();
    let missed = sim.script.expects.iter().filter(|expect| !sim.measured.holds(expect)).cloned().collect();
    (sim.measured.show(), missed)
}

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0) as i64)
}

impl Sim {
    fn begin(script: Script) -> Self {
        let mut sim = Self {
            book: Book::new(script.policy.clone()),
            now: at(0.0),
            happens: BTreeMap::new(),
            numbered: 0,
            jobs: vec![],
            tasks: BTreeMap::new(),
            workers: BTreeMap::new(),
            silent: BTreeSet::new(),
            measured: Measured::default(),
            script,
        };
        for (number, offer) in sim.script.workers.clone().into_iter().enumerate() {
            let id = WorkerId::new(at(0.0), entropy(number as u32, 1));
            sim.workers.insert(id, offer.clone());
            sim.book.attach(id, offer, at(0.0));
        }
        for number in 0..sim.script.jobs.len() {
            sim.add_job(number);
        }
        for (second, words) in sim.script.commands.clone() {
            sim.put(at(second), Happens::Told(words));
        }
        sim
    }

    fn add_job(&mut self, number: usize) {
        let script = self.script.jobs[number].clone();
        let project_number = script.project.bytes().fold(7, |n, byte| n * 31 % 1_000_003 + u32::from(byte));
        let project = ProjectId::new(at(0.0), entropy(project_number, 2));
        self.book.name_project(project, &script.project);
        let id = JobId::new(at(script.at), entropy(number as u32, 3));
        let mut job = Job::new(id, project, script.name.clone(), Digest::of(script.name.as_bytes()), at(script.at));
        job.user.clone_from(&script.user);
        job.priority = Priority::try_from(script.priority).unwrap();
        let before = script.after.as_ref().map(|name| self.job_number(name));
        for n in 0..script.tasks {
            let task = TaskId::new(at(script.at), entropy(n, 10 + number as u8));
            let needs =
                before.and_then(|b| self.tasks.values().find(|t| t.job == b && t.number == n)).map(|t| t.entry.id);
            let kind = script.kind.unwrap();
            let comes = at(script.at + script.every * f64::from(n));
            let stand = if needs.is_some() { Stand::Waiting { on: 1 } } else { Stand::Ready { since: comes } };
            let shot = Some(ShotKey { scene: 1, shot: n + 1 });
            let entry =
                Entry { id: task, job: id, kind, shot, take: Some(1), needs: script.needs.clone(), failures: 0, stand };
            let left = self.seconds(&script, n);
            self.tasks.insert(
                task,
                SimTask { entry, job: number, number: n, epoch: LeaseEpoch(0), left, needs, done: false },
            );
            self.put(comes, Happens::Comes(task));
        }
        self.jobs.push(job);
    }

    fn seconds(&self, script: &JobScript, n: u32) -> Duration {
        let chance = Seed(self.script.seed).derive(&script.name, n).0 % 1000;
        let (low, high) = script.seconds;
        Duration::from_secs_f64(low + (high - low) * chance as f64 / 1000.0)
    }

    fn run(&mut self) {
        let end = at(self.script.stop);
        while let Some(((when, _), happens)) = self.happens.pop_first() {
            if when > end {
                break;
            }
            self.now = when;
            self.happen(happens);
            while self.happens.first_key_value().is_some_and(|((next, _), _)| *next == when) {
                let (_, happens) = self.happens.pop_first().unwrap();
                self.happen(happens);
            }
            self.decide();
        }
        self.now = end;
    }

    fn decide(&mut self) {
        loop {
            for &worker in self.workers.keys().filter(|worker| !self.silent.contains(worker)) {
                self.book.heard(worker, self.now);
            }
            self.book.wake(self.now);
            let actions = plan(&self.book, self.now);
            let began = actions.iter().any(|action| matches!(action, Action::Lease { .. }));
            for action in actions {
                self.apply(action);
            }
            let faults = self.book.faults();
            assert!(faults.is_empty(), "{} s: {faults:?}", self.now.as_millis() / 1000);
            if !began {
                break;
            }
        }
        // A few of each job, so that looking takes no longer than playing.
        for job in 0..self.jobs.len() {
            let open = self.tasks.values().filter(|task| {
                task.job == job && matches!(task.entry.stand, Stand::Waiting { .. } | Stand::Ready { .. })
            });
            for task in open.map(|task| task.entry.id).take(2) {
                self.measured.add(&format!("reason.{}", why(&self.book, task, self.now).reason));
            }
        }
        if let Some(next) = next_wake(&self.book, self.now).filter(|next| *next <= at(self.script.stop)) {
            self.put(next, Happens::Look);
        }
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Look => {}
            Happens::Comes(task) => {
                let job = self.jobs[self.tasks[&task].job].clone();
                self.book.put_job(&job, self.now);
                self.tell(task);
            }
            Happens::Ends(task, epoch) => self.ends(task, epoch),
            Happens::Pauses(task, epoch) => {
                let sim = self.tasks.get_mut(&task).unwrap();
                let Stand::Leased { since, .. } = sim.entry.stand else { return };
                if sim.epoch == epoch && !sim.done {
                    sim.left = sim.left.saturating_sub(self.now.since(since));
                    self.answered(task);
                    self.back(task);
                }
            }
            Happens::Told(words) => self.told(&words),
        }
    }

    fn ends(&mut self, task: TaskId, epoch: LeaseEpoch) {
        let script = self.script.jobs[self.tasks[&task].job].clone();
        let sim = self.tasks.get_mut(&task).unwrap();
        let Stand::Leased { worker, .. } = sim.entry.stand else { return };
        if sim.epoch != epoch || sim.done || !self.workers.contains_key(&worker) {
            return;
        }
        let offer = &self.workers[&worker];
        let (node, device_mib) = (offer.node.clone(), offer.memory_mib);
        self.book.answered(task, epoch);
        let granted = if sim.entry.needs.vram_mib == 0 { device_mib } else { self.measured.granted(task) };
        if granted < script.really_mib {
            self.measured.add(&format!("oom.{}", script.name));
            self.book.out_of_memory(task);
            self.failed(task);
        } else if script.fails_on.as_ref() == Some(&node) {
            self.measured.add(&format!("failed.{node}"));
            self.failed(task);
        } else {
            sim.done = true;
            sim.entry.stand = Stand::Ended { well: true };
            self.measured.ended(task, &script.name, self.now);
            self.tell(task);
            let next = self.tasks.values().filter(|other| other.needs == Some(task)).map(|t| t.entry.id);
            for other in next.collect::<Vec<_>>() {
                self.tasks.get_mut(&other).unwrap().entry.stand = Stand::Ready { since: self.now };
                self.tell(other);
            }
        }
    }

    /// Its worker has room again.
    fn answered(&mut self, task: TaskId) {
        let epoch = self.tasks[&task].epoch;
        self.book.answered(task, epoch);
    }

    fn failed(&mut self, task: TaskId) {
        self.tasks.get_mut(&task).unwrap().entry.failures += 1;
        self.back(task);
    }

    fn back(&mut self, task: TaskId) {
        self.measured.stopped(task);
        self.tasks.get_mut(&task).unwrap().entry.stand = Stand::Ready { since: self.now };
        self.tell(task);
    }

    fn tell(&mut self, task: TaskId) {
        let entry = self.tasks[&task].entry.clone();
        self.book.put_task(&entry, self.now);
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Lease { task, worker } => self.lease(task, worker),
            Action::Requeue { task, blame } => {
                self.measured.add(if blame { "lost" } else { "released" });
                if blame { self.failed(task) } else { self.back(task) }
            }
            Action::TimeOut { task, silent, .. } => {
                self.measured.add(if silent { "stuck" } else { "timeouts" });
                self.answered(task);
                self.failed(task);
            }
            Action::Preempt { task, .. } => {
                let name = self.script.jobs[self.tasks[&task].job].name.clone();
                self.measured.add(&format!("preempted.{name}"));
                self.book.pausing(task);
                let epoch = self.tasks[&task].epoch;
                self.put(self.now.after(Duration::from_secs(1)), Happens::Pauses(task, epoch));
            }
            Action::Drain { node, reason } => {
                self.measured.add(&format!("drained.{node}"));
                let mut policy = self.book.policy().clone();
                policy.drained.insert(node, Drained { reason, since: Moment(self.now), sick: true });
                self.book.set_policy(policy, self.now);
            }
            Action::Heal { node } => {
                self.measured.add(&format!("healed.{node}"));
                let mut policy = self.book.policy().clone();
                policy.drained.remove(&node);
                self.book.set_policy(policy, self.now);
            }
        }
    }

    fn lease(&mut self, task: TaskId, worker: WorkerId) {
        let sim = &self.tasks[&task];
        let script = self.script.jobs[sim.job].clone();
        assert!(matches!(sim.entry.stand, Stand::Ready { .. }), "{task} runs already");
        let early = sim.needs.is_some_and(|needs| !self.tasks[&needs].done);
        let offer = self.workers[&worker].clone();
        let job = self.jobs[sim.job].clone();
        self.measured.begins(task, &script, &job, &offer, self.book.asked(task), early, self.now);
        let warm = self.workers.get_mut(&worker).unwrap();
        if !script.needs.warm.is_subset(&warm.warm) {
            warm.warm.retain(|held| held.contains('/'));
            warm.warm.extend(script.needs.warm.iter().cloned());
        }
        let sim = self.tasks.get_mut(&task).unwrap();
        sim.epoch = LeaseEpoch(sim.epoch.0 + 1);
        let epoch = sim.epoch;
        sim.entry.stand = Stand::Leased { worker, epoch, since: self.now };
        let ends = self.now.after(sim.left);
        self.tell(task);
        if !script.hangs {
            self.put(ends, Happens::Ends(task, epoch));
        }
    }

    /// What an administrator or an accident does.
    fn told(&mut self, words: &[String]) {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.measured.add(&format!("fired.{}", words[0]));
        match words[..] {
            ["pause", job] => self.change_job(job, |job, now| job.paused = Some(now)),
            ["resume", job] => self.change_job(job, |job, _| job.paused = None),
            ["priority", job, n] => self.change_job(job, |job, _| job.priority = n.parse().unwrap()),
            ["lose", node] => {
                let gone: Vec<_> = self.workers.iter().filter(|(_, o)| o.node == node).map(|(&id, _)| id).collect();
                for worker in gone {
                    self.workers.remove(&worker);
                    self.book.detach(worker);
                }
            }
            ["silence", node] => {
                self.silent.extend(self.workers.iter().filter(|(_, o)| o.node == node).map(|(&id, _)| id));
            }
            ["drain", node] => {
                let mut policy = self.book.policy().clone();
                policy
                    .drained
                    .insert(node.into(), Drained { reason: "by hand".into(), since: Moment(self.now), sick: false });
                self.book.set_policy(policy, self.now);
            }
            ["open", node] => {
                let mut policy = self.book.policy().clone();
                policy.drained.remove(node);
                self.book.set_policy(policy, self.now);
            }
            _ => panic!("nobody can be told {words:?}"),
        }
    }

    fn change_job(&mut self, name: &str, change: impl FnOnce(&mut Job, Timestamp)) {
        let number = self.job_number(name);
        change(&mut self.jobs[number], self.now);
        self.book.put_job(&self.jobs[number].clone(), self.now);
    }

    fn job_number(&self, name: &str) -> usize {
        self.script.jobs.iter().position(|job| job.name == name).unwrap_or_else(|| panic!("no job {name}"))
    }

    fn put(&mut self, when: Timestamp, happens: Happens) {
        self.numbered += 1;
        self.happens.insert((when, self.numbered), happens);
    }
}

fn entropy(n: u32, salt: u8) -> [u8; 10] {
    let mut bytes = [salt; 10];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    bytes
}
