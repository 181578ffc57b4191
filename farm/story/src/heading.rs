//! Scene headings: `INT. HIDDEN LAB - NIGHT` → inside, the hidden lab, at night.

use greenroom_domain::{Heading, Setting, TimeOfDay};

use crate::prose;

const PREFIXES: [(&str, Setting); 10] = [
    ("INT./EXT", Setting::Both),
    ("EXT./INT", Setting::Both),
    ("INT/EXT", Setting::Both),
    ("EXT/INT", Setting::Both),
    ("I./E", Setting::Both),
    ("I/E", Setting::Both),
    ("E/I", Setting::Both),
    ("INT", Setting::Interior),
    ("EXT", Setting::Exterior),
    ("EST", Setting::Exterior),
];

const NIGHT: [&str; 3] = ["night", "midnight", "tonight"];
const DUSK: [&str; 10] =
    ["sunset", "dusk", "evening", "dawn", "sunrise", "magic", "twilight", "golden", "gloaming", "daybreak"];
const DAY: [&str; 7] = ["day", "morning", "noon", "afternoon", "midday", "daylight", "lunchtime"];
/// The time of the scene before goes on.
const SAME: [&str; 6] = ["continuous", "later", "same", "moments", "following", "uninterrupted"];

/// The setting that a line begins with, and what follows it.
pub(crate) fn prefix(line: &str) -> Option<(Setting, &str)> {
    PREFIXES.iter().find_map(|&(word, setting)| {
        let (head, rest) = line.split_at_checked(word.len())?;
        (head.eq_ignore_ascii_case(word) && rest.starts_with(['.', ' '])).then_some((setting, rest))
    })
}

/// Reads a heading. `before` is the time of the scene before, for `CONTINUOUS` and `LATER`.
pub(crate) fn read(text: &str, before: Option<TimeOfDay>) -> Heading {
    let (setting, rest) = prefix(text).unwrap_or((Setting::Unsaid, text));
    let rest = rest.trim_start_matches(['.', ' ']).trim();
    let parts: Vec<&str> =
        rest.split(" - ").flat_map(|p| p.split(" – ")).flat_map(|p| p.split(" — ")).map(str::trim).collect();
    let mut time = None;
    let mut kept = parts.len();
    // The time stands last, but `NIGHT - LATER` and `DAY - FLASHBACK` say more behind it.
    for (i, part) in parts.iter().enumerate().skip(1).rev() {
        let words = prose::words(part);
        let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.lower.as_str()));
        let said = [(NIGHT.as_slice(), TimeOfDay::Night), (&DUSK, TimeOfDay::Dusk), (&DAY, TimeOfDay::Day)];
        if let Some(&(_, found)) = said.iter().find(|(list, _)| has(list)) {
            time = Some(found);
        } else if has(&SAME) {
            time = time.or(before);
        } else {
            continue;
        }
        kept = i;
    }
    let place = parts[..kept.max(1)].join(" - ");
    Heading { text: text.to_owned(), setting, place, time: time.unwrap_or(TimeOfDay::Day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_say_where_and_when() {
        let read = |text| read(text, Some(TimeOfDay::Dusk));
        let lab = read("INT. HIDDEN LAB - NIGHT");
        assert_eq!((lab.setting, lab.place.as_str(), lab.time), (Setting::Interior, "HIDDEN LAB", TimeOfDay::Night));
        let ship = read("ext harbour - pier 4 — magic hour");
        assert_eq!(
            (ship.setting, ship.place.as_str(), ship.time),
            (Setting::Exterior, "harbour - pier 4", TimeOfDay::Dusk)
        );
        assert_eq!(read("I/E. CAR - DAY - LATER").time, TimeOfDay::Day);
        assert_eq!(read("INT. HALL - CONTINUOUS").time, TimeOfDay::Dusk);
        assert_eq!(read("MOUNTAIN TOP").setting, Setting::Unsaid);
        assert!(prefix("INTERESTING PEOPLE").is_none());
    }
}
