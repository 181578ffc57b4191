//! Shots without a script.

mod common;

use common::{brief, cast, drawing, pack};
use greenroom_domain::{Breakdown, ControlDefaults, Digest, Fps, Frames, Pack, Problem};
use greenroom_story::{Direction, parse_shot};

fn read(text: &str) -> Result<Breakdown, Problem> {
    parse_shot(text, "pick-ups/shot.toml", &cast(), pack(), &Direction { fps: Fps::FILM }, &[].into())
}

#[test]
fn a_shot_says_what_it_needs_and_the_rest_follows() {
    let breakdown = read(
        r#"
        [[shot]]
        place = "HIDDEN LAB"
        time = "midnight"
        framing = "close"
        camera = "push_in"
        action = "Mara, in a purple turtleneck, gasps."
        cast = ["Mara"]
        dialogue = [{ character = "Mara", parenthetical = "whispering", text = "It works." }]
        seconds = 3.0
        [[shot]]
        place = "HIDDEN LAB"
        time = "midnight"
        [[shot]]
        place = "EXT. FOREST - DAY"
        cast = ["TOBIN", "MARA"]
        "#,
    )
    .unwrap();
    assert_eq!(brief(&breakdown), ["close push_in MARA", "wide static nobody", "medium static TOBIN"]);
    let keys: Vec<String> = breakdown.shots().map(|s| s.key.to_string()).collect();
    assert_eq!(keys, ["1-1", "1-2", "2-1"]);
    let first = breakdown.shots().next().unwrap();
    assert_eq!(
        (first.duration, first.mood.as_deref(), breakdown.title.as_str()),
        (Frames(72), Some("surprised"), "shot")
    );
    let prompt = "close shot of a young woman, black long hair, pale skin, green eyes, round glasses, purple turtleneck, \
                  surprised, laboratory, night";
    assert_eq!(first.prompt.positive, prompt);
}

#[test]
fn two_who_must_be_recognised_have_a_caption_each_and_the_place_one_of_its_own() {
    let text = r#"
        [[shot]]
        place = "INT. LIBRARY - NIGHT"
        cast = ["TOBIN", "MARA"]
        expected = ["MARA", "TOBIN"]
        "#;
    assert!(read(text).unwrap_err().cause.ends_with("pack puppet draws 1 a picture"));
    let direction = Direction { fps: Fps::FILM };
    let breakdown = parse_shot(text, "shot.toml", &cast(), &drawing(2), &direction, &[].into()).unwrap();
    let prompt = &breakdown.shots().next().unwrap().prompt;
    assert_eq!(prompt.positive, "medium shot, library, night");
    let people: Vec<_> = prompt.people.iter().map(|p| (p.character.as_str(), p.positive.as_str())).collect();
    let tobin = "medium shot of an old man, grey short hair, tan skin, brown eyes, full beard, white turtleneck, neutral, \
                 library, night, group";
    let mara = "medium shot of a young woman, black long hair, pale skin, green eyes, round glasses, blue t-shirt, neutral, \
                library, night, group";
    assert_eq!(people, [("TOBIN", tobin), ("MARA", mara)]);
}

#[test]
fn a_wrong_shot_is_refused_by_its_number_and_field() {
    let cause = |text: &str| read(text).unwrap_err().cause;
    assert_eq!(cause(""), "there is no [[shot]] in it");
    assert_eq!(cause("[[shot]]\nplace = ' '"), "shot 1: `place` is empty");
    assert_eq!(
        cause("[[shot]]\nplace = 'A'\ntime = 'teatime'"),
        "shot 1: `time` is `teatime`, which is no time of day"
    );
    assert_eq!(
        cause("[[shot]]\nplace = 'A'\n[[shot]]\nplace = 'A'\ncast = ['ANNA']"),
        "shot 2: `cast` names ANNA, who has no cast folder"
    );
    assert_eq!(
        cause("[[shot]]\nplace = 'A'\nexpected = ['MARA']"),
        "shot 1: `expected` names MARA, who is not in `cast`"
    );
    assert_eq!(cause("[[shot]]\nplace = 'A'\nseconds = 90"), "shot 1: `seconds` is not between 1 and 20");
    assert!(cause("[[shot]]\nplace = 'A'\nlens = 'long'").contains("unknown field `lens`"));
    let two = "[[shot]]\nplace = 'A'\ncast = ['MARA', 'TOBIN']\nexpected = ['MARA', 'TOBIN']";
    assert_eq!(cause(two), "shot 1: `expected` names 2, and pack puppet draws 1 a picture");
}

#[test]
fn a_shot_keeps_to_a_picture_that_came_with_it() {
    let text = "[[shot]]\nplace = 'A'\ncontrol = 'depth/1.png'\n[[shot]]\nplace = 'A'";
    let mut pack = pack().clone();
    pack.diffusion.control = None;
    let read = |pack: &Pack, pictures: &[(&str, Digest)]| {
        let pictures = pictures.iter().map(|(name, digest)| ((*name).to_owned(), *digest)).collect();
        parse_shot(text, "shot.toml", &cast(), pack, &Direction { fps: Fps::FILM }, &pictures)
    };
    let picture = Digest::of(b"depth");
    let cause = read(&pack, &[("depth/1.png", picture)]).unwrap_err().cause;
    assert_eq!(cause, "shot 1: `control` is `depth/1.png`, and pack puppet has no ControlNet");
    pack.diffusion.control = Some(ControlDefaults { shows: "depth".into(), folder: "controlnet".into() });
    let cause = read(&pack, &[]).unwrap_err().cause;
    assert_eq!(cause, "shot 1: `control` is `depth/1.png`, which was not sent");
    let breakdown = read(&pack, &[("depth/1.png", picture)]).unwrap();
    assert_eq!(breakdown.shots().map(|s| s.control).collect::<Vec<_>>(), [Some(picture), None]);
}
