//! A cast, the bundled pack, and breakdowns as text.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test file uses its own part of this")]

use greenroom_domain::{Breakdown, Fps, Pack, Problem};
use greenroom_story::{Cast, Direction, break_down};
use std::{fmt::Write as _, sync::OnceLock};

pub fn path(relative: &str) -> String {
    format!("{}/{relative}", env!("CARGO_MANIFEST_DIR"))
}

pub fn read(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap()
}

/// The bundled pack, held to one person a picture.
pub fn pack() -> &'static Pack {
    static PACK: OnceLock<Pack> = OnceLock::new();
    PACK.get_or_init(|| drawing(1))
}

/// The bundled pack, as if it drew so many people a picture and wanted to be told of several.
pub fn drawing(people: u32) -> Pack {
    let mut pack = Pack::parse(&read("../../packaging/packs/puppet/pack.toml"), "pack.toml").unwrap();
    pack.diffusion.max_characters = people;
    pack.vocabulary.group = Some("group".into());
    pack
}

pub fn cast() -> Vec<Cast> {
    let mara = "A young woman, long black hair, pale skin, green eyes, round glasses, usually in a blue t-shirt.";
    let tobin = "An old man, short grey hair, tan skin, brown eyes, full beard, in a white turtleneck.";
    [("MARA", mara), ("TOBIN", tobin)].map(|(n, d)| Cast { name: n.into(), description: d.into() }).into()
}

/// Breaks a script down at 24 frames a second.
pub fn shots(script: &str) -> Result<Breakdown, Problem> {
    break_down(script, "script.fountain", &cast(), pack(), &Direction { fps: Fps::FILM })
}

/// `1-1 establishing pan_right 4.0 expects - | action | who: line`, a line a shot.
pub fn brief(breakdown: &Breakdown) -> Vec<String> {
    let line = |shot: &greenroom_domain::Shot| {
        let who = if shot.expected.is_empty() { "nobody".to_owned() } else { shot.expected.join("+") };
        format!("{} {} {}", word(&shot.framing), word(&shot.camera), who)
    };
    breakdown.shots().map(line).collect()
}

pub fn table(breakdown: &Breakdown) -> String {
    let mut out = format!("{}\n", breakdown.title);
    let mut total = 0.0;
    for scene in &breakdown.scenes {
        let heading = &scene.heading;
        let (setting, time) = (word(&heading.setting), word(&heading.time));
        write!(out, "\nscene {}: {} = {} / {} / {}\n", scene.number, heading.text, setting, heading.place, time)
            .unwrap();
        for shot in &scene.shots {
            let seconds = Fps::FILM.seconds(shot.duration);
            total += seconds;
            let names = |list: &[String]| if list.is_empty() { "nobody".to_owned() } else { list.join(", ") };
            write!(out, "\n{}  {}, {}, {seconds:.2} s", shot.key, word(&shot.framing), word(&shot.camera)).unwrap();
            writeln!(out, ", shows {}, expects {}", names(&shot.cast), names(&shot.expected)).unwrap();
            writeln!(out, "     action: {}", shot.action).unwrap();
            for line in &shot.dialogue {
                let how = line.parenthetical.as_deref().map_or_else(String::new, |p| format!(" ({p})"));
                writeln!(out, "     {}{how}: {}", line.character, line.text).unwrap();
            }
            writeln!(out, "     mood: {}", shot.mood.as_deref().unwrap_or("-")).unwrap();
            writeln!(out, "     prompt: {}", shot.prompt.positive).unwrap();
        }
    }
    let shots = breakdown.shots().count();
    write!(out, "\n{shots} shots, {total:.2} s\n").unwrap();
    breakdown.notes.iter().for_each(|note| writeln!(out, "note: {note}").unwrap());
    out
}

/// A value as it is written in files.
fn word<T: serde::Serialize>(value: &T) -> String {
    toml::Value::try_from(value).unwrap().as_str().unwrap().to_owned()
}
