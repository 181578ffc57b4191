//! Scenario files: a farm, its work, what is done to it, and what is expected.

use greenroom_domain::{DeviceKind, Needs, Offer, Policy, TaskKind};
use std::collections::BTreeMap;

/// A scenario as it is written.
#[derive(Default)]
pub struct Script {
    pub policy: Policy,
    pub workers: Vec<Offer>,
    pub jobs: Vec<JobScript>,
    /// (second, words)
    pub commands: Vec<(f64, Vec<String>)>,
    pub expects: Vec<String>,
    pub stop: f64,
    pub seed: u64,
}

/// A job and how its tasks behave.
#[derive(Clone, Default)]
pub struct JobScript {
    pub name: String,
    pub project: String,
    pub user: String,
    pub priority: i64,
    pub kind: Option<TaskKind>,
    pub tasks: u32,
    pub seconds: (f64, f64),
    pub needs: Needs,
    /// When the first task comes, and how long after each the next one does.
    pub at: f64,
    pub every: f64,
    /// Task by task it needs that job.
    pub after: Option<String>,
    /// Its tasks fail on this node.
    pub fails_on: Option<String>,
    /// Its tasks run out of memory with less than this, MiB.
    pub really_mib: u64,
    /// Its tasks never tell progress and never end.
    pub hangs: bool,
}

impl Script {
    pub fn parse(text: &str) -> Self {
        let mut script = Self { stop: 600.0, seed: 1, ..Self::default() };
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let words: Vec<_> = line.split_whitespace().collect();
            match words.first().copied() {
                None | Some("#") => {}
                Some("policy") => {
                    let toml: Vec<_> = lines.by_ref().take_while(|line| *line != "end").collect();
                    script.policy = Policy::parse(&toml.join("\n"), "scenario").unwrap();
                }
                Some("nodes") => script.nodes(words[1], &pairs(&words[2..])),
                Some("job") => script.jobs.push(job(words[1], &pairs(&words[2..]))),
                Some("at") => {
                    let command = words[2..].iter().map(|word| (*word).to_owned()).collect();
                    script.commands.push((words[1].parse().unwrap(), command));
                }
                Some("stop") => script.stop = words[1].parse().unwrap(),
                Some("seed") => script.seed = words[1].parse().unwrap(),
                Some("expect") => script.expects.push(words[1..].join(" ")),
                Some(other) => panic!("a scenario has no `{other}`"),
            }
        }
        script
    }

    /// `nodes n 4 devices=8 …`: n1 to n4.
    fn nodes(&mut self, name: &str, pairs: &BTreeMap<String, String>) {
        let number = |key: &str, default: u64| pairs.get(key).map_or(default, |text| text.parse().unwrap());
        let list = |key: &str| pairs.get(key).into_iter().flat_map(|text| text.split(',')).map(str::to_owned);
        let kind = match pairs.get("kind").map(String::as_str) {
            Some("cpu") => DeviceKind::Cpu,
            Some("mig") => DeviceKind::Mig,
            _ => DeviceKind::Gpu,
        };
        for node in 1..=number("count", 1) {
            for device in 0..number("devices", 1) {
                self.workers.push(Offer {
                    node: format!("{name}{node}"),
                    device: format!("{}:{device}", pairs.get("device").map_or("cuda", String::as_str)),
                    kind,
                    model: pairs.get("model").cloned().unwrap_or_default(),
                    profile: pairs.get("profile").cloned(),
                    memory_mib: number("memory", 24_000),
                    threads: number("threads", 8) as u32,
                    slots: number("slots", 1) as u32,
                    tags: list("tags").collect(),
                    warm: list("warm").collect(),
                    ..Offer::default()
                });
            }
        }
    }
}

fn job(name: &str, pairs: &BTreeMap<String, String>) -> JobScript {
    let text = |key: &str| pairs.get(key).cloned();
    let list = |key: &str| pairs.get(key).into_iter().flat_map(|text| text.split(',')).map(str::to_owned).collect();
    let real = |key: &str, default: f64| pairs.get(key).map_or(default, |text| text.parse().unwrap());
    let seconds = text("seconds").unwrap_or_else(|| "10".into());
    let (low, high) = seconds.split_once("..").unwrap_or((&seconds, &seconds));
    let kind: TaskKind =
        serde_json::from_str(&format!("\"{}\"", text("kind").as_deref().unwrap_or("generate"))).unwrap();
    JobScript {
        name: name.to_owned(),
        project: text("project").unwrap_or_else(|| "lab".into()),
        user: text("user").unwrap_or_default(),
        priority: real("priority", 0.0) as i64,
        kind: Some(kind),
        tasks: real("tasks", 1.0) as u32,
        seconds: (low.parse().unwrap(), high.parse().unwrap()),
        needs: Needs {
            vram_mib: real("vram", 0.0) as u64,
            model: text("model"),
            profile: text("profile"),
            threads: real("threads", 0.0) as u32,
            tags: list("tags"),
            nodes: list("node"),
            limits: list("limits"),
            warm: list("warm"),
            ..Needs::default()
        },
        at: real("at", 0.0),
        every: real("every", 0.0),
        after: text("after"),
        fails_on: text("fails_on"),
        really_mib: real("really", 0.0) as u64,
        hangs: pairs.contains_key("hangs"),
    }
}

fn pairs(words: &[&str]) -> BTreeMap<String, String> {
    let pair = |word: &&str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    words.iter().map(|word| pair(word).unwrap_or_else(|| panic!("`{word}` is not key=value"))).collect()
}
