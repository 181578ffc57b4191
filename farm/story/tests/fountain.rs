//! The Fountain syntax, element by element, and texts that are none.

mod common;

use common::{read, shots};
use greenroom_story::fountain::{Cue, Element, parse};

fn elements(text: &str) -> Vec<Element> {
    parse(text).elements
}

fn cue(name: &str, extension: Option<&str>, dual: bool) -> Element {
    Element::Character(Cue { name: name.into(), extension: extension.map(str::to_owned), dual })
}

fn action(text: &str) -> Element {
    Element::Action(text.into())
}

#[test]
fn a_title_page_holds_keys_and_indented_lines() {
    let script = parse("Title:\n\t_**BRICK & STEEL**_\n\tFull Retired\nAuthor: Somebody\n\nFADE IN:\n\nINT. A - DAY");
    assert_eq!(script.title_value("title"), Some("BRICK & STEEL\nFull Retired"));
    assert_eq!(script.title_value("Author"), Some("Somebody"));
    assert_eq!(script.elements[0], action("FADE IN:"));
    assert!(parse("FADE IN:\n\nINT. A - DAY").title_page.is_empty());
}

#[test]
fn headings_by_word_or_by_force_with_or_without_number() {
    let heading =
        |text: &str, number: Option<&str>| Element::Heading { text: text.into(), number: number.map(str::to_owned) };
    let text =
        "INT. LAB - NIGHT #12A#\n\next. lawn\n\nI/E CAR\n\n.SNIPER SCOPE #3#\n\n...and then\n\nInterior monologue";
    let expected = [
        heading("INT. LAB - NIGHT", Some("12A")),
        heading("ext. lawn", None),
        heading("I/E CAR", None),
        heading("SNIPER SCOPE", Some("3")),
        action("...and then"),
        action("Interior monologue"),
    ];
    assert_eq!(elements(text), expected);
}

#[test]
fn speeches_have_cues_extensions_manners_and_pauses() {
    let text = "STEEL (V.O.) (CONT'D)\n(grinning)\nBeer's *ready*!\nOver here.\n  \nStill me.\n\nMcCLANE ^\n\nR2D2\nBeep.\n\n\
                @McCLANE ^\nYippie.\n~la la\n\n!NOT A CUE\nbut action";
    let expected = [
        cue("STEEL", Some("V.O."), false),
        Element::Parenthetical("grinning".into()),
        Element::Dialogue("Beer's ready! Over here. Still me.".into()),
        action("McCLANE ^"),
        cue("R2D2", None, false),
        Element::Dialogue("Beep.".into()),
        cue("MCCLANE", None, true),
        Element::Dialogue("Yippie.".into()),
        Element::Lyrics("la la".into()),
        action("NOT A CUE but action"),
    ];
    assert_eq!(elements(text), expected);
}

#[test]
fn the_rest_of_the_syntax_is_told_apart() {
    let text = "# Act\n\n## Two\n\n= They meet.\n\n====\n\n> THE END <\n\n> Burn to white.\n\nCUT TO:\n\nHe [[who?]] waits. \
                /* cut\n\nthis */ Still.\n\nHELLO";
    let expected = [
        Element::Section { level: 1, text: "Act".into() },
        Element::Section { level: 2, text: "Two".into() },
        Element::Synopsis("They meet.".into()),
        Element::PageBreak,
        Element::Centred("THE END".into()),
        Element::Transition("Burn to white.".into()),
        Element::Transition("CUT TO:".into()),
        action("He  waits.  Still."),
        action("HELLO"),
    ];
    assert_eq!(elements(text), expected);
}

#[test]
fn no_text_makes_it_panic() {
    let seed = format!(
        "{}\n{}",
        read("../../tests/fixtures/hidden-lab/hidden-lab.fountain"),
        read("tests/two-pages.fountain")
    );
    let marks = [
        "/*", "*/", "[[", "]]", "#", ".", "@", "!", "^", "(", ")", "\n\n", "\r", "  \n", "***", "_", "\\", "é", "ß",
        "İ", "🎬", ":", "~", ">", "<", "=", "'s", "’", "{", "\u{0}",
    ];
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut scripts = 0;
    for _ in 0..300 {
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..1 + next(40) {
            let at = next(text.len());
            let to = (at + next(30)).min(text.len());
            text.splice(at..to, marks[next(marks.len())].chars());
        }
        let from = next(text.len());
        let text: String = text[from..].iter().collect();
        scripts += usize::from(shots(&text).is_ok_and(|b| b.shots().count() > 0));
    }
    assert!(scripts > 200, "only {scripts} of 300 mangled scripts had a shot");
    assert!(shots(&seed).unwrap().shots().count() > 10);
}
