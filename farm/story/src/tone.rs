//! What prose says about feeling and moving, by word lists: enough to choose a framing, a camera move and a mood.

use crate::prose::Word;

/// The mood of some prose: the one with most words in it, the first of equals; none where nothing is said.
pub(crate) fn mood(text: &[Word]) -> Option<&'static str> {
    let mut counts = [0_usize; MOODS.len()];
    let mut first = [usize::MAX; MOODS.len()];
    for (at, word) in text.iter().enumerate() {
        if let Some(i) = MOODS.iter().position(|(_, words)| words.contains(&word.lower.as_str())) {
            counts[i] += 1;
            first[i] = first[i].min(at);
        }
    }
    let best = (0..MOODS.len()).filter(|&i| counts[i] > 0).min_by_key(|&i| (usize::MAX - counts[i], first[i]))?;
    Some(MOODS[best].0)
}

/// Whether prose asks for a face: a feeling, a look, a whisper.
pub(crate) fn wants_a_face(text: &[Word]) -> bool {
    mood(text).is_some_and(|m| m != "calm") || has(text, &FACE)
}

/// Whether prose moves somebody through the place.
pub(crate) fn moves(text: &[Word]) -> bool {
    has(text, &MOVING)
}

fn has(text: &[Word], list: &[&str]) -> bool {
    text.iter().any(|w| list.contains(&w.lower.as_str()))
}

const MOODS: [(&str, &[&str]); 8] = [
    (
        "tense",
        &[
            "tense",
            "urgent",
            "urgently",
            "nervous",
            "nervously",
            "anxious",
            "anxiously",
            "worried",
            "uneasy",
            "wary",
            "suspicious",
            "danger",
            "alarm",
            "hurried",
            "hurriedly",
            "breathless",
            "frantic",
            "frantically",
            "trembles",
            "trembling",
            "flinches",
            "hushed",
            "holding",
            "desperate",
            "desperately",
        ],
    ),
    (
        "happy",
        &[
            "happy",
            "happily",
            "smile",
            "smiles",
            "smiling",
            "grin",
            "grins",
            "grinning",
            "delighted",
            "joy",
            "cheerful",
            "cheerfully",
            "beams",
            "beaming",
            "relieved",
            "relief",
            "proud",
            "proudly",
            "warm",
            "warmly",
            "pleased",
            "amused",
        ],
    ),
    ("laughing", &["laugh", "laughs", "laughing", "chuckles", "chuckling", "giggles", "giggling"]),
    (
        "sad",
        &[
            "sad",
            "sadly",
            "tears",
            "tearful",
            "weeps",
            "weeping",
            "cries",
            "crying",
            "sobs",
            "grief",
            "mournful",
            "lonely",
            "sorrow",
            "broken",
            "heartbroken",
            "sighs",
            "regret",
            "defeated",
        ],
    ),
    (
        "angry",
        &[
            "angry", "angrily", "anger", "furious", "rage", "shouts", "shouting", "yells", "snaps", "glares", "scowls",
            "snarls", "bitter", "bitterly", "slams",
        ],
    ),
    (
        "afraid",
        &[
            "afraid",
            "fear",
            "fearful",
            "scared",
            "terrified",
            "terror",
            "frightened",
            "horror",
            "panic",
            "panics",
            "screams",
            "screaming",
            "shudders",
        ],
    ),
    (
        "surprised",
        &[
            "surprised",
            "surprise",
            "startled",
            "shocked",
            "stunned",
            "amazed",
            "astonished",
            "gasps",
            "gasping",
            "freezes",
            "disbelief",
            "awe",
            "wonder",
        ],
    ),
    (
        "calm",
        &["calm", "calmly", "quiet", "quietly", "gentle", "gently", "soft", "softly", "peaceful", "serene", "still"],
    ),
];

const FACE: [&str; 22] = [
    "stares",
    "staring",
    "gazes",
    "gazing",
    "eyes",
    "face",
    "whispers",
    "whispering",
    "whisper",
    "blinks",
    "frowns",
    "frowning",
    "winces",
    "squints",
    "nods",
    "murmurs",
    "realises",
    "realizes",
    "listens",
    "looks",
    "tear",
    "lips",
];

const MOVING: [&str; 44] = [
    "walks",
    "walking",
    "runs",
    "running",
    "sprints",
    "climbs",
    "climbing",
    "crosses",
    "crossing",
    "hurries",
    "strides",
    "striding",
    "marches",
    "rushes",
    "races",
    "chases",
    "flees",
    "enters",
    "leaves",
    "exits",
    "steps",
    "stumbles",
    "crawls",
    "creeps",
    "follows",
    "hikes",
    "hiking",
    "wanders",
    "paces",
    "jogs",
    "dashes",
    "storms",
    "scrambles",
    "trudges",
    "rides",
    "drives",
    "descends",
    "ascends",
    "approaches",
    "circles",
    "wades",
    "swims",
    "jumps",
    "leaps",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prose::words;

    #[test]
    fn the_mood_is_what_most_words_say() {
        assert_eq!(mood(&words("She smiles, then glares, furious.")), Some("angry"));
        assert_eq!(mood(&words("A gasp of smoke. He smiles")), Some("happy"));
        assert_eq!(mood(&words("He opens the drawer.")), None);
        assert!(wants_a_face(&words("whispering")) && !wants_a_face(&words("calmly pours tea")));
        assert!(moves(&words("Mara crosses the hall")) && !moves(&words("Mara at her desk")));
    }
}
