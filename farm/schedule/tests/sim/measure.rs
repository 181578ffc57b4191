//! What a scenario is judged by.

use greenroom_domain::{Job, Offer, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::script::JobScript;

/// Numbers by name, and what runs.
#[derive(Default)]
pub struct Measured {
    numbers: BTreeMap<String, f64>,
    running: BTreeMap<TaskId, Running>,
    begun: BTreeMap<String, VecDeque<Timestamp>>,
    known: BTreeSet<TaskId>,
}

struct Running {
    names: Vec<String>,
    node: String,
    mib: u64,
}

impl Measured {
    pub fn add(&mut self, name: &str) {
        *self.numbers.entry(name.to_owned()).or_insert(0.0) += 1.0;
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a lease is judged by")]
    pub fn begins(
        &mut self,
        task: TaskId,
        script: &JobScript,
        job: &Job,
        offer: &Offer,
        asked_mib: u64,
        early: bool,
        now: Timestamp,
    ) {
        let name = &script.name;
        let first = self.known.insert(task);
        if first {
            self.numbers.entry(format!("first.{name}")).or_insert(seconds(now));
        }
        self.add("leases");
        self.add(&format!("on.{}.{name}", offer.node));
        if early {
            self.add("early");
        }
        if offer.misfit(&script.needs).is_some() {
            self.add("misplaced");
        }
        if !script.needs.warm.is_empty() {
            self.add(if script.needs.warm.is_subset(&offer.warm) { "warm" } else { "cold" });
        }
        let mut names = vec![name.clone(), "all".into(), format!("project.{}", script.project)];
        names.extend((!job.user.is_empty()).then(|| format!("user.{}", job.user)));
        names.extend(script.needs.limits.iter().map(|limit| format!("limit.{limit}")));
        for limit in &script.needs.limits {
            let begun = self.begun.entry(limit.clone()).or_default();
            begun.push_back(now);
            begun.retain(|at| now.since(*at).as_secs() < 60);
            let rate = begun.len() as f64;
            self.peak(&format!("rate.{limit}"), rate);
        }
        self.running.insert(task, Running { names: names.clone(), node: offer.node.clone(), mib: asked_mib });
        for name in names {
            let there: Vec<_> = self.running.values().filter(|running| running.names.contains(&name)).collect();
            let nodes: BTreeSet<_> = there.iter().map(|running| &running.node).collect();
            let (tasks, nodes) = (there.len() as f64, nodes.len() as f64);
            self.peak(&name, tasks);
            self.peak(&format!("nodes.{name}"), nodes);
        }
    }

    /// What the running task was given of its device, MiB.
    pub fn granted(&self, task: TaskId) -> u64 {
        self.running.get(&task).map_or(0, |running| running.mib)
    }

    pub fn stopped(&mut self, task: TaskId) {
        self.running.remove(&task);
    }

    pub fn ended(&mut self, task: TaskId, name: &str, now: Timestamp) {
        self.stopped(task);
        self.add(&format!("done.{name}"));
        self.add("done");
        self.numbers.insert(format!("last.{name}"), seconds(now));
    }

    /// `NAME OP NUMBER`, where a name may be `a/b` or `a%b`, the share of a in a and b together.
    pub fn holds(&self, expect: &str) -> bool {
        let [name, op, number] = expect.split_whitespace().collect::<Vec<_>>()[..] else { panic!("`{expect}`") };
        let value = |name: &str| self.numbers.get(name).copied().unwrap_or(0.0);
        let is = match (name.split_once('/'), name.split_once('%')) {
            (Some((a, b)), _) => value(a) / value(b),
            (_, Some((a, b))) => value(a) / (value(a) + value(b)),
            _ => value(name),
        };
        let number = number.parse().unwrap_or_else(|_| value(number));
        match op {
            "==" => (is - number).abs() < 1e-9,
            ">=" => is >= number,
            "<=" => is <= number,
            ">" => is > number,
            "<" => is < number,
            _ => panic!("`{op}` compares nothing"),
        }
    }

    pub fn show(&self) -> String {
        // How often reasons were seen tells how often one looked, so only whether they were.
        let line = |(name, value): (&String, &f64)| match name.strip_prefix("reason.") {
            Some(reason) => format!("seen {reason}\n"),
            None => format!("{name} {}\n", (value * 1000.0).round() / 1000.0),
        };
        self.numbers.iter().map(line).collect()
    }

    fn peak(&mut self, name: &str, value: f64) {
        let peak = self.numbers.entry(format!("peak.{name}")).or_insert(0.0);
        *peak = peak.max(value);
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1000.0
}
