//! What the command takes from the machine it runs on. Everything else is given it as an argument.
#![expect(clippy::disallowed_methods, reason = "the program asks the machine here, once, and passes it on")]

use greenroom_domain::Timestamp;
use std::{
    env,
    ffi::OsString,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Environment variables, terminals and paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// GREENROOM_ADDRESS.
    pub(crate) address: Option<String>,
    /// GREENROOM_TOKEN_FILE.
    pub(crate) token_file: Option<PathBuf>,
    /// GREENROOM_CA.
    pub(crate) ca: Option<PathBuf>,
    /// GREENROOMD: the daemon's program for an embedded farm.
    pub(crate) daemon: Option<PathBuf>,
    /// GREENROOM_WORKER: the worker's program, which looks at models.
    pub(crate) worker: Option<PathBuf>,
    /// GREENROOM_PACK: the models that a farm works with where none are named.
    pub(crate) pack: Option<PathBuf>,
    /// USER, or LOGNAME: who pushes.
    pub(crate) user: Option<String>,
    /// PATH.
    pub(crate) path: Option<OsString>,
    /// $XDG_CONFIG_HOME, or .config in the home directory.
    pub(crate) config_home: Option<PathBuf>,
    /// $XDG_DATA_HOME, or .local/share in the home directory.
    pub(crate) data_home: Option<PathBuf>,
    /// Folder of our own program.
    pub(crate) beside: Option<PathBuf>,
    /// Standard output is a terminal that may show colours.
    pub(crate) colour: bool,
    /// Standard error is a terminal that can redraw lines.
    pub(crate) live: bool,
    /// Standard input and standard error are terminals: somebody can be asked.
    pub(crate) asks: bool,
}

impl Environment {
    /// As this process finds it.
    pub(crate) fn of_this_process() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let below_home = |path: &str| set("HOME").map(|home| Path::new(&home).join(path));
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Self {
            address: set("GREENROOM_ADDRESS").map(|a| a.to_string_lossy().into_owned()),
            token_file: set("GREENROOM_TOKEN_FILE").map(PathBuf::from),
            ca: set("GREENROOM_CA").map(PathBuf::from),
            daemon: set("GREENROOMD").map(PathBuf::from),
            worker: set("GREENROOM_WORKER").map(PathBuf::from),
            pack: set("GREENROOM_PACK").map(PathBuf::from),
            user: set("USER").or_else(|| set("LOGNAME")).map(|user| user.to_string_lossy().into_owned()),
            path: set("PATH"),
            config_home: set("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| below_home(".config")),
            data_home: set("XDG_DATA_HOME").map(PathBuf::from).or_else(|| below_home(".local/share")),
            beside: env::current_exe().ok().and_then(|exe| Some(exe.canonicalize().ok()?.parent()?.to_owned())),
            colour: std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb,
            live: std::io::stderr().is_terminal() && !dumb,
            asks: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        }
    }
}

impl Environment {
    /// A program of ours: the one beside us, or the first on the path.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let on_path = self.path.iter().flat_map(|path| env::split_paths(path).collect::<Vec<_>>());
        let mut places = self.beside.iter().cloned().chain(on_path).map(|dir| dir.join(name));
        places.find(|place| place.is_file())
    }
}

/// The present moment, for times left and ages.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Ends when the person or the machine asks the program to end.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut hangup) = match (signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
        (Ok(terminate), Ok(hangup)) => (terminate, hangup),
        _ => return std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
