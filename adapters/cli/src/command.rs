//! One command, one file; its doc comment is the help.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod cancel;
pub(crate) mod character;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod job;
pub(crate) mod jobs;
mod learn;
pub(crate) mod limits;
pub(crate) mod logs;
pub(crate) mod lora;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod pack;
pub(crate) mod policy;
pub(crate) mod project;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod user;
pub(crate) mod watch;
pub(crate) mod whoami;
pub(crate) mod why;

pub(crate) mod steps;

use greenroom_domain::{Problem, ProblemKind};

use crate::{
    cli::{Cli, Command},
    config::Config,
    connection::Farm,
    environment::{self, Environment},
    failure::{Failure, Outcome},
    output::Output,
};

/// What every command works with.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The machine.
    pub(crate) environment: Environment,
    /// The settings in force.
    pub(crate) config: Config,
    /// Where to speak.
    pub(crate) output: Output,
}

impl Context {
    /// The configured daemon.
    async fn farm(&self) -> Result<Farm, Problem> {
        Farm::configured(&self.config).await
    }
}

/// How a command ends.
pub(crate) type Ended = Result<Outcome, Failure>;

/// Runs a command to its end.
pub(crate) fn run(cli: &Cli, environment: Environment, output: &Output) -> Ended {
    let config = Config::load(&cli.global, &environment)?;
    let context = Context { environment, config, output: output.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        let remedy = "close programs that hold many files open";
        Problem::new(ProblemKind::Unavailable, "start", "greenroom", error, remedy)
    })?;
    let result = runtime.block_on(async {
        let ended = Box::pin(dispatch(&cli.command, &context));
        // `run` has a farm to end in order, so it listens for the interruption itself.
        if let Command::Run(_) = cli.command {
            return ended.await;
        }
        tokio::select! {
            result = ended => result,
            () = environment::interrupted() => {
                if let Command::Watch(_) = cli.command {
                    context.output.note("the job goes on; `greenroom cancel` stops it");
                }
                Err(Failure::Interrupted)
            }
        }
    });
    // A file read may still be on its way; nothing waits for it.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: &Command, context: &Context) -> Ended {
    match command {
        Command::Run(run) => run.run(context).await,
        Command::Project(command) => command.run(context).await,
        Command::Character(command) => command.run(context).await,
        Command::Push(command) => command.run(context).await,
        Command::Watch(command) => command.run(context).await,
        Command::Jobs(command) => command.run(context).await,
        Command::Job(command) => command.run(context).await,
        Command::Cancel(command) => command.run(context).await,
        Command::Why(command) => command.run(context).await,
        Command::Logs(command) => command.run(context).await,
        Command::Queue(command) => command.run(context).await,
        Command::Nodes(command) => command.run(context).await,
        Command::Devices(command) => command.run(context).await,
        Command::Node(command) => command.run(context).await,
        Command::Limits(command) => command.run(context).await,
        Command::Policy(command) => command.run(context).await,
        Command::Pull(command) => command.run(context).await,
        Command::Export(command) => command.run(context).await,
        Command::Report(command) => command.run(context).await,
        Command::Status(command) => command.run(context).await,
        Command::Lora(command) => command.run(context).await,
        Command::Doctor(command) => command.run(context).await,
        Command::Top(command) => command.run(context).await,
        Command::Backup(command) => command.run(context).await,
        Command::User(command) => command.run(context).await,
        Command::Token(command) => command.run(context).await,
        Command::Audit(command) => command.run(context).await,
        Command::WhoAmI(command) => command.run(context).await,
        Command::Pack(command) => command.run(context).await,
        Command::Config(command) => Ok(command.run(context)),
        Command::Completions(command) => Ok(command.run(context)),
    }
}
