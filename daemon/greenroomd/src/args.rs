//! What the daemon is told: file < environment < flag.

mod slurm;
mod workers;

use clap::{Parser, Subcommand};
use greenroom_artifacts::Place;
use greenroom_domain::{PathRule, Problem, ProblemKind};
use serde::Deserialize;
use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    backup::Backup,
    notify::{Mail, Rule},
    task_logs::{Logs, TaskLogs},
    tls,
};
use workers::WorkersSection;

pub(crate) use slurm::{Engine, Slurm};
pub(crate) use workers::{Devices, Memory, Workers};

const AFTER: &str = "`greenroomd cert DIR` makes a certificate for a farm that has no public name; see its --help.";

/// A stolen credential of a worker is of use no longer than this, unless asked otherwise …
const CREDENTIAL: Duration = Duration::from_secs(3600);
/// … and renewing takes a moment.
const SHORTEST: Duration = Duration::from_secs(2);

/// The Greenroom daemon: keeps the ledger, serves the API, and supervises one worker per device.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    /// Configuration file (TOML). Flags and environment variables go before what it says.
    #[arg(long, env = "GREENROOM_DAEMON_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the ledger, the artifacts and the tokens lie.
    #[arg(long, env = "GREENROOM_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Where artifacts lie: a folder that every worker sees, or s3://BUCKET/PREFIX with AWS_… in the environment; the default is
    /// artifacts in the state folder.
    #[arg(long, env = "GREENROOM_ARTIFACTS", value_name = "DIR|URL")]
    pub artifacts: Option<Place>,
    /// The ledger's PostgreSQL database, `postgres://USER:PASSWORD@HOST/DATABASE`, for more than one daemon; without it the
    /// ledger is a file in the state folder. Others see a flag's password: the variable or the file keep it.
    #[arg(long, env = "GREENROOM_LEDGER", value_name = "URL", hide_env_values = true)]
    pub ledger: Option<LedgerUrl>,
    /// How others reach this daemon, where that is not the address it listens on: daemons that stand by name it.
    #[arg(long, env = "GREENROOM_ADVERTISE", value_name = "URL")]
    pub advertise: Option<String>,
    /// Address to listen on; port 0 takes a free one. The address in use stands in STATE/endpoint.json.
    #[arg(long, env = "GREENROOM_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The certificate to serve TLS with (PEM), and those that lead from it to its issuer.
    #[arg(long, env = "GREENROOM_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM). SIGHUP reads both again.
    #[arg(long, env = "GREENROOM_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Listen on an address that other machines reach, without TLS: tokens and pictures cross the network as they are.
    #[arg(long)]
    pub insecure: bool,
    /// The folder of the models, with its pack.toml.
    #[arg(long, env = "GREENROOM_PACK", value_name = "DIR")]
    pub pack: Option<PathBuf>,
    /// ONNX Runtime's shared library.
    #[arg(long, env = "GREENROOM_ONNXRUNTIME", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Worker processes for the processor of this machine; each card and slice gets one besides. 0 starts none at all.
    #[arg(long, env = "GREENROOM_WORKERS", value_name = "N")]
    pub workers: Option<u32>,
    /// Who starts workers: the daemon itself on this machine, or Slurm on its cluster, as [slurm] of the file says. With Slurm there
    /// are none on this machine unless --workers asks for some.
    #[arg(long, env = "GREENROOM_ENGINE", value_enum)]
    pub engine: Option<Engine>,
    /// Devices of this machine that get a worker: auto takes all that `greenroom-worker devices` tells.
    #[arg(long, env = "GREENROOM_DEVICES", value_name = "auto|cpu|cuda:0,...")]
    pub devices: Option<Devices>,
    /// How much of the machine's memory each worker may use, as in 16GiB; needs a cgroup that systemd delegates.
    #[arg(long, env = "GREENROOM_MEMORY_MAX", value_name = "SIZE")]
    pub memory_max: Option<Memory>,
    /// Take what this file says for the machine's devices (TOML), to try a farm out without its cards.
    #[arg(long, env = "GREENROOM_SIMULATED_DEVICES", value_name = "FILE")]
    pub simulated: Option<PathBuf>,
    /// Threads of each worker; 0 takes all cores. Outputs are the same bytes for the same number.
    #[arg(long, env = "GREENROOM_THREADS", value_name = "N")]
    pub threads: Option<u32>,
    /// The worker program; the default is greenroom-worker beside this program.
    #[arg(long, env = "GREENROOM_WORKER", value_name = "FILE")]
    pub worker: Option<PathBuf>,
    /// How long the credential of a worker on another machine holds, as in 1h or 90s; it is renewed before it ends.
    #[arg(long, env = "GREENROOM_WORKER_CREDENTIAL", value_name = "TIME")]
    pub worker_credential: Option<jiff::SignedDuration>,
    /// Try what a wrong clock does: so many seconds ahead of the machine's.
    #[arg(long, env = "GREENROOM_CLOCK_AHEAD", hide = true, allow_negative_numbers = true, default_value_t = 0)]
    pub clock_ahead: i64,
    /// Stop gracefully when standard input closes: whoever started the daemon has gone.
    #[arg(long)]
    pub until_stdin_closes: bool,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done instead of serving. The settings that say where the ledger is stand in front.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks at this machine's part of the farm, whether or not the daemon runs. `greenroom doctor` asks a running one.
    Doctor,
    /// Sends a trial notice by one of the notify sections of the configuration.
    Notify {
        /// Its name.
        name: String,
    },
    /// Looks after the ledger while no daemon uses it.
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

/// What can be done to a ledger.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Goes back behind the last migration: the copy that was taken before it takes the ledger's place. What was written since
    /// is kept beside it (LEDGER.undone, or the schema greenroom_undone). Then start the build that knows the older schema.
    Restore {
        /// Puts this copy (`greenroom backup`) in the ledger's place instead
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Reads the whole ledger and compares its parts with each other.
    Check,
}

/// A database's address, with its password: shown nowhere.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct LedgerUrl(String);

impl LedgerUrl {
    /// The whole address, for whoever connects.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for LedgerUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Debug for LedgerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a database's address")
    }
}

/// The configuration file: one section, one struct.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    daemon: DaemonSection,
    ledger: LedgerSection,
    workers: WorkersSection,
    slurm: Slurm,
    models: ModelsSection,
    commands: Commands,
    logs: Logs,
    backup: Backup,
    mail: Option<Mail>,
    notify: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DaemonSection {
    state: Option<PathBuf>,
    artifacts: Option<String>,
    listen: Option<SocketAddr>,
    advertise: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    insecure: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LedgerSection {
    url: Option<LedgerUrl>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ModelsSection {
    pack: Option<PathBuf>,
    onnxruntime: Option<PathBuf>,
}

/// Jobs of plain commands.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Commands {
    /// Whether the farm takes them.
    pub enabled: bool,
    /// As which user they run.
    pub user: String,
    /// Where they get their working folders.
    pub scratch: PathBuf,
    /// The most tasks that one job may have.
    pub tasks: u64,
    /// How paths of the machines that push are found on the workers.
    pub paths: Vec<PathRule>,
}

impl Default for Commands {
    fn default() -> Self {
        Self { enabled: false, user: String::new(), scratch: "/tmp".into(), tasks: 10_000, paths: Vec::new() }
    }
}

impl Commands {
    fn check(self) -> Result<Self, Problem> {
        let refuse =
            |cause: &str, remedy: &str| Err(Problem::invalid("read configuration", "[commands]", cause, remedy));
        match self.user.as_str() {
            "" if self.enabled => {
                refuse("commands are enabled and no user is named", "write user = \"NAME\", a user without rights")
            }
            "root" | "0" => refuse("commands never run as root", "write user = \"NAME\", a user without rights"),
            _ if self.paths.iter().any(|rule| rule.from.is_empty() || rule.to.is_empty()) => {
                refuse("a rule of paths has an empty side", "write paths = [{ from = \"/there\", to = \"/here\" }]")
            }
            _ => Ok(self),
        }
    }
}

/// What is in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub state: PathBuf,
    pub artifacts: Place,
    pub ledger: Option<LedgerUrl>,
    pub advertise: Option<String>,
    pub listen: SocketAddr,
    /// Certificate and key, where TLS is served.
    pub tls: Option<tls::Files>,
    pub pack: PathBuf,
    pub onnxruntime: Option<PathBuf>,
    pub workers: Workers,
    /// How Slurm is asked for workers, where it is.
    pub slurm: Option<Slurm>,
    pub threads: u32,
    pub worker: PathBuf,
    pub commands: Commands,
    pub logs: Logs,
    pub backup: Backup,
    /// How mail is sent.
    pub mail: Option<Mail>,
    /// Whom to tell of what.
    pub notify: Vec<Rule>,
    /// How long the credential of a worker that joined holds.
    pub credential: Duration,
    pub until_stdin_closes: bool,
}

/// Where a ledger is.
#[derive(Debug, Clone)]
pub(crate) struct Where {
    /// The folder of its file, and of much else.
    pub state: PathBuf,
    /// The database that is its place instead.
    pub ledger: Option<LedgerUrl>,
}

impl Where {
    /// The same as a daemon's with these settings.
    pub(crate) fn resolve(args: Args) -> Result<Self, Problem> {
        let file = args.config.as_deref().map_or_else(|| Ok(File::default()), read)?;
        Ok(Self { state: state(args.state, file.daemon.state), ledger: args.ledger.or(file.ledger.url) })
    }
}

impl Config {
    /// Folders of this machine that fill, by what lies there.
    pub(crate) fn folders(&self, logs: &TaskLogs) -> Vec<(&'static str, PathBuf)> {
        let mut folders = vec![("state", self.state.clone()), ("logs", logs.folder().to_owned())];
        if let Place::Folder(artifacts) = &self.artifacts {
            folders.push(("artifacts", artifacts.clone()));
        }
        folders
    }

    /// Where the ledger is.
    pub(crate) fn ledger_place(&self) -> Where {
        Where { state: self.state.clone(), ledger: self.ledger.clone() }
    }

    /// Lays flags over environment over file over defaults.
    pub(crate) fn resolve(args: Args, own_program: &Path) -> Result<Self, Problem> {
        let file = args.config.as_deref().map_or_else(|| Ok(File::default()), read)?;
        let pack = args.pack.or(file.models.pack).ok_or_else(|| {
            Problem::invalid(
                "read configuration",
                "pack",
                "no folder of models is configured",
                "pass --pack DIR, set GREENROOM_PACK, or write [models] pack = \"DIR\" to the configuration file",
            )
        })?;
        let listen = args.listen.or(file.daemon.listen).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7474)));
        let tls = certificate(args.tls_cert.or(file.daemon.tls_cert), args.tls_key.or(file.daemon.tls_key))?;
        if tls.is_none() && !listen.ip().is_loopback() && !(args.insecure || file.daemon.insecure) {
            return Err(exposed(listen));
        }
        let credential = args.worker_credential.or(file.workers.credential);
        let credential = credential.map_or(CREDENTIAL, jiff::SignedDuration::unsigned_abs).max(SHORTEST);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let state = state(args.state, file.daemon.state);
        let artifacts = match (args.artifacts, file.daemon.artifacts) {
            (Some(place), _) => place,
            (None, Some(text)) => text.parse().map_err(|cause: String| {
                Problem::invalid(
                    "read configuration",
                    "artifacts",
                    cause,
                    "mend [daemon] artifacts in the configuration file",
                )
            })?,
            (None, None) => Place::Folder(state.join("artifacts")),
        };
        let by_slurm = args.engine.or(file.workers.engine).unwrap_or_default() == Engine::Slurm;
        let slurm = by_slurm.then(|| file.slurm.check(&state)).transpose()?;
        Ok(Self {
            artifacts,
            slurm,
            state,
            ledger: args.ledger.or(file.ledger.url),
            advertise: args.advertise.or(file.daemon.advertise),
            listen,
            tls,
            pack,
            onnxruntime: args.onnxruntime.or(file.models.onnxruntime),
            workers: Workers {
                count: args.workers.or(file.workers.count).unwrap_or(u32::from(!by_slurm)),
                devices: args.devices.or(file.workers.devices).unwrap_or_default(),
                memory_max: args.memory_max.or(file.workers.memory_max),
                simulated: args.simulated.or(file.workers.simulated),
            }
            .check()?,
            threads: args.threads.or(file.workers.threads).filter(|&n| n > 0).unwrap_or(cores),
            worker: args
                .worker
                .or(file.workers.program)
                .unwrap_or_else(|| own_program.with_file_name("greenroom-worker")),
            commands: file.commands.check()?,
            logs: file.logs,
            backup: file.backup,
            notify: notified(file.notify, file.mail.as_ref())?,
            mail: file.mail,
            credential,
            until_stdin_closes: args.until_stdin_closes,
        })
    }
}

fn state(flag: Option<PathBuf>, file: Option<PathBuf>) -> PathBuf {
    flag.or(file).unwrap_or_else(|| "/var/lib/greenroom".into())
}

/// The rules, if all of them can work and each has a name of its own.
fn notified(rules: Vec<Rule>, mail: Option<&Mail>) -> Result<Vec<Rule>, Problem> {
    for (n, rule) in rules.iter().enumerate() {
        rule.check(mail)?;
        if rules[..n].iter().any(|other| other.name == rule.name) {
            let subject = format!("[[notify]] {}", rule.name);
            return Err(Problem::invalid("read configuration", subject, "two have this name", "give each its own"));
        }
    }
    Ok(rules)
}

fn certificate(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<tls::Files>, Problem> {
    let half = |given: &Path, missing: &str| {
        let cause = format!("{missing} is not set, and a certificate is served with its key");
        let remedy = format!("set {missing} too, or neither");
        Err(Problem::invalid("read configuration", given.display().to_string(), cause, remedy))
    };
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(tls::Files { cert, key })),
        (Some(cert), None) => half(&cert, "tls_key"),
        (None, Some(key)) => half(&key, "tls_cert"),
        (None, None) => Ok(None),
    }
}

fn exposed(listen: SocketAddr) -> Problem {
    let cause =
        "other machines reach this address, and without TLS whoever listens on the way reads tokens and pictures";
    let remedy = "set tls_cert and tls_key (`greenroomd cert DIR` makes both), listen on 127.0.0.1, or say --insecure where \
                  the network itself is private";
    Problem::new(ProblemKind::Denied, "listen", listen.to_string(), cause, remedy)
}

fn read(path: &Path) -> Result<File, Problem> {
    let fail = |cause: String| {
        Problem::invalid("read configuration", path.display().to_string(), cause, "fix the file or leave --config out")
    };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    toml::from_str(&text).map_err(|e| fail(e.to_string().trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_goes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("greenroomd.toml");
        std::fs::write(&file, "[daemon]\nlisten = \"127.0.0.1:1\"\n[workers]\ncount = 4\n[models]\npack = \"/p\"\n")
            .unwrap();
        let args = Args::parse_from(["greenroomd", "--config", file.to_str().unwrap(), "--listen", "127.0.0.1:2"]);
        let config = Config::resolve(args, Path::new("/usr/bin/greenroomd")).unwrap();
        assert_eq!((config.listen.port(), config.workers.count), (2, 4));
        assert_eq!(config.worker, Path::new("/usr/bin/greenroom-worker"));
    }

    #[test]
    fn the_ledgers_password_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("greenroomd.toml");
        std::fs::write(&file, "[ledger]\nurl = \"postgres://farm:s3cret@db/ledger\"\n[models]\npack = \"/p\"\n")
            .unwrap();
        let args = Args::parse_from(["greenroomd", "--config", file.to_str().unwrap()]);
        let config = Config::resolve(args, Path::new("/usr/bin/greenroomd")).unwrap();
        assert_eq!(config.ledger.as_ref().unwrap().reveal(), "postgres://farm:s3cret@db/ledger");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn an_address_that_others_reach_needs_tls_or_a_word() {
        let resolve = |more: &[&str]| {
            let line = ["greenroomd", "--pack", "/p", "--listen", "0.0.0.0:1"].iter().chain(more);
            Config::resolve(Args::parse_from(line), Path::new("/usr/bin/greenroomd"))
        };
        let problem = resolve(&[]).unwrap_err();
        let cause =
            "other machines reach this address, and without TLS whoever listens on the way reads tokens and pictures";
        assert_eq!(problem.to_string(), format!("listen: 0.0.0.0:1: {cause}"));
        assert!(resolve(&["--insecure"]).is_ok());
        assert!(resolve(&["--tls-cert", "c", "--tls-key", "k"]).is_ok());
        let half = resolve(&["--tls-cert", "c"]).unwrap_err();
        assert!(half.cause.starts_with("tls_key is not set"), "{half}");
    }

    #[test]
    fn a_misspelt_field_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("greenroomd.toml");
        std::fs::write(&file, "[daemon]\nlissen = \"127.0.0.1:1\"\n").unwrap();
        let args = Args::parse_from(["greenroomd", "--config", file.to_str().unwrap()]);
        let problem = Config::resolve(args, Path::new("/usr/bin/greenroomd")).unwrap_err();
        assert!(problem.cause.contains("unknown field `lissen`"), "{problem}");
    }
}
