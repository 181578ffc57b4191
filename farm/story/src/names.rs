//! Whom a script names, before anybody is cast.

use std::collections::BTreeSet;

use crate::{fountain, people::People, scenes, shot_file};

/// Everybody whom a script or a shot file has as somebody: who speaks, is introduced, or is written into a cast. Upper case. A
/// text that cannot be read names nobody; whoever breaks it down is told why.
#[must_use]
pub fn names(text: &str, file: &str) -> BTreeSet<String> {
    if file.to_ascii_lowercase().ends_with(".toml") {
        return shot_file::names(text);
    }
    let script = fountain::parse(text);
    let mut people = People::of_cast(&[]);
    let _ = scenes::scenes(&script, file, &mut people);
    people.list.into_iter().map(|person| person.name.to_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_and_who_is_cast_is_named() {
        let script = "INT. LAB - NIGHT\n\nThey will wait.\n\nMARA (O.S.)\nHello.\n\nTOBIN AND EVE\nHi.\n";
        let named = |text, file| names(text, file).into_iter().collect::<Vec<_>>();
        assert_eq!(named(script, "lab.fountain"), ["EVE", "MARA", "TOBIN"]);
        let shots =
            "[[shot]]\nplace = \"LAB\"\ncast = [\"Mara\"]\ndialogue = [{ character = \"Eve\", text = \"Hi.\" }]\n";
        assert_eq!(named(shots, "one.TOML"), ["EVE", "MARA"]);
        assert!(named("[[shot", "one.toml").is_empty());
    }
}
