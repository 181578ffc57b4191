//! Looks at every part of the farm and says what is well, what is not, and what to do about it.

use greenroom_artifacts::Place;
use greenroom_domain::{EventSeq, Problem, ProblemKind};
use greenroom_schedule::{NodeView, Reason, nodes, queue};
use greenroom_store::{Audited, verify_audit};
use std::{collections::BTreeMap, path::Path, time::Duration};

use crate::{
    args::{Args, Config},
    backup, clock,
    farm::Farm,
    metrics::{Room, room},
    open, packs, serve,
    tls::Files,
};

/// A disk with less room, bytes or part of the whole, should be looked at …
const LITTLE: (u64, u64) = (10 << 30, 20);
/// … and one with less than this will soon stop the farm.
const HARDLY_ANY: u64 = 1 << 30;
/// A certificate that ends within this time should be renewed.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// A copy of the ledger that is older is old.
const OLD: Duration = Duration::from_secs(7 * 24 * 3600);
/// Tasks at the head of the queue that are looked at.
const HEAD: usize = 500;

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    /// `ok`, `warn`, `fail`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One part, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub part: &'static str,
    pub verdict: Verdict,
    pub sentence: String,
    pub remedy: String,
}

impl Finding {
    fn ok(part: &'static str, sentence: impl Into<String>) -> Self {
        Self { part, verdict: Verdict::Ok, sentence: sentence.into(), remedy: String::new() }
    }

    fn warn(part: &'static str, sentence: impl Into<String>, remedy: &str) -> Self {
        Self { part, verdict: Verdict::Warn, sentence: sentence.into(), remedy: remedy.to_owned() }
    }

    fn fail(part: &'static str, sentence: impl Into<String>, remedy: &str) -> Self {
        Self { part, verdict: Verdict::Fail, sentence: sentence.into(), remedy: remedy.to_owned() }
    }

    fn of(part: &'static str, problem: &Problem) -> Self {
        Self::fail(part, format!("{}: {}", problem.subject, problem.cause), &problem.remedy)
    }
}

/// Everything that a running daemon can tell. `thorough` also reads all of the ledger and of the audit log.
pub(crate) async fn farm(farm: &Farm, thorough: bool) -> Vec<Finding> {
    let mut findings = machine(&farm.config);
    findings.push(ledger(farm, thorough).await);
    findings.push(artifacts(farm).await);
    findings.extend(workers(farm));
    findings.push(waiting(farm));
    findings.push(logs(farm));
    findings.push(backups(farm));
    if thorough {
        findings.push(audit(farm).await);
    }
    findings
}

/// `greenroomd doctor`: what can be told without a daemon, line by line.
///
/// # Errors
/// If something would keep the farm from working.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) async fn offline(args: Args) -> Result<(), Problem> {
    let config = Config::resolve(args, &std::env::current_exe().unwrap_or_default())?;
    let mut findings = machine(&config);
    findings.push(closed_ledger(&config).await);
    for Finding { part, verdict, sentence, remedy } in &findings {
        println!("{:<4}  {part:<15} {sentence}", verdict.name());
        if !remedy.is_empty() {
            println!("      {:<15} try: {remedy}", "");
        }
    }
    match findings.iter().find(|finding| finding.verdict == Verdict::Fail) {
        None => Ok(()),
        Some(Finding { part, sentence, remedy, .. }) => {
            Err(Problem::new(ProblemKind::Unavailable, "look at this machine", *part, sentence, remedy.clone()))
        }
    }
}

/// The ledger where no daemon has it open; else who has.
async fn closed_ledger(config: &Config) -> Finding {
    const PART: &str = "ledger";
    if config.ledger.is_none() {
        match serve::lock(&config.state) {
            Err(problem) if problem.cause.starts_with("another") => {
                return Finding::ok(PART, "greenroomd runs and has it open: ask it with `greenroom doctor`");
            }
            Err(problem) => return Finding::of(PART, &problem),
            Ok(_) if !open::file(&config.ledger_place()).exists() => {
                return Finding::ok(PART, "there is none yet; the daemon makes one when it starts");
            }
            Ok(_) => {}
        }
    }
    let whole =
        async { open::ledger(&config.ledger_place()).await?.store.integrity_check().await.map_err(|e| e.problem()) };
    match whole.await {
        Ok(()) => Finding::ok(PART, "it is whole"),
        Err(problem) => Finding::of(PART, &problem),
    }
}

/// What can be told of a machine by its configuration alone, daemon or not.
pub(crate) fn machine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![pack(config), programs(config), runtime(config)];
    findings.push(disk("state", &config.state));
    if let Place::Folder(folder) = &config.artifacts {
        findings.push(disk("artifacts", folder));
    }
    findings.extend(config.tls.as_ref().map(certificate));
    findings.push(commands(config));
    findings
}

fn pack(config: &Config) -> Finding {
    match packs::open(&config.pack) {
        Ok((pack, _)) => Finding::ok("pack", format!("{} {} is complete", pack.name, pack.version)),
        Err(problem) => Finding::of("pack", &problem),
    }
}

fn programs(config: &Config) -> Finding {
    let worker = config.worker.display();
    if config.workers.count == 0 {
        return Finding::ok("worker program", "this daemon starts no workers of its own");
    }
    match nix::unistd::access(&config.worker, nix::unistd::AccessFlags::X_OK) {
        Ok(()) => Finding::ok("worker program", format!("{worker} can be started")),
        Err(error) => {
            let remedy = "install greenroom-worker beside greenroomd, or set [workers] program";
            Finding::fail("worker program", format!("{worker}: {error}"), remedy)
        }
    }
}

fn runtime(config: &Config) -> Finding {
    const PART: &str = "ONNX Runtime";
    match &config.onnxruntime {
        Some(file) if file.is_file() => Finding::ok(PART, format!("{} is there", file.display())),
        Some(file) => {
            let remedy = "install ONNX Runtime, and name its library in [models] onnxruntime";
            Finding::fail(PART, format!("{} is not there", file.display()), remedy)
        }
        None => Finding::ok(PART, "each worker finds its own library"),
    }
}

fn disk(part: &'static str, folder: &Path) -> Finding {
    let remedy = "free some space, or move it to a larger disk";
    match room(folder) {
        Some(Room { free, size }) => {
            let told = format!("{} of {} GiB are free in {}", gib(free), gib(size), folder.display());
            if free < HARDLY_ANY {
                Finding::fail(part, told, remedy)
            } else if free < LITTLE.0 || free < size / LITTLE.1 {
                Finding::warn(part, told, remedy)
            } else {
                Finding::ok(part, told)
            }
        }
        None => Finding::fail(part, format!("{} cannot be looked at", folder.display()), "make the folder, writable"),
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 30))
}

fn certificate(files: &Files) -> Finding {
    const PART: &str = "certificate";
    match files.expires() {
        Ok(end) => {
            let told = format!("it holds until {}", clock::minute(end));
            let left = end.since(clock::now());
            let remedy = "renew it (`greenroomd cert DIR`), and send the daemon SIGHUP";
            if left < SOON { Finding::warn(PART, told, remedy) } else { Finding::ok(PART, told) }
        }
        Err(problem) => Finding::of(PART, &problem),
    }
}

fn commands(config: &Config) -> Finding {
    const PART: &str = "commands";
    let commands = &config.commands;
    if !commands.enabled {
        return Finding::ok(PART, "job templates are not taken: [commands] enabled is false");
    }
    match nix::unistd::User::from_name(&commands.user) {
        Ok(Some(user)) if !user.uid.is_root() => {
            Finding::ok(PART, format!("they run as {} in {}", commands.user, commands.scratch.display()))
        }
        Ok(Some(_)) => Finding::fail(PART, "they would run as root", "name a user without rights as [commands] user"),
        _ => {
            let told = format!("there is no user {} on this machine", commands.user);
            Finding::warn(PART, told, "make it (useradd --system NAME) wherever workers run commands")
        }
    }
}

async fn ledger(farm: &Farm, thorough: bool) -> Finding {
    const PART: &str = "ledger";
    let kind = if farm.config.ledger.is_some() { "PostgreSQL" } else { "SQLite" };
    let read = async {
        let last = farm.store.last_seq().await?;
        if thorough {
            farm.store.integrity_check().await?;
        }
        Ok::<_, greenroom_store::StoreError>(last)
    };
    match read.await {
        Ok(last) => {
            let whole = if thorough { ", and it is whole" } else { "" };
            let role = match farm.role.leader() {
                None => "this daemon leads".to_owned(),
                Some(leader) if leader.is_empty() => "this daemon stands by, and no other leads".to_owned(),
                Some(leader) => format!("this daemon stands by for {leader}"),
            };
            Finding::ok(PART, format!("{kind} has {} events{whole}; {role}", last.0))
        }
        Err(error) => Finding::of(PART, &error.problem()),
    }
}

async fn artifacts(farm: &Farm) -> Finding {
    const PART: &str = "artifact store";
    let place = &farm.config.artifacts;
    let probe = format!("greenroom looks whether this can be written, {}", clock::new_secret());
    let tried = async {
        let digest = farm.artifacts.put_bytes(probe.clone().into()).await?;
        let back = farm.artifacts.get_bytes(digest, 1 << 10).await?;
        farm.artifacts.remove(digest).await?;
        Ok::<_, greenroom_artifacts::ArtifactError>(back == probe.as_bytes())
    };
    match tried.await {
        Ok(true) => Finding::ok(PART, format!("{place} can be written and read")),
        Ok(false) => Finding::fail(PART, format!("{place} gave back other bytes"), "check the disk or the bucket"),
        Err(error) => Finding::of(PART, &error.problem()),
    }
}

fn workers(farm: &Farm) -> Vec<Finding> {
    const PART: &str = "workers";
    if farm.role.leader().is_some() {
        return vec![Finding::ok(PART, "they attach to the daemon that leads")];
    }
    let nodes = nodes(&farm.book(), farm.time.now());
    let devices: usize = nodes.iter().map(|node| node.workers.len()).sum();
    let mut findings = if devices == 0 {
        let remedy = "set [workers] count, or start greenroom-worker elsewhere (`greenroom token create --worker`)";
        vec![Finding::fail(PART, "none is attached, so nothing runs", remedy)]
    } else {
        let machines = nodes.iter().filter(|node| !node.workers.is_empty()).count();
        let machines = if machines == 1 { "one machine".to_owned() } else { format!("{machines} machines") };
        vec![Finding::ok(PART, format!("{devices} on {machines}"))]
    };
    findings.extend(nodes.iter().filter_map(node));
    findings
}

fn node(node: &NodeView) -> Option<Finding> {
    let told = |what: &str| format!("{} is {what}: {}", node.name, node.reason);
    match node.state {
        "sick" => {
            let remedy = format!(
                "look at `greenroom logs` of the tasks that failed there; then `greenroom node heal {}`",
                node.name
            );
            Some(Finding::warn("node", told("sick"), &remedy))
        }
        "drained" => Some(Finding::warn("node", told("drained"), &format!("`greenroom node resume {}`", node.name))),
        _ => None,
    }
}

/// Tasks that no worker of the farm could ever do.
fn waiting(farm: &Farm) -> Finding {
    const PART: &str = "queue";
    let book = farm.book();
    let mut stuck: BTreeMap<(String, String), usize> = BTreeMap::new();
    for queued in queue(&book, farm.time.now(), HEAD) {
        let why = queued.why;
        if matches!(why.reason, Reason::NoDevice | Reason::NoDeviceWithVram | Reason::NoNode | Reason::NoTags) {
            *stuck.entry((why.sentence, why.remedy.unwrap_or_default())).or_default() += 1;
        }
    }
    match stuck.into_iter().max_by_key(|(_, tasks)| *tasks) {
        None => Finding::ok(PART, format!("{} tasks wait, {} run", book.queued(), book.running())),
        Some(((sentence, remedy), tasks)) => {
            Finding::warn(PART, format!("{tasks} tasks wait in vain: {sentence}"), &remedy)
        }
    }
}

fn logs(farm: &Farm) -> Finding {
    let folder = farm.task_logs.folder().display();
    if farm.task_logs.is_failing() {
        Finding::fail("task logs", format!("{folder} cannot be written"), "free some space, or set [logs] folder")
    } else {
        Finding::ok("task logs", format!("they lie in {folder}"))
    }
}

fn backups(farm: &Farm) -> Finding {
    const PART: &str = "backup";
    if farm.config.ledger.is_some() {
        return Finding::ok(PART, "the ledger is in PostgreSQL: its server's own backups are yours to see to");
    }
    let remedy = "take one with `greenroom backup`, or set [backup] every";
    match backup::list(&farm.config).map(|copies| copies.into_iter().next()) {
        Err(error) => Finding::fail(PART, error.to_string(), "make [backup] folder readable"),
        Ok(None) if *farm.committed.borrow() == EventSeq(0) => Finding::ok(PART, "there is nothing to copy yet"),
        Ok(None) => Finding::warn(PART, "there is no copy of the ledger", remedy),
        Ok(Some(newest)) => {
            let told = format!("the newest is {}", newest.path.display());
            if clock::age(newest.taken) > OLD { Finding::warn(PART, told, remedy) } else { Finding::ok(PART, told) }
        }
    }
}

async fn audit(farm: &Farm) -> Finding {
    const PART: &str = "audit log";
    match verify_audit(&*farm.store, None).await {
        Ok(Audited { broken: None, rows, .. }) => Finding::ok(PART, format!("its {rows} rows follow each other")),
        Ok(Audited { broken: Some(row), .. }) => {
            let told = format!("row {row} does not follow the one before: somebody changed the log");
            Finding::fail(PART, told, "find out who may write to the ledger; compare with a copy of it")
        }
        Err(error) => Finding::of(PART, &error.problem()),
    }
}
