//! A daemon with its workers.

use greenroom_proto::v1;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    client::Client,
    process::{Programs, alive, children, greenroom, is_stopped, kill_now, until},
    project::Project,
};

/// How a farm is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Another pack than the repository's.
    pub pack: Option<PathBuf>,
    /// Worker processes.
    pub workers: u32,
    /// Another place for artifacts than the state folder.
    pub artifacts: Option<String>,
    /// A file that says which devices the machine has, and how many of them are cards or slices to compute on.
    pub simulated: Option<(PathBuf, u32)>,
    /// Further environment variables of the daemon.
    pub environment: Vec<(String, String)>,
    /// Whether commands run, and with which lines more below `[commands]`.
    pub commands: Option<String>,
    /// Further lines of the daemon's configuration.
    pub config: String,
    /// Who vouches for a daemon that is called by https.
    pub ca: Option<PathBuf>,
    /// The folder in which its state folder is made.
    pub place: Option<PathBuf>,
}

impl Options {
    /// Workers that will be there.
    fn attached(&self) -> u32 {
        self.workers + self.simulated.as_ref().map_or(0, |(_, cards)| *cards)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pack: None,
            workers: 1,
            artifacts: None,
            simulated: None,
            environment: vec![],
            commands: None,
            config: String::new(),
            ca: None,
            place: None,
        }
    }
}

/// A daemon with its workers and a state folder of its own. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Farm {
    state: TempDir,
    options: Options,
    daemon: Child,
    client: Client,
}

impl Farm {
    /// Starts a farm with one worker.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts a farm, and waits until its workers are attached.
    pub async fn start_with(options: Options) -> Self {
        let state = options.place.as_ref().map_or_else(TempDir::new, TempDir::new_in).unwrap();
        let (daemon, client) = spawn(state.path(), &options).await;
        until_attached(&client, options.attached(), |_| true).await;
        Self { state, options, daemon, client }
    }

    /// Starts a farm's further daemon, which stands by: its workers come once it leads.
    pub async fn stand_by(options: Options) -> Self {
        let state = TempDir::new().unwrap();
        let (daemon, client) = spawn(state.path(), &options).await;
        Self { state, options, daemon, client }
    }

    /// Waits until the daemon leads and has its workers.
    pub async fn leads(&self) {
        until("the daemon leads", async || self.leader().await.is_empty().then_some(())).await;
        self.attached().await;
    }

    /// Waits until the workers are attached.
    async fn attached(&self) {
        until_attached(&self.client, self.options.attached(), |_| true).await;
    }

    /// Where the daemon says that the leader is; empty where it leads itself.
    pub async fn leader(&self) -> String {
        self.client.farm().get_farm(v1::GetFarmRequest {}).await.unwrap().into_inner().leader
    }

    /// Calls with the admin token.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The daemon's state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// What the daemon and its workers have said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(log(self.state())).unwrap()
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn address(&self) -> String {
        endpoint(self.state()).unwrap()["address"].as_str().unwrap().to_owned()
    }

    /// What the command says to its caller and about what went wrong, called with this farm.
    pub async fn said(&self, arguments: &[&str]) -> String {
        self.said_as(&self.state().join("admin.token"), arguments).await
    }

    /// The same, called with the token in a file.
    pub async fn said_as(&self, token: &Path, arguments: &[&str]) -> String {
        let address = self.address();
        let ca = self.options.ca.as_ref().map(|ca| ca.display().to_string());
        let farm = ["--address", &address, "--token-file", token.to_str().unwrap()];
        let farm = farm.into_iter().chain(ca.iter().flat_map(|ca| ["--ca", ca]));
        let output = greenroom(arguments.iter().copied().chain(farm)).await;
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// What a monitoring system is answered, status and text, with the admin token or without any.
    pub async fn scraped(&self, with_token: bool) -> (u16, String) {
        let token = fs::read_to_string(self.state().join("admin.token")).unwrap();
        let authorization =
            if with_token { format!("Authorization: Bearer {}\r\n", token.trim()) } else { String::new() };
        let address = self.address().trim_start_matches("http://").to_owned();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n");
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
    }

    /// What the daemon's program says when it is to do something else than to serve.
    #[must_use]
    pub fn maintained(&self, arguments: &[&str]) -> String {
        let programs = Programs::find();
        let mut command = Command::new(programs.path("greenroomd"));
        command.arg("--state").arg(self.state()).arg("--pack").arg(&programs.pack).args(arguments);
        let output = command.env_clear().env("NO_COLOR", "1").output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// Whether any file of the farm holds these bytes.
    #[must_use]
    pub fn holds(&self, bytes: &[u8]) -> bool {
        holds(self.state(), bytes)
    }

    /// The workers' process ids.
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        children(self.daemon.id())
    }

    /// Makes a project with small pictures.
    pub async fn project(&self, name: &str) -> Project {
        self.project_with(name, v1::Settings::default()).await
    }

    /// Makes a project with small pictures, and settings over that.
    pub async fn project_with(&self, name: &str, settings: v1::Settings) -> Project {
        Project::create(self.client.clone(), name, settings).await
    }

    /// Waits until no worker has a task, and every worker that should be there is.
    pub async fn idle(&self) {
        until_attached(&self.client, self.options.attached(), |worker| worker.task.is_empty()).await;
    }

    /// Kills a worker as a lack of memory would.
    pub fn kill_worker(&self) -> u32 {
        let pid = self.worker_pids()[0];
        kill_now(pid);
        pid
    }

    /// Kills the daemon as a power cut would; the workers are left to themselves.
    pub fn kill_daemon(&mut self) {
        kill_now(self.daemon.id());
        self.daemon.wait().unwrap();
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.daemon.id().cast_signed()), signal).unwrap();
    }

    /// Whether the daemon stands still.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        is_stopped(self.daemon.id())
    }

    /// Stops the daemon in good order.
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.daemon.wait().unwrap();
    }

    /// The next daemon is started with this variable.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.options.environment.retain(|(known, _)| known != name);
        self.options.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Waits until processes have ended.
    pub async fn gone(&self, pids: &[u32]) {
        until("the workers end with their daemon", async || (!pids.iter().any(|&pid| alive(pid))).then_some(())).await;
    }

    /// Starts the daemon again on the same state.
    pub async fn restart(&mut self) {
        fs::remove_file(self.state().join("endpoint.json")).unwrap();
        (self.daemon, self.client) = spawn(self.state.path(), &self.options).await;
        self.attached().await;
    }
}

impl Drop for Farm {
    #[expect(clippy::print_stderr, reason = "a failed test shows it with its panic")]
    fn drop(&mut self) {
        let workers = self.worker_pids();
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        workers.into_iter().for_each(kill_now);
        if std::thread::panicking() {
            eprintln!("the farm's log:\n{}", self.log());
        }
    }
}

async fn spawn(state: &Path, options: &Options) -> (Child, Client) {
    let programs = Programs::find();
    let file = fs::File::options().create(true).append(true).open(log(state)).unwrap();
    let config = state.join("greenroomd.toml");
    let lines = options
        .commands
        .as_ref()
        .map(|more| format!("[commands]\nenabled = true\nuser = \"{}\"\n{more}\n", other_user()));
    fs::write(&config, lines.unwrap_or_default() + &options.config).unwrap();
    let mut daemon = Command::new(programs.path("greenroomd"))
        .arg("--config")
        .arg(config)
        .arg("--state")
        .arg(state)
        .arg("--pack")
        .arg(options.pack.as_ref().unwrap_or(&programs.pack))
        .arg("--onnxruntime")
        .arg(&programs.onnxruntime)
        .args(["--listen", "127.0.0.1:0", "--workers", &options.workers.to_string()])
        // Should the test itself be killed, this pipe closes and the daemon ends.
        .arg("--until-stdin-closes")
        .args(options.simulated.iter().flat_map(|(file, _)| [Path::new("--simulated"), file]))
        .args(options.artifacts.iter().flat_map(|place| ["--artifacts", place]))
        .env_clear()
        .env("NO_COLOR", "1")
        .envs(options.environment.iter().cloned())
        .stdin(Stdio::piped())
        .stderr(file)
        .spawn()
        .unwrap();
    let address = until("greenroomd listens", async || {
        assert!(daemon.try_wait().unwrap().is_none(), "{}", fs::read_to_string(log(state)).unwrap());
        Some(endpoint(state)?["address"].as_str()?.to_owned())
    })
    .await;
    let token = fs::read_to_string(state.join("admin.token")).unwrap();
    let client = Client::connect_by(&address, token.trim(), options.ca.as_deref()).await;
    (daemon, client)
}

async fn until_attached(client: &Client, workers: u32, ready: impl Fn(&v1::Worker) -> bool) {
    until("the workers are attached", async || {
        let farm = client.farm().get_farm(v1::GetFarmRequest {}).await.ok()?.into_inner();
        (farm.workers.len() == workers as usize && farm.workers.iter().all(&ready)).then_some(())
    })
    .await;
}

/// Whom commands run as: somebody without rights where that can be chosen.
fn other_user() -> String {
    if nix::unistd::geteuid().is_root() {
        return "nobody".into();
    }
    nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}

fn log(state: &Path) -> PathBuf {
    state.join("greenroomd.log")
}

fn endpoint(state: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(state.join("endpoint.json")).ok()?).ok()
}

fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, bytes);
        }
        fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    })
}
