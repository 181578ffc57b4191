//! The demo script, broken down with the bundled pack, as a table that a person can read.

mod common;

use common::{cast, pack, read, table};
use greenroom_domain::{Fps, Framing};
use greenroom_story::{Direction, break_down, decode_script};

#[test]
fn the_demo_script_becomes_the_shots_that_a_person_would_plan() {
    let bytes = std::fs::read(common::path("../../tests/fixtures/hidden-lab/hidden-lab.fountain")).unwrap();
    let text = decode_script(&bytes, "hidden-lab.fountain").unwrap();
    let shots = break_down(&text, "hidden-lab.fountain", &cast(), pack(), &Direction { fps: Fps::FILM }).unwrap();
    let table = table(&shots);
    let made = concat!(env!("CARGO_TARGET_TMPDIR"), "/hidden-lab.txt");
    std::fs::write(made, &table).unwrap();
    let seconds: f64 = shots.shots().map(|s| Fps::FILM.seconds(s.duration)).sum();
    assert!((28.0..=34.0).contains(&seconds), "{seconds} s");
    let count = |framing| shots.shots().filter(|s| s.framing == framing).count();
    assert!(count(Framing::Close) + count(Framing::Medium) >= 6 && count(Framing::Establishing) <= 3);
    assert!(shots.notes.is_empty(), "{:?}", shots.notes);
    assert_eq!(table, read("tests/hidden-lab.txt"), "if it is better than before, copy {made} there");
}
