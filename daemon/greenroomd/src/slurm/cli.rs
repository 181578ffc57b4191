//! Slurm's own commands: what is submitted, and what its queue says. Their output is the same over many releases; its REST daemon's
//! is not.

use greenroom_domain::{Problem, ProblemKind, TokenId};
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::plan::{SlurmJob, Stage};
use crate::args::{Config, Slurm};

/// The file, in the folder that nodes see, that tells where the daemon is.
pub(super) const ADDRESS: &str = "daemon";
/// Our jobs are told from others by the beginning of their comment.
const COMMENT: &str = "greenroom:";
/// A controller that does not answer by then is away.
const PATIENCE: Duration = Duration::from_secs(20);
/// A worker hears of its time limit so many seconds before it, and gives back what it has.
const WARNING: u32 = 60;

/// Submits an intent's job.
pub(super) async fn submit(slurm: &Slurm, ask: TokenId, script: &str) -> Result<String, Problem> {
    said(sbatch(slurm, ask), Some(script)).await.map(|number| number.trim().to_owned())
}

/// Our jobs, those that ended within the last minutes among them.
pub(super) async fn queue() -> Result<Vec<SlurmJob>, Problem> {
    let mut squeue = Command::new("squeue");
    squeue.args(["--me", "--noheader", "--states=all", "--format=%i|%T|%r|%k"]);
    Ok(said(squeue, None).await?.lines().filter_map(listed).collect())
}

/// Cancels a job.
pub(super) async fn cancel(number: &str) -> Result<(), Problem> {
    let mut scancel = Command::new("scancel");
    scancel.arg("--quiet").arg(number);
    said(scancel, None).await.map(drop)
}

/// What an intent's job runs: the worker itself, so that Slurm's signals are its own. Nothing secret stands in it.
/// Where the daemon is it reads when it starts: whoever leads by then has written that.
pub(super) fn script(config: &Config, slurm: &Slurm, ask: TokenId) -> String {
    let quoted = |path: &dyn std::fmt::Display| format!("'{}'", path.to_string().replace('\'', r"'\''"));
    let file = |what: &str| quoted(&slurm.folder.join(format!("{ask}.{what}")).display());
    let mut line = vec![
        format!("exec {}", quoted(&config.worker.display())),
        format!("--daemon \"$(cat {})\"", quoted(&slurm.folder.join(ADDRESS).display())),
        format!("--join {} --credential {}", file("join"), file("credential")),
        format!("--artifacts {} --pack {}", quoted(&config.artifacts), quoted(&config.pack.display())),
        format!("--scratch \"${{TMPDIR:-/tmp}}/greenroom-$SLURM_JOB_ID\" --threads {}", slurm.cpus),
        format!("--node \"$SLURMD_NODENAME\" --tags slurm --idle {}", slurm.idle.as_secs()),
    ];
    line.extend(slurm.ca.as_ref().map(|ca| format!("--ca {}", quoted(&ca.display()))));
    line.extend(config.onnxruntime.as_ref().map(|library| format!("--onnxruntime {}", quoted(&library.display()))));
    if config.commands.enabled {
        let (user, scratch) = (&config.commands.user, config.commands.scratch.display());
        line.push(format!("--commands-user {} --commands-scratch {}", quoted(user), quoted(&scratch)));
    }
    let limit = "if [ -n \"$SLURM_MEM_PER_NODE\" ]; then export GREENROOM_RAM_MIB=\"$SLURM_MEM_PER_NODE\"; fi";
    format!("#!/bin/sh\nexport RAYON_NUM_THREADS={}\n{limit}\n{}\n", slurm.cpus, line.join(" \\\n  "))
}

fn sbatch(slurm: &Slurm, ask: TokenId) -> Command {
    let mut sbatch = Command::new("sbatch");
    sbatch.args(["--parsable", "--job-name=greenroom", "--nodes=1", "--ntasks=1", "--requeue", "--open-mode=append"]);
    // What the daemon was started with is its own: the job gets what a login would.
    sbatch.arg("--export=NIL").arg(format!("--comment={COMMENT}{ask}")).arg(format!("--signal=B:TERM@{WARNING}"));
    sbatch.arg(format!("--cpus-per-task={}", slurm.cpus));
    sbatch.arg(format!("--output={}", slurm.folder.join(format!("{ask}.log")).display()));
    let asked = [
        ("partition", &slurm.partition),
        ("account", &slurm.account),
        ("qos", &slurm.qos),
        ("gres", &slurm.gres),
        ("time", &slurm.time),
        ("mem", &slurm.memory),
    ];
    for (name, value) in asked {
        sbatch.args(value.as_ref().map(|value| format!("--{name}={value}")));
    }
    sbatch.args(&slurm.extra);
    sbatch
}

/// A line of the queue, if it is a job of ours.
fn listed(line: &str) -> Option<SlurmJob> {
    let mut fields = line.splitn(4, '|');
    let (number, state, reason, comment) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let ask = comment.trim().strip_prefix(COMMENT)?.parse().ok()?;
    let stage = match state {
        "PENDING" if reason == "BeginTime" => Stage::Delayed,
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "RESV_DEL_HOLD" => Stage::Waits,
        // What is completing has got its signal: a worker that is still attached counts by itself.
        "RUNNING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "STAGE_OUT" | "RESIZING" => Stage::Runs,
        "FAILED" | "BOOT_FAIL" | "OUT_OF_MEMORY" => Stage::Over { badly: true },
        _ => Stage::Over { badly: false },
    };
    Some(SlurmJob { number: number.trim().to_owned(), ask, stage })
}

async fn said(mut command: Command, input: Option<&str>) -> Result<String, Problem> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let fail = |cause: String| {
        let remedy = "look at sinfo and at slurmctld's log, and check [slurm] in the configuration";
        Problem::new(ProblemKind::Unavailable, "call Slurm", program.clone(), cause.trim(), remedy)
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| fail(error.to_string()))?;
    if let Some(mut pipe) = child.stdin.take() {
        let _ = pipe.write_all(input.unwrap_or_default().as_bytes()).await;
    }
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.map_err(|_| fail(format!("no answer within {} s", PATIENCE.as_secs())))?;
    let output = output.map_err(|error| fail(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(fail(String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use clap::Parser as _;
    use greenroom_domain::Timestamp;
    use std::path::Path;

    fn ask() -> TokenId {
        TokenId::new(Timestamp::from_millis(1), [1; 10])
    }

    #[test]
    fn a_job_is_asked_for_as_the_configuration_says_and_names_its_intent() {
        let slurm = Slurm {
            partition: Some("gpu".into()),
            gres: Some("gpu:1".into()),
            extra: vec!["--exclusive".into()],
            ..Slurm::default()
        };
        let command = sbatch(&slurm, ask());
        let line = command.as_std().get_args().map(|arg| arg.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        for part in
            ["--partition=gpu", "--gres=gpu:1", "--requeue", "--exclusive", &format!("--comment=greenroom:{}", ask())]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("--account") && !line.contains("--mem="), "{line}");
    }

    #[test]
    fn the_script_is_the_worker_and_holds_no_secret() {
        let args = Args::parse_from(["greenroomd", "--pack", "/it's/p", "--state", "/s"]);
        let config = Config::resolve(args, Path::new("/usr/bin/greenroomd")).unwrap();
        let slurm = Slurm { folder: "/s/slurm".into(), cpus: 4, ..Slurm::default() };
        let script = script(&config, &slurm, ask());
        for part in [r"--pack '/it'\''s/p'", "--daemon \"$(cat '/s/slurm/daemon')\"", "--threads 4", "--idle 60"] {
            assert!(script.contains(part), "{part}: {script}");
        }
        assert!(script.contains(&format!("--join '/s/slurm/{}.join'", ask())), "{script}");
    }

    #[test]
    fn our_jobs_are_found_in_the_queue() {
        let job = |state: &str| listed(&format!("17|{state}|greenroom:{}", ask())).unwrap().stage;
        assert_eq!((job("PENDING|Resources"), job("PENDING|BeginTime")), (Stage::Waits, Stage::Delayed));
        assert_eq!((job("RUNNING|None"), job("NODE_FAIL|None")), (Stage::Runs, Stage::Over { badly: false }));
        assert_eq!(job("FAILED|NonZeroExitCode"), Stage::Over { badly: true });
        assert!(listed("17|RUNNING|None|(null)").is_none() && listed("17|RUNNING|None|greenroom:tok_x").is_none());
    }
}
