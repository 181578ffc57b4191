//! Scheduler stories: seeded text files, each with what it expects and what was recorded of it.
//!
//! The names are those of OpenCue Maestro's simulator, so that the two can be compared. `UPDATE=1` records anew.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    reason = "a story may panic, and counts in it are small"
)]

mod sim;

use std::path::Path;

#[test]
fn every_scenario_meets_its_expectations_and_goes_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 20, "the scenarios are gone");
    let mut faults = Vec::new();
    for path in paths {
        let (said, missed) = sim::play(&std::fs::read_to_string(&path).unwrap());
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        faults.extend(missed.iter().map(|expect| format!("{name}: not so: {expect}")));
        let recorded = path.with_extension("out");
        if update() {
            std::fs::write(&recorded, &said).unwrap();
        }
        if std::fs::read_to_string(&recorded).unwrap_or_default() != said {
            faults.push(format!("{name}: went otherwise than recorded:\n{said}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_scenario_that_expects_what_does_not_happen_fails() {
    let text = "nodes n count=1\njob film tasks=1\nexpect done.film == 2\nexpect fired.lose > 0\n";
    let (_, missed) = sim::play(text);
    assert_eq!(missed, ["done.film == 2", "fired.lose > 0"]);
}

#[expect(clippy::disallowed_methods, reason = "the variable by which one asks to record anew")]
fn update() -> bool {
    std::env::var_os("UPDATE").is_some()
}
