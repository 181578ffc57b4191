//! The control plane: API, ledger, dispatch, and supervision of workers.

mod api;
mod args;
mod auth;
mod book;
mod clock;
mod command;
mod dispatch;
mod farm;
mod forget;
mod lead;
mod learn;
mod ledger;
mod logs;
mod maintain;
mod open;
mod packs;
mod push;
mod report;
mod role;
mod serve;
mod supervise;
mod workers;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    logs::init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the async runtime");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match args.command {
            None => serve::serve(args).await,
            Some(args::Command::Ledger(what)) => maintain::run(what, args::Where::resolve(args)?).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!(remedy = problem.remedy, "{problem}");
            ExitCode::FAILURE
        }
    }
}
