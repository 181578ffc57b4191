//! The rules for shots, one story each.

mod common;

use common::{brief, cast, drawing, read, shots};
use greenroom_domain::{Fps, Frames, TimeOfDay};
use greenroom_story::{Direction, break_down};

#[test]
fn two_pages_become_a_sane_number_of_shots() {
    let breakdown = shots(&read("tests/two-pages.fountain")).unwrap();
    assert!((6..=12).contains(&breakdown.shots().count()), "{}", breakdown.shots().count());
    assert_eq!(breakdown.scenes[1].heading.time, TimeOfDay::Dusk, "CONTINUOUS goes on with the dawn before it");
}

#[test]
fn a_new_place_is_shown_before_anybody_is_and_a_known_one_is_not() {
    let script = "INT. LAB - NIGHT\n\nMara lights a lamp.\n\nINT. LAB - NIGHT\n\nTobin lights another.\n";
    let expected = ["establishing pan_right nobody", "medium static MARA", "medium static TOBIN"];
    assert_eq!(brief(&shots(script).unwrap()), expected);
}

#[test]
fn a_medium_shot_shows_as_many_as_the_pack_draws_each_with_a_caption() {
    let script = "INT. LAB - NIGHT\n\nMara hands Tobin a lamp.\n\nCLOSE ON MARA. She smiles at Tobin.\n";
    let of = |people| {
        let direction = Direction { fps: Fps::FILM };
        break_down(script, "script.fountain", &cast(), &drawing(people), &direction).unwrap()
    };
    let [one, two] = [1, 2].map(of);
    assert_eq!(brief(&one), ["establishing pan_right nobody", "medium static MARA", "close push_in MARA"]);
    assert_eq!(brief(&two), ["establishing pan_right nobody", "medium static MARA+TOBIN", "close push_in MARA"]);
    assert!(one.shots().all(|shot| shot.prompt.people.is_empty()));
    let [_, together, close] = two.shots().collect::<Vec<_>>()[..] else { panic!("three shots") };
    assert_eq!(together.prompt.positive, "medium shot, laboratory, night");
    let captions: Vec<_> = together.prompt.people.iter().map(|p| (p.character.as_str(), &p.positive[..27])).collect();
    assert_eq!(captions, [("MARA", "medium shot of a young woma"), ("TOBIN", "medium shot of an old man, ")]);
    assert_eq!(close.prompt, one.shots().nth(2).unwrap().prompt);
    let alone = &one.shots().nth(1).unwrap().prompt.positive;
    assert_eq!(together.prompt.people[0].positive, format!("{alone}, group"));
    let portraits: Vec<_> = together.portraits.iter().map(|p| (&p.character[..], &p.positive[..26])).collect();
    assert_eq!(portraits, [("MARA", "close shot of a young woma"), ("TOBIN", "close shot of an old man, ")]);
}

#[test]
fn the_writers_camera_words_win() {
    let script = "INT. LAB - NIGHT\n\nCLOSE ON MARA.\n\nMARA\nNo.\n\nWIDE: Tobin whispers to Mara. PULL BACK.\n\nAn old clock. \
                  We move closer to Tobin.\n";
    let expected = ["close static MARA", "wide pull_out nobody", "medium push_in TOBIN"];
    assert_eq!(brief(&shots(script).unwrap()), expected);
}

#[test]
fn a_dialogue_goes_to_and_fro_and_short_replies_do_not_cut() {
    let script = "INT. LAB - DAY\n\nMARA\nDid you see where I put the cellar keys?\n\nTOBIN\nNo.\n\nTOBIN\nBut the \
                  cellar door has been open since this morning.\n\nMARA\nThen somebody has been down there before us.\n";
    let breakdown = shots(script).unwrap();
    let expected = ["establishing pan_right nobody", "medium static MARA", "medium static TOBIN", "close static MARA"];
    assert_eq!(brief(&breakdown), expected);
    let first = breakdown.shots().nth(1).unwrap();
    assert_eq!(first.dialogue.iter().map(|l| l.character.as_str()).collect::<Vec<_>>(), ["MARA", "TOBIN"]);
    // Nine words and one, at 2.5 a second, 0.6 s for each line: 5.2 s at 24 frames a second.
    assert_eq!(first.duration, Frames(125));
}

#[test]
fn a_voice_that_is_not_seen_is_heard_over_the_picture() {
    let script = "INT. LAB - DAY\n\nA lamp flickers.\n\nTOBIN (V.O.)\nThat was the last good night.\n";
    let breakdown = shots(script).unwrap();
    assert_eq!(brief(&breakdown), ["establishing pan_right nobody"]);
    assert_eq!(breakdown.shots().next().unwrap().dialogue[0].character, "TOBIN");
}

#[test]
fn a_monologue_is_cut_at_its_sentences_and_loses_no_word() {
    let said = "We came here in the winter, with two sledges and one lamp. ".repeat(8);
    let breakdown = shots(&format!("INT. LAB - DAY\n\nMARA\n{said}\n")).unwrap();
    let heard: Vec<&str> = breakdown.shots().flat_map(|s| &s.dialogue).map(|l| l.text.as_str()).collect();
    assert_eq!(heard.join(" "), said.trim());
    assert!(heard.len() > 3 && breakdown.shots().all(|s| s.duration <= Frames(192)));
}

#[test]
fn clothes_last_for_the_scene_and_go_before_the_descriptions() {
    let script = "INT. LAB - DAY\n\nMARA\nIt is cold in here, is it not?\n\nMara shivers in a red hoodie.\n\nTobin nods \
                  at her.\n\nMara pulls on a yellow coat.\n\nINT. OFFICE - DAY\n\nMara sits.\n";
    let breakdown = shots(script).unwrap();
    let worn = |at: usize| breakdown.shots().nth(at).unwrap().prompt.positive.clone();
    assert!(worn(1).contains("red hoodie"), "{}", worn(1));
    assert!(worn(2).contains("white turtleneck"), "{}", worn(2));
    assert!(worn(3).contains("yellow shirt coat"), "{}", worn(3));
    assert!(worn(5).contains("blue t-shirt"), "{}", worn(5));
}

#[test]
fn a_stranger_is_shown_by_the_scripts_words_and_expected_nowhere() {
    let script = "INT. OFFICE - DAY\n\nMara waits.\n\nVOSS (52, bald, square glasses) comes in. She smiles.\n\nVOSS\nYou \
                  came alone, and by daylight.\n";
    let breakdown = shots(script).unwrap();
    let voss = breakdown.shots().nth(2).unwrap();
    assert!(voss.cast.is_empty() && voss.expected.is_empty());
    assert!(voss.prompt.positive.contains("adult woman, bald, square glasses"), "{}", voss.prompt.positive);
    let notes = breakdown.notes.join("\n");
    assert_eq!(
        notes,
        "VOSS has no cast folder: shown by the script's words, expected in no shot\nTOBIN of the cast is not in the script"
    );
}

#[test]
fn a_script_without_anybody_of_the_cast_is_refused_with_both_lists() {
    let problem = shots("INT. LAB - DAY\n\nANNA\nHello?\n\nBOB\nHello!\n").unwrap_err();
    assert_eq!(
        problem.to_string(),
        "break down script: script.fountain: nobody of the cast is in it: the script has ANNA, BOB, the cast has MARA, TOBIN"
    );
    assert_eq!(
        problem.remedy,
        "name the cast folders as the script names its characters, for example cast/MARA for MARA"
    );
}

#[test]
fn a_script_without_headings_is_one_scene_and_says_so() {
    let breakdown = shots("Mara opens the box.\n\nMARA\nEmpty. It has always been empty.\n").unwrap();
    assert_eq!((breakdown.title.as_str(), breakdown.scenes.len()), ("script", 1));
    assert!(breakdown.notes[0].starts_with("no scene heading found"), "{:?}", breakdown.notes);
    let problem = shots("= only an outline\n\n# Act one\n").unwrap_err();
    assert_eq!(problem.cause, "there is no scene and no action in it");
}
