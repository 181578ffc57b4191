//! Plays seeds of the chaos simulator, and says what they broke: `cargo xtask chaos`.
//!
//! One JSON line for each seed that failed, with the words that play it again, and one for all of them at the end.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a chore reports to the terminal"
)]

use clap::Parser;
use greenroomd::chaos::{Kind, Site, play};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

/// Plays seeds of the chaos simulator.
#[derive(Parser)]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// An empty folder for ledgers, on a fast disk.
    #[arg(long)]
    folder: PathBuf,
    /// The folder of the models.
    #[arg(long)]
    pack: PathBuf,
    /// Print everything that happened.
    #[arg(long)]
    log: bool,
}

fn main() -> ExitCode {
    let Arguments { seeds, from, folder, pack, log } = Arguments::parse();
    let site = match Site::open(&folder, &pack) {
        Ok(site) => Arc::new(site),
        Err(problem) => {
            eprintln!("chaos: {problem}");
            return ExitCode::FAILURE;
        }
    };
    let (began, mut failed, mut fired) = (Instant::now(), 0u64, BTreeMap::<Kind, u32>::new());
    for seed in from..from + seeds {
        let played = play(&site, seed, None);
        if log {
            eprint!("{}", played.log);
        }
        played.fired.iter().for_each(|(kind, n)| *fired.entry(*kind).or_insert(0) += n);
        if !played.broken.is_empty() {
            failed += 1;
            let replay = format!("cargo xtask chaos --seeds 1 --from {seed} --log");
            println!("{}", json!({ "seed": seed, "broken": played.broken, "replay": replay }));
        }
        if (seed - from + 1).is_multiple_of(100) {
            eprintln!("chaos: {} of {seeds} seeds, {failed} failed, {:.0?}", seed - from + 1, began.elapsed());
        }
    }
    let fired: BTreeMap<_, _> = Kind::ALL.iter().map(|kind| (kind.name(), fired.get(kind).unwrap_or(&0))).collect();
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", json!({ "seeds": seeds, "from": from, "failed": failed, "seconds": seconds, "fired": fired }));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
