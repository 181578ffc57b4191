//! What the daemon is told of Slurm, where that places its workers.

use greenroom_domain::Problem;
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Who starts workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Engine {
    /// The daemon itself, on its own machine.
    #[default]
    Local,
    /// Slurm, on the nodes of its cluster.
    Slurm,
}

/// `[slurm]` of the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slurm {
    /// As sbatch takes them; what is not said is Slurm's to choose.
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub gres: Option<String>,
    pub time: Option<String>,
    pub memory: Option<String>,
    /// Further words for sbatch.
    pub extra: Vec<String>,
    /// Processors of each job, and its worker's threads.
    pub cpus: u32,
    /// The fewest and the most jobs.
    pub min: usize,
    pub max: usize,
    /// A worker goes after so long without a task.
    #[serde(deserialize_with = "span")]
    pub idle: Duration,
    /// How often Slurm's queue is looked at.
    #[serde(deserialize_with = "span")]
    pub poll: Duration,
    /// A folder that every node sees, for what a job is to know and for its log.
    pub folder: PathBuf,
    /// How nodes reach the daemon.
    pub daemon: Option<String>,
    /// Who vouches for its certificate, on the nodes.
    pub ca: Option<PathBuf>,
}

impl Default for Slurm {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            qos: None,
            gres: None,
            time: None,
            memory: None,
            extra: vec![],
            cpus: 1,
            min: 0,
            max: 4,
            idle: Duration::from_secs(60),
            poll: Duration::from_secs(2),
            folder: PathBuf::new(),
            daemon: None,
            ca: None,
        }
    }
}

impl Slurm {
    /// # Errors
    /// If it asks for what cannot be.
    pub(super) fn check(self, state: &Path) -> Result<Self, Problem> {
        let refuse = |cause: &str, remedy: &str| Err(Problem::invalid("read configuration", "[slurm]", cause, remedy));
        match () {
            () if self.cpus == 0 => refuse("a job without processors runs nothing", "write cpus = 1 or more"),
            () if self.max == 0 || self.min > self.max => {
                refuse("max must be 1 or more, and min no more than that", "write min = 0 and max = 8, say")
            }
            () if self.poll.is_zero() => refuse("poll must be more than nothing", "write poll = \"2s\""),
            () if self.folder.as_os_str().is_empty() => Ok(Self { folder: state.join("slurm"), ..self }),
            () => Ok(self),
        }
    }
}

fn span<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    jiff::SignedDuration::deserialize(from).map(jiff::SignedDuration::unsigned_abs)
}
