//! A farm of our own: greenroomd started for one run, and ended with it.

use greenroom_domain::{Problem, ProblemKind};
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, ChildStdin, Command};

use crate::{connection::Farm, environment::Environment};

/// What the daemon is to work with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    /// Models; the daemon's own choice where none is named.
    pub(crate) pack: Option<PathBuf>,
    /// Threads of a worker; likewise.
    pub(crate) threads: Option<u32>,
}

/// A greenroomd that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct EmbeddedFarm {
    child: Child,
    // The daemon runs until this closes, so it ends even where we are killed.
    stdin: Option<ChildStdin>,
    address: String,
    state: PathBuf,
}

#[derive(Deserialize)]
struct Endpoint {
    address: String,
}

const STEP: &str = "start farm";
const READY_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Lines of the log that a failed start shows.
const LAST_LINES: usize = 6;

impl EmbeddedFarm {
    /// Starts greenroomd with its state in a folder, and waits until it can be called.
    pub(crate) async fn start(program: &Path, state: &Path, choices: &Choices) -> Result<Self, Problem> {
        let refused = |error: io::Error| {
            let remedy = "name an --out folder that can be written and has room";
            Problem::new(ProblemKind::Unavailable, STEP, state.display().to_string(), error, remedy)
        };
        fs::create_dir_all(state).map_err(refused)?;
        // A daemon that ended long ago may have left its address behind.
        match fs::remove_file(state.join("endpoint.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            _ => {}
        }
        let log = fs::File::create(state.join("greenroomd.log")).map_err(refused)?;
        let spawned = command(program, state, choices).stderr(log).spawn();
        let mut child = spawned.map_err(|error| {
            let remedy = "set GREENROOMD to the greenroomd program";
            Problem::new(ProblemKind::Unavailable, STEP, program.display().to_string(), error, remedy)
        })?;
        let stdin = child.stdin.take();
        let mut farm = Self { child, stdin, address: String::new(), state: state.to_owned() };
        farm.address = farm.ready(program).await?;
        Ok(farm)
    }

    /// Connects to it.
    pub(crate) async fn connect(&self) -> Result<Farm, Problem> {
        Farm::connect(&self.address, Some(self.state.join("admin.token")), None).await
    }

    /// Lets it end by itself, which is to say: at once, but in order.
    pub(crate) async fn stop(mut self) {
        drop(self.stdin.take());
        if tokio::time::timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            // It hangs; dropping the child kills it too, but this also waits for it.
            let _ = self.child.kill().await;
        }
    }

    /// Waits for an end that nobody asked for.
    pub(crate) async fn ended(&mut self) -> Problem {
        let cause = match self.child.wait().await {
            Ok(status) => format!("greenroomd ended ({status})"),
            Err(error) => error.to_string(),
        };
        self.problem("keep farm", "greenroomd", cause)
    }

    async fn ready(&mut self, program: &Path) -> Result<String, Problem> {
        let file = self.state.join("endpoint.json");
        let look = async {
            loop {
                if let Some(endpoint) =
                    fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Endpoint>(&text).ok())
                {
                    return Ok(endpoint.address);
                }
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(format!("greenroomd ended ({status})"));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let found = tokio::time::timeout(READY_WITHIN, look).await;
        let cause = match found {
            Ok(Ok(address)) => return Ok(address),
            Ok(Err(cause)) => cause,
            Err(_) => format!("greenroomd was not ready within {} seconds", READY_WITHIN.as_secs()),
        };
        Err(self.problem(STEP, &program.display().to_string(), cause))
    }

    /// With what the daemon said last.
    fn problem(&self, step: &str, subject: &str, cause: String) -> Problem {
        let log = self.state.join("greenroomd.log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let (cause, remedy) = match (last_error(&text), last_lines(&text)) {
            (Some((said, remedy)), _) => (format!("{cause}: {said}"), remedy),
            (None, said) if said.is_empty() => (cause, format!("read {}", log.display())),
            (None, said) => (format!("{cause}; it said:\n{said}"), format!("read {}", log.display())),
        };
        Problem::new(ProblemKind::Unavailable, step, subject, cause, remedy)
    }
}

/// The daemon's program: the one in GREENROOMD, the one beside us, or the first on the path.
pub(crate) fn find(environment: &Environment) -> Result<PathBuf, Problem> {
    environment.daemon.clone().or_else(|| environment.program("greenroomd")).ok_or_else(|| {
        Problem::new(
            ProblemKind::Unavailable,
            STEP,
            "greenroomd",
            "it is neither beside greenroom nor on the PATH, and no daemon is configured",
            "install greenroomd, set GREENROOMD to its program, or give --address",
        )
    })
}

fn command(program: &Path, state: &Path, choices: &Choices) -> Command {
    let mut command = Command::new(program);
    command.arg("--state").arg(state).args(["--listen", "127.0.0.1:0", "--until-stdin-closes"]);
    if let Some(pack) = &choices.pack {
        command.arg("--pack").arg(pack);
    }
    if let Some(threads) = choices.threads {
        command.arg("--threads").arg(threads.to_string());
    }
    // A daemon of one run is alone, whatever ledger others on this machine share.
    command.env_remove("GREENROOM_LEDGER").env_remove("GREENROOM_ARTIFACTS");
    // A group of its own: Ctrl-C in the terminal is ours to answer, by cancelling first.
    command.env("NO_COLOR", "1").process_group(0).kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

/// Where the daemon's last word is a problem with its remedy: both.
fn last_error(log: &str) -> Option<(String, String)> {
    let (_, said) = log.lines().last()?.split_once(" ERROR ")?;
    let (cause, remedy) = said.rsplit_once(" remedy=\"")?;
    Some((cause.to_owned(), remedy.strip_suffix('"')?.replace("\\\"", "\"")))
}

fn last_lines(log: &str) -> String {
    let lines = log.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(dir: &Path, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join("greenroomd");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_missing_daemon_is_one_sentence_and_what_to_do() {
        let problem = find(&Environment::default()).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "start farm: greenroomd: it is neither beside greenroom nor on the PATH, and no daemon is configured"
        );
        assert_eq!(problem.remedy, "install greenroomd, set GREENROOMD to its program, or give --address");
    }

    #[test]
    fn the_one_that_was_named_is_taken_before_the_one_beside_us() {
        let dir = tempfile::tempdir().unwrap();
        let program = script(dir.path(), "");
        let mut environment = Environment { beside: Some(dir.path().to_owned()), ..Environment::default() };
        assert_eq!(find(&environment), Ok(program));
        environment.daemon = Some("elsewhere/greenroomd".into());
        assert_eq!(find(&environment), Ok("elsewhere/greenroomd".into()));
    }

    #[tokio::test]
    async fn a_daemon_that_ends_at_once_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let program = script(dir.path(), "echo 'error: open pack: there is no pack.toml' >&2; exit 1");
        let state = dir.path().join("out/.farm");
        let problem = EmbeddedFarm::start(&program, &state, &Choices::default()).await.unwrap_err();
        assert_eq!(
            problem.cause,
            "greenroomd ended (exit status: 1); it said:\n    error: open pack: there is no pack.toml"
        );
        assert_eq!(problem.remedy, format!("read {}", state.join("greenroomd.log").display()));
    }

    #[test]
    fn the_daemons_own_problem_becomes_ours() {
        let log = "2026-11-21T11:19:55Z  INFO starting\n2026-11-21T11:19:56Z ERROR open pack: p/pack.toml: no such file \
                   remedy=\"point --pack at a \\\"whole\\\" one\"\n";
        let (cause, remedy) = last_error(log).unwrap();
        assert_eq!(cause, "open pack: p/pack.toml: no such file");
        assert_eq!(remedy, "point --pack at a \"whole\" one");
        assert_eq!(last_error("2026-11-21T11:19:56Z ERROR thread panicked"), None);
    }

    #[tokio::test]
    async fn a_daemon_that_ends_before_its_time_is_told_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"echo '{"address":"http://127.0.0.1:2","pid":2}' >"$2/endpoint.json"; read -r line; kill -9 $$"#;
        let program = script(dir.path(), text);
        let mut farm = EmbeddedFarm::start(&program, dir.path(), &Choices::default()).await.unwrap();
        drop(farm.stdin.take());
        assert_eq!(farm.ended().await.to_string(), "keep farm: greenroomd: greenroomd ended (signal: 9 (SIGKILL))");
    }

    #[tokio::test]
    async fn an_address_left_behind_is_not_believed_and_a_closed_stdin_ends_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("endpoint.json"), r#"{"address":"http://127.0.0.1:1","pid":1}"#).unwrap();
        let text = r#"echo '{"address":"http://127.0.0.1:2","pid":2}' >"$2/e"; mv "$2/e" "$2/endpoint.json"
            while read -r line; do :; done; echo "$*" >"$2/ended""#;
        let program = script(dir.path(), text);
        let choices = Choices { pack: Some("pack".into()), threads: Some(2) };
        let farm = EmbeddedFarm::start(&program, dir.path(), &choices).await.unwrap();
        assert_eq!(farm.address, "http://127.0.0.1:2");
        farm.stop().await;
        let arguments = fs::read_to_string(dir.path().join("ended")).unwrap();
        assert!(
            arguments.ends_with("--listen 127.0.0.1:0 --until-stdin-closes --pack pack --threads 2\n"),
            "{arguments}"
        );
    }
}
