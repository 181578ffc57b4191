//! One process per device: runs profile, generate, validate and assemble tasks.

mod attach;
mod clock;
mod credential;
mod device;
mod fault;
mod inspect;
mod inventory;
mod models;
mod offer;
mod run;
mod session;
mod sim;
mod task_log;

use clap::Parser;
use greenroom_artifacts::Place;
use greenroom_identity::Precision;
use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::task_log::TaskLog;

/// A Greenroom worker. The daemon starts it; by hand it is needed on other machines only.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    /// The daemon's address, https://HOST:PORT or http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub daemon: String,
    /// File with the certificate of the authority that vouches for the daemon (PEM). The system's authorities otherwise.
    #[arg(long, env = "GREENROOM_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// File with a token that stays: worker.token in the daemon's state folder. `-` reads a line of standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "credential", conflicts_with = "credential")]
    pub token_file: Option<PathBuf>,
    /// File that holds this worker's own credential; written when it joins, and again whenever the daemon renews it.
    #[arg(long, value_name = "FILE")]
    pub credential: Option<PathBuf>,
    /// File with a join token (`greenroom token create --worker`), for a worker that has no credential that holds.
    #[arg(long, value_name = "FILE", requires = "credential")]
    pub join: Option<PathBuf>,
    /// Where the farm's artifacts lie: a folder, or s3://BUCKET/PREFIX with AWS_… in the environment.
    #[arg(long, value_name = "DIR|URL")]
    pub artifacts: Place,
    /// Scratch space; emptied after each task.
    #[arg(long, value_name = "DIR")]
    pub scratch: PathBuf,
    /// The folder of the models, with its pack.toml.
    #[arg(long, value_name = "DIR")]
    pub pack: PathBuf,
    /// ONNX Runtime's shared library.
    #[arg(long, env = "GREENROOM_ONNXRUNTIME", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads; outputs are the same bytes for the same number.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub threads: usize,
    /// What pictures are computed on: auto, cpu, cuda or cuda:NUMBER among the GPUs that the process sees.
    #[arg(long, env = "GREENROOM_DEVICE", default_value_t, value_name = "DEVICE")]
    pub device: device::Wanted,
    /// How faces are embedded: `fast` takes half the time where library and processor have bfloat16 (OpenVINO), and keeps a
    /// cosine of 0.9999 to `exact`.
    #[arg(long, env = "GREENROOM_FACES", value_enum, default_value = "exact")]
    pub faces: Faces,
    /// Name of this machine on the farm; its host name unless said otherwise.
    #[arg(long, env = "GREENROOM_NODE", value_name = "NAME")]
    pub node: Option<String>,
    /// What this worker is to be known for: jobs, policies and reservations may ask for it.
    #[arg(long, env = "GREENROOM_TAGS", value_delimiter = ',', value_name = "TAG,...")]
    pub tags: Vec<String>,
    /// Memory of the device, MiB, where it is not what the machine says.
    #[arg(long, env = "GREENROOM_MEMORY_MIB", value_name = "N")]
    pub memory_mib: Option<u64>,
    /// Memory of the machine that this worker may use, MiB, where it is limited.
    #[arg(long, env = "GREENROOM_RAM_MIB", value_name = "N")]
    pub ram_mib: Option<u64>,
    /// Offer the devices of this file (TOML) and compute on the processor, to try a farm out without its cards.
    #[arg(long, env = "GREENROOM_SIMULATED_DEVICES", value_name = "FILE")]
    pub simulated: Option<PathBuf>,
    /// Run commands of job templates, as this user; without it they are refused.
    #[arg(long, value_name = "USER")]
    pub commands_user: Option<String>,
    /// Where commands get their working folders; every user must be able to make folders there.
    #[arg(long, default_value = "/tmp", value_name = "DIR")]
    pub commands_scratch: PathBuf,
    /// Go after so many seconds without a task. A worker that gets SIGTERM goes too, and gives back what it has.
    #[arg(long, value_name = "SECONDS")]
    pub idle: Option<u64>,
    /// Stand in for a device: every task takes so many milliseconds, and gives what is made up.
    #[arg(long, hide = true, value_name = "MS")]
    pub rehearse: Option<u64>,
    /// Exit when standard input closes: the daemon that started this worker has gone.
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// How faces are embedded.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Faces {
    Exact,
    Fast,
}

impl From<Faces> for Precision {
    fn from(faces: Faces) -> Self {
        match faces {
            Faces::Exact => Self::Exact,
            Faces::Fast => Self::Fast,
        }
    }
}

const AFTER: &str = "`greenroom-worker devices` tells what this machine has to compute on, `greenroom-worker inspect FILE...` what \
                     ONNX files are for; see their --help.";

fn main() -> ExitCode {
    let rest = || std::env::args_os().skip(1);
    match rest().next().as_deref().and_then(|first| first.to_str()) {
        Some("devices") => return inventory::Devices::parse_from(rest()).run(),
        Some("inspect") => return inspect::Inspect::parse_from(rest()).run(),
        Some("session") => return session::serve(),
        _ => {}
    }
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("GREENROOM_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal();
    let terminal = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colour);
    let log = TaskLog::default();
    let people = log.clone().with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(terminal.with_filter(filter)).with(people).init();
    greenroom_media::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the async runtime");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(attach::work(args, log));
    // A task that still computes is not waited for: its lease is lost with the stream.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!(remedy = problem.remedy, "{problem}");
            ExitCode::FAILURE
        }
    }
}
