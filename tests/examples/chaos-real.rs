//! Plays seeds with real processes, and says what they broke: `cargo xtask chaos --real`.
//!
//! One JSON line for each seed that failed, with the words that play its faults again, and one for all of them at the end.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore reports to the terminal"
)]

use greenroom_tests::chaos::play;
use serde_json::json;
use std::{collections::BTreeMap, process::ExitCode, time::Instant};

#[tokio::main]
async fn main() -> ExitCode {
    let number = |at: usize| std::env::args().nth(at).and_then(|n| n.parse::<u64>().ok());
    let (seeds, from) = (number(1).unwrap_or(20), number(2).unwrap_or(0));
    let (began, mut failed, mut fired) = (Instant::now(), 0, BTreeMap::<_, u32>::new());
    for seed in from..from + seeds {
        let played = play(seed).await;
        played.fired.iter().for_each(|(kind, n)| *fired.entry(*kind).or_insert(0) += n);
        if !played.broken.is_empty() {
            failed += 1;
            let replay = format!("cargo xtask chaos --real --seeds 1 --from {seed}");
            let (broken, planned) = (played.broken, played.planned);
            println!("{}", json!({ "seed": seed, "planned": planned, "broken": broken, "replay": replay }));
        }
        eprintln!("chaos: {} of {seeds} seeds, {failed} failed, {:.0?}", seed - from + 1, began.elapsed());
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", json!({ "seeds": seeds, "from": from, "failed": failed, "seconds": seconds, "fired": fired }));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
