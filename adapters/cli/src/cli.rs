//! What can be written after `greenroom`.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

use crate::command::{
    audit, backup, cancel, character, completions, config as config_command, doctor, export, job, jobs, limits, logs,
    lora, node, nodes, pack, policy, project, pull, push, queue, report, run, status, token, top, user, watch, whoami,
    why,
};

/// Push scripts to a Greenroom farm, watch them being filmed, pull the clips.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, after_help = EXIT_CODES, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// Address of the daemon, such as `https://farm.studio.lan:7474`
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) address: Option<String>,
    /// File that holds the daemon's access token
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) token_file: Option<PathBuf>,
    /// File with the certificate of the authority that vouches for the daemon (PEM) [default: the system's authorities]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) ca: Option<PathBuf>,
    /// Configuration file [default: greenroom/config.toml in $XDG_CONFIG_HOME or ~/.config]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Answer in JSON: one document, or one line per event where a job is watched
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Run),
    Project(project::Project),
    Character(character::Character),
    Lora(lora::Lora),
    Push(push::Push),
    Watch(watch::Watch),
    Jobs(jobs::Jobs),
    Job(job::Job),
    Cancel(cancel::Cancel),
    Why(why::Why),
    Logs(logs::Logs),
    Queue(queue::Queue),
    Nodes(nodes::Nodes),
    Devices(nodes::Devices),
    Node(node::Node),
    Limits(limits::Limits),
    Policy(policy::Policy),
    Pull(pull::Pull),
    Export(export::Export),
    Report(report::Report),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Top(top::Top),
    Backup(backup::Backup),
    User(user::User),
    Token(token::Token),
    Audit(audit::Audit),
    #[command(name = "whoami")]
    WhoAmI(whoami::WhoAmI),
    Pack(pack::Pack),
    Config(config_command::Config),
    Completions(completions::Completions),
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done; every shot was accepted
  1    a problem, told in one sentence with what to try
  2    the command line was not understood
  3    finished, but some shots are drafts: no take of theirs was accepted
  130  interrupted";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_after_the_command() {
        let cli = parse("greenroom jobs --json --address http://farm:1 --token-file t").unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.address.as_deref(), Some("http://farm:1"));
    }

    #[test]
    fn run_needs_a_script_a_cast_and_a_place_to_write() {
        assert!(parse("greenroom run lab.fountain --cast c --out o --set gate=0.8 --set seed=3 --threads 2").is_ok());
        assert!(parse("greenroom run lab.fountain --cast c").unwrap_err().contains("--out <DIR>"));
    }

    #[test]
    fn a_setting_that_does_not_exist_is_a_usage_error_that_lists_those_that_do() {
        let error = parse("greenroom project create lab --set colour=red").unwrap_err();
        assert!(error.contains("there is no setting `colour`; there are: size, fps, gate, retries"), "{error}");
    }

    #[test]
    fn the_help_tells_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        for line in EXIT_CODES.lines() {
            assert!(help.contains(line), "{line}");
        }
    }
}
