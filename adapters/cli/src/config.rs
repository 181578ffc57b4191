//! The settings in force and whence: file < environment < flag.

use greenroom_domain::Problem;
use serde::Deserialize;
use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{cli::Global, environment::Environment};

/// The settings in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The file that was read, or would be.
    pub(crate) file: Setting<PathBuf>,
    /// Where the daemon listens; none means an embedded farm.
    pub(crate) address: Setting<String>,
    /// What holds the access token.
    pub(crate) token_file: Setting<PathBuf>,
    /// Who vouches for the daemon; none means the system's authorities.
    pub(crate) ca: Setting<PathBuf>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    /// None where nobody set it.
    pub(crate) value: Option<T>,
    /// Who set it.
    pub(crate) origin: Origin,
}

/// Who set a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(&'static str),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ConfigFile {
    daemon: DaemonSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DaemonSection {
    address: Option<String>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl Config {
    /// Reads the file and lays environment and flags over it. Only a file named by `--config` must exist.
    pub(crate) fn load(flags: &Global, environment: &Environment) -> Result<Self, Problem> {
        let file = match (&flags.config, &environment.config_home) {
            (Some(path), _) => Setting { value: Some(path.clone()), origin: Origin::Flag("--config") },
            (None, Some(home)) => Setting { value: Some(home.join("greenroom/config.toml")), origin: Origin::Default },
            (None, None) => Setting { value: None, origin: Origin::Default },
        };
        let read = match &file.value {
            Some(path) => read_file(path, flags.config.is_some())?,
            None => DaemonSection::default(),
        };
        let path = file.value.clone().unwrap_or_default();
        // A relative path in the file means: beside the file.
        let beside = |file: PathBuf| path.parent().unwrap_or(Path::new("")).join(file);
        let (token_file, ca) = (read.token_file.map(beside), read.ca.map(beside));
        Ok(Self {
            address: Setting::strongest(
                (&flags.address, "--address"),
                (&environment.address, "GREENROOM_ADDRESS"),
                (read.address, &path),
            ),
            token_file: Setting::strongest(
                (&flags.token_file, "--token-file"),
                (&environment.token_file, "GREENROOM_TOKEN_FILE"),
                (token_file, &path),
            ),
            ca: Setting::strongest((&flags.ca, "--ca"), (&environment.ca, "GREENROOM_CA"), (ca, &path)),
            file,
        })
    }
}

impl<T: Clone> Setting<T> {
    fn strongest(
        flag: (&Option<T>, &'static str),
        environment: (&Option<T>, &'static str),
        file: (Option<T>, &Path),
    ) -> Self {
        if let (Some(value), name) = flag {
            Self { value: Some(value.clone()), origin: Origin::Flag(name) }
        } else if let (Some(value), name) = environment {
            Self { value: Some(value.clone()), origin: Origin::Environment(name) }
        } else if let (Some(value), path) = file {
            Self { value: Some(value), origin: Origin::File(path.to_owned()) }
        } else {
            Self { value: None, origin: Origin::Default }
        }
    }
}

fn read_file(path: &Path, required: bool) -> Result<DaemonSection, Problem> {
    let problem =
        |cause: String, remedy: &str| Problem::invalid("read configuration", path.display().to_string(), cause, remedy);
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str::<ConfigFile>(&text).map(|file| file.daemon).map_err(|error| {
            problem(
                error.message().to_owned(),
                "write a section [daemon] with address, token_file and ca = \"…\", and nothing else",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(DaemonSection::default()),
        Err(error) => Err(problem(error.to_string(), "make the file readable, or leave --config out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> (tempfile::TempDir, Environment) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("greenroom")).unwrap();
        std::fs::write(dir.path().join("greenroom/config.toml"), text).unwrap();
        let environment = Environment { config_home: Some(dir.path().to_owned()), ..Environment::default() };
        (dir, environment)
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let (dir, mut environment) = files("[daemon]\naddress = \"http://file\"\ntoken_file = \"token\"");
        let mut flags = Global::default();
        let config = Config::load(&flags, &environment).unwrap();
        assert_eq!(config.address.value.as_deref(), Some("http://file"));
        assert_eq!(config.token_file.value, Some(dir.path().join("greenroom/token")));
        assert_eq!(config.address.origin, Origin::File(dir.path().join("greenroom/config.toml")));
        environment.address = Some("http://environment".into());
        let config = Config::load(&flags, &environment).unwrap();
        assert_eq!(config.address.value.as_deref(), Some("http://environment"));
        assert_eq!(config.address.origin.to_string(), "environment GREENROOM_ADDRESS");
        flags.address = Some("http://flag".into());
        let config = Config::load(&flags, &environment).unwrap();
        assert_eq!(config.address.value.as_deref(), Some("http://flag"));
        assert_eq!(config.address.origin.to_string(), "flag --address");
    }

    #[test]
    fn without_a_file_nothing_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment { config_home: Some(dir.path().to_owned()), ..Environment::default() };
        let config = Config::load(&Global::default(), &environment).unwrap();
        assert_eq!((config.address.value, config.address.origin), (None, Origin::Default));
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let (_dir, environment) = files("[daemon]\nadress = \"http://file\"");
        let problem = Config::load(&Global::default(), &environment).unwrap_err();
        assert_eq!(problem.cause, "unknown field `adress`, expected one of `address`, `token_file`, `ca`");
    }

    #[test]
    fn a_file_that_was_asked_for_must_be_there() {
        let flags = Global { config: Some("absent.toml".into()), ..Global::default() };
        let problem = Config::load(&flags, &Environment::default()).unwrap_err();
        assert_eq!(problem.to_string(), "read configuration: absent.toml: No such file or directory (os error 2)");
        assert_eq!(problem.remedy, "make the file readable, or leave --config out");
    }
}
