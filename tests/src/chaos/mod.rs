//! A farm of real processes under faults: greenroomd, simulated workers behind proxies, a small disk. A seed decides what goes wrong
//! and in which order; how the machine comes out of it is not the seed's, so a failing seed replays its faults and not every step.

mod audit;
mod crew;
mod proxy;

use greenroom_domain::Seed;
use greenroom_proto::v1;
use nix::sys::signal::Signal;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

use crate::{Client, Farm, Options, SmallDisk, until};
use crew::Hand;
use proxy::Proxy;

/// Simulated workers.
const HANDS: usize = 3;
/// What each task takes.
const TAKES: Duration = Duration::from_millis(300);
/// Whoever is silent for so long has lost its task.
const SILENCE: Duration = Duration::from_secs(6);
/// Everything ends well within this once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(180);

/// What goes wrong, as reports name it. The last one needs a disk that can be filled.
const KINDS: [&str; 10] = [
    "daemon-kill",
    "daemon-stop",
    "worker-kill",
    "worker-stop",
    "cut",
    "partition",
    "delay",
    "double",
    "clock",
    "disk-full",
];

/// What became of a seed.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// Which.
    pub seed: u64,
    /// What was planned, in its order.
    pub planned: Vec<&'static str>,
    /// How often each kind was seen to happen.
    pub fired: BTreeMap<&'static str, u32>,
    /// What is not as it must be; none where the seed passed.
    pub broken: Vec<String>,
}

/// Everything of one seed.
struct Stage {
    farm: Farm,
    disk: Option<SmallDisk>,
    daemon: Arc<Mutex<SocketAddr>>,
    hands: Vec<Hand>,
    draws: Draws,
    played: Played,
    /// Tasks that may have been lost to a fault of their worker.
    blamable: usize,
}

/// Numbers that follow from the seed.
struct Draws(Seed, u32);

impl Draws {
    fn below(&mut self, n: u64) -> u64 {
        self.1 += 1;
        self.0.derive("real", self.1).0 % n
    }
}

/// Plays a seed.
pub async fn play(seed: u64) -> Played {
    let disk = SmallDisk::new(48);
    let mut draws = Draws(Seed(seed), 0);
    let kinds = if disk.is_some() { &KINDS[..] } else { &KINDS[..KINDS.len() - 1] };
    let planned: Vec<_> = (0..3 + draws.below(3)).map(|_| kinds[draws.below(kinds.len() as u64) as usize]).collect();
    let place = disk.as_ref().map(|disk| disk.path().to_owned());
    let options = Options { workers: 0, commands: Some(String::new()), place, ..Options::default() };
    let farm = Farm::start_with(options).await;
    let daemon = Arc::new(Mutex::new(listens(&farm)));
    let mut hands = vec![];
    for number in 0..HANDS {
        hands.push(Hand::start(number, farm.state(), daemon.clone(), TAKES).await);
    }
    let played = Played { seed, planned: planned.clone(), ..Played::default() };
    let mut stage = Stage { farm, disk, daemon, hands, draws, played, blamable: 0 };
    stage.be_impatient().await;
    let client = stage.client().await;
    let over = AtomicBool::new(false);
    let (jobs, ()) = tokio::join!(pushes(&client, seed, &over), async {
        for kind in planned {
            let wait = 500 + stage.draws.below(1_500);
            sleep(Duration::from_millis(wait)).await;
            if stage.strike(kind).await {
                *stage.played.fired.entry(kind).or_insert(0) += 1;
            } else {
                stage.played.broken.push(format!("fault never fired: {kind}"));
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    stage.audit(jobs).await
}

fn listens(farm: &Farm) -> SocketAddr {
    farm.address().trim_start_matches("http://").parse().unwrap()
}

impl Stage {
    async fn be_impatient(&self) {
        let policy = self.farm.state().join("policy.toml");
        std::fs::write(&policy, format!("[pace]\nsilence = \"{}s\"\n", SILENCE.as_secs())).unwrap();
        let said = self.farm.said(&["policy", "set", policy.to_str().unwrap()]).await;
        assert!(said.contains("in force"), "{said}");
    }

    /// A way to the daemon that stays the same when the daemon does not; with a project.
    async fn client(&self) -> Client {
        let door = Proxy::open(self.daemon.clone()).await;
        let token = std::fs::read_to_string(self.farm.state().join("admin.token")).unwrap();
        let client = Client::connect(&door.url(), token.trim()).await;
        let request = v1::CreateProjectRequest { project_id: "lab".into(), settings: None };
        client.projects().create_project(request).await.unwrap();
        client
    }

    /// Lets a fault happen; answers whether it was seen to.
    async fn strike(&mut self, kind: &'static str) -> bool {
        let hand = self.draws.below(HANDS as u64) as usize;
        let long = Duration::from_millis(1_000 + self.draws.below(9_000));
        if !matches!(kind, "daemon-kill" | "daemon-stop" | "clock" | "disk-full") {
            // A doubled worker may lose a task, and its double another.
            self.blamable += 2;
        }
        match kind {
            "daemon-kill" => self.restart(None).await,
            "clock" => {
                let ahead = if self.draws.below(2) == 0 { 3_600 } else { -3_600 };
                self.restart(Some(ahead)).await
            }
            "daemon-stop" => {
                self.farm.signal(Signal::SIGSTOP);
                sleep(long / 4).await;
                let stopped = self.farm.is_stopped();
                self.farm.signal(Signal::SIGCONT);
                stopped
            }
            "disk-full" => self.fill(long).await,
            "worker-kill" => {
                let pid = until("a worker runs", async || self.hands[hand].pid()).await;
                self.hands[hand].signal(Signal::SIGKILL);
                until("a killed worker is gone", async || Hand::is_gone(pid).then_some(true)).await
            }
            "worker-stop" => {
                until("a worker runs", async || self.hands[hand].signal(Signal::SIGSTOP).then_some(())).await;
                sleep(long).await;
                let stopped = self.hands[hand].is_stopped();
                self.hands[hand].signal(Signal::SIGCONT);
                stopped
            }
            "cut" => {
                let proxy = &self.hands[hand].proxy;
                let before = proxy.seen().cut.load(Ordering::Relaxed);
                let cut = async || {
                    proxy.cut();
                    (proxy.seen().cut.load(Ordering::Relaxed) > before).then_some(true)
                };
                until("a connection is cut", cut).await
            }
            "partition" => {
                let proxy = &self.hands[hand].proxy;
                proxy.hold(true);
                sleep(long.max(SILENCE / 2)).await;
                let held = until("something is held", async || {
                    (proxy.seen().held.load(Ordering::Relaxed) > 0).then_some(true)
                });
                let held = held.await;
                proxy.hold(false);
                held
            }
            "delay" => {
                let proxy = &self.hands[hand].proxy;
                proxy.delay(long / 5);
                let delayed = until("something is delayed", async || {
                    (proxy.seen().delayed.load(Ordering::Relaxed) > 0).then_some(true)
                });
                let delayed = delayed.await;
                sleep(long).await;
                proxy.delay(Duration::ZERO);
                delayed
            }
            _ => {
                let proxy = &self.hands[hand].proxy;
                let before = proxy.seen().doubled.load(Ordering::Relaxed);
                proxy.double();
                let doubled = async || (proxy.seen().doubled.load(Ordering::Relaxed) > before).then_some(true);
                until("a connection is doubled", doubled).await
            }
        }
    }

    /// Kills the daemon and starts another one, whose clock is wrong where asked.
    async fn restart(&mut self, ahead: Option<i64>) -> bool {
        self.farm.kill_daemon();
        if let Some(ahead) = ahead {
            self.farm.set_environment("GREENROOM_CLOCK_AHEAD", &ahead.to_string());
        }
        self.farm.restart().await;
        *self.daemon.lock().unwrap_or_else(PoisonError::into_inner) = listens(&self.farm);
        let Some(ahead) = ahead else { return true };
        let job = push(self.farm.client(), &template(1_000, 1), 1_000 + self.draws.below(1_000) as usize).await;
        let made = self.farm.client().jobs().get_job(v1::GetJobRequest { name: job }).await.unwrap().into_inner();
        let wrong = made.create_time.unwrap_or_default().seconds - now();
        (wrong - ahead).abs() < 60
    }

    /// Fills the disk for a while; answers whether somebody was refused for that.
    async fn fill(&self, long: Duration) -> bool {
        let Some(disk) = &self.disk else { return false };
        let full = || {
            let log = self.farm.log();
            log.matches("disk is full").count() + log.matches("No space left").count()
        };
        let before = full();
        disk.fill();
        let noticed = until("the daemon notices that the disk is full", async || (full() > before).then_some(true));
        let noticed = noticed.await;
        sleep(long).await;
        disk.free();
        noticed
    }
}

/// Pushes jobs until the faults are over; each again until it is acknowledged. Answers the jobs' names.
async fn pushes(client: &Client, seed: u64, over: &AtomicBool) -> Vec<String> {
    let (mut jobs, mut draws) = (vec![], Draws(Seed(seed).derive("pushes", 0), 0));
    while !over.load(Ordering::Relaxed) || jobs.len() < 3 {
        let template = template(jobs.len(), 1 + draws.below(6));
        jobs.push(push(client, &template, jobs.len()).await);
        sleep(Duration::from_millis(200 + draws.below(800))).await;
    }
    jobs
}

/// Pushes a template until it is acknowledged; answers the job's name.
async fn push(client: &Client, template: &str, number: usize) -> String {
    until("a push is acknowledged", async || {
        let digest = client.try_upload(template.as_bytes()).await.ok()?;
        let request = v1::PushTemplateRequest {
            parent: "projects/lab".into(),
            file_name: "job.yaml".into(),
            template_digest: digest,
            template_folder: "/".into(),
            working_folder: "/".into(),
            parameters_json: "{}".into(),
            again: number.to_string(),
            ..v1::PushTemplateRequest::default()
        };
        Some(client.jobs().push_template(request).await.ok()?.into_inner().job?.name)
    })
    .await
}

fn template(number: usize, frames: u64) -> String {
    let action = "    script:\n      actions:\n        onRun:\n          command: \"true\"\n";
    format!(
        "specificationVersion: jobtemplate-2023-09\nname: Job {number}\nsteps:\n  - name: Render\n    parameterSpace:\n      \
         taskParameterDefinitions:\n        - {{ name: Frame, type: INT, range: \"1-{frames}\" }}\n{action}  - name: Encode\n    \
         dependencies:\n      - dependsOn: Render\n{action}"
    )
}

#[expect(clippy::disallowed_methods, reason = "that the daemon's clock is wrong is told by this one")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs().cast_signed()
}
