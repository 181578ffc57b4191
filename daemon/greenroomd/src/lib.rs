//! The control plane: API, ledger, dispatch, and supervision of workers.

mod access;
mod api;
mod args;
mod backup;
mod book;
mod cert;
#[cfg(any(test, feature = "chaos"))]
pub mod chaos;
mod clock;
mod command;
mod diagnose;
mod dispatch;
mod farm;
mod forget;
mod lead;
mod learn;
mod ledger;
mod logs;
mod maintain;
mod metrics;
mod notify;
mod open;
mod packs;
mod push;
mod report;
mod role;
mod serve;
mod slurm;
mod supervise;
mod task_logs;
mod tls;
mod workers;

use clap::Parser as _;
use std::process::ExitCode;

/// The program: serves, makes a certificate, or looks after the ledger, as its arguments say.
#[must_use]
pub fn run() -> ExitCode {
    let first = std::env::args_os().nth(1);
    if first.is_some_and(|first| first == "cert") {
        let cert = cert::Cert::parse_from(std::env::args_os().skip(1));
        logs::init();
        return ended(cert.run());
    }
    let args = args::Args::parse();
    clock::set_ahead(args.clock_ahead);
    logs::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the async runtime");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match args.command.clone() {
            None => serve::serve(args).await,
            Some(args::Command::Doctor) => diagnose::offline(args).await,
            Some(args::Command::Notify { name }) => {
                let config = args::Config::resolve(args, &std::env::current_exe().unwrap_or_default())?;
                notify::try_out(&config, &name).await
            }
            Some(args::Command::Ledger(what)) => maintain::run(what, args::Where::resolve(args)?).await,
        }
    });
    ended(done)
}

fn ended(result: Result<(), greenroom_domain::Problem>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!(remedy = problem.remedy, "{problem}");
            ExitCode::FAILURE
        }
    }
}
