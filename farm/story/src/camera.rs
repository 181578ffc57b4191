//! Camera words that a writer put into the prose: they win over every rule.

use greenroom_domain::{CameraMove, Framing};

use crate::prose::Word;

/// What a sentence asks of the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Direction {
    pub framing: Option<Framing>,
    pub camera: Option<CameraMove>,
}

impl Direction {
    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Reads the camera words of a sentence.
pub(crate) fn read(text: &[Word]) -> Direction {
    let mut found = Direction::default();
    let mut at = 0;
    while at < text.len() {
        let Some((length, direction)) = phrase_at(text, at) else {
            at += 1;
            continue;
        };
        found.framing = found.framing.or(direction.framing);
        found.camera = found.camera.or(direction.camera);
        at += length;
    }
    found
}

/// How many words of a sentence are neither camera words nor `on`, `the`: a line `CLOSE ON MARA` says only one thing.
pub(crate) fn other_words(text: &[Word]) -> usize {
    let mut at = 0;
    let mut others = 0;
    while at < text.len() {
        if let Some((length, _)) = phrase_at(text, at) {
            at += length;
        } else {
            others +=
                usize::from(!["on", "the", "a", "of", "to", "and", "we", "shot"].contains(&text[at].lower.as_str()));
            at += 1;
        }
    }
    others
}

fn phrase_at(text: &[Word], at: usize) -> Option<(usize, Direction)> {
    let hit = |phrase: &str, shouted: bool| {
        // Most words begin no phrase: look at the first before any splitting.
        if !phrase.starts_with(text[at].lower.as_str()) {
            return None;
        }
        let mut words = text[at..].iter();
        let mut length = 0;
        for part in phrase.split(' ') {
            let word = words.next()?;
            if word.lower != part || (shouted && !word.upper) || (length > 0 && word.after_stop) {
                return None;
            }
            length += 1;
        }
        Some(length)
    };
    let framed = FRAMINGS.iter().find_map(|&(p, shouted, f)| hit(p, shouted).map(|n| (n, Some(f), None)));
    let moved = || MOVES.iter().find_map(|&(p, shouted, m)| hit(p, shouted).map(|n| (n, None, Some(m))));
    framed.or_else(moved).map(|(n, framing, camera)| (n, Direction { framing, camera }))
}

// (phrase, only in capitals, meaning). Capitals tell CLOSE from `close the door`; longer phrases stand first.
const FRAMINGS: [(&str, bool, Framing); 26] = [
    ("extreme close up", false, Framing::Close),
    ("medium close up", false, Framing::Close),
    ("close up", false, Framing::Close),
    ("closeup", false, Framing::Close),
    ("close shot", false, Framing::Close),
    ("tight on", false, Framing::Close),
    ("close", true, Framing::Close),
    ("ecu", true, Framing::Close),
    ("mcu", true, Framing::Close),
    ("cu", true, Framing::Close),
    ("medium shot", false, Framing::Medium),
    ("mid shot", false, Framing::Medium),
    ("two shot", false, Framing::Medium),
    ("over the shoulder", true, Framing::Medium),
    ("angle on", true, Framing::Medium),
    ("medium", true, Framing::Medium),
    ("ms", true, Framing::Medium),
    ("establishing", true, Framing::Establishing),
    ("establishing shot", false, Framing::Establishing),
    ("aerial", true, Framing::Establishing),
    ("extreme wide shot", false, Framing::Wide),
    ("wide shot", false, Framing::Wide),
    ("long shot", false, Framing::Wide),
    ("full shot", false, Framing::Wide),
    ("wide", true, Framing::Wide),
    ("ws", true, Framing::Wide),
];

const MOVES: [(&str, bool, CameraMove); 44] = [
    ("camera pans left", false, CameraMove::PanLeft),
    ("we pan left", false, CameraMove::PanLeft),
    ("pan left", true, CameraMove::PanLeft),
    ("pans left", true, CameraMove::PanLeft),
    ("panning left", true, CameraMove::PanLeft),
    ("camera pans right", false, CameraMove::PanRight),
    ("camera pans", false, CameraMove::PanRight),
    ("we pan right", false, CameraMove::PanRight),
    ("we pan", false, CameraMove::PanRight),
    ("pan right", true, CameraMove::PanRight),
    ("pans right", true, CameraMove::PanRight),
    ("panning right", true, CameraMove::PanRight),
    ("pan", true, CameraMove::PanRight),
    ("we push in", false, CameraMove::PushIn),
    ("camera pushes in", false, CameraMove::PushIn),
    ("push in", true, CameraMove::PushIn),
    ("pushing in", true, CameraMove::PushIn),
    ("slow push", true, CameraMove::PushIn),
    ("dolly in", false, CameraMove::PushIn),
    ("zoom in", false, CameraMove::PushIn),
    ("we zoom in", false, CameraMove::PushIn),
    ("we move closer", false, CameraMove::PushIn),
    ("we move in", false, CameraMove::PushIn),
    ("camera moves closer", false, CameraMove::PushIn),
    ("we creep closer", false, CameraMove::PushIn),
    ("we pull back", false, CameraMove::PullOut),
    ("we pull out", false, CameraMove::PullOut),
    ("we move back", false, CameraMove::PullOut),
    ("camera pulls back", false, CameraMove::PullOut),
    ("camera pulls out", false, CameraMove::PullOut),
    ("pull back", true, CameraMove::PullOut),
    ("pull out", true, CameraMove::PullOut),
    ("pulling back", true, CameraMove::PullOut),
    ("dolly out", false, CameraMove::PullOut),
    ("dolly back", false, CameraMove::PullOut),
    ("zoom out", false, CameraMove::PullOut),
    ("tracking shot", false, CameraMove::Tracking),
    ("camera tracks", false, CameraMove::Tracking),
    ("camera follows", false, CameraMove::Tracking),
    ("we track", false, CameraMove::Tracking),
    ("we follow", false, CameraMove::Tracking),
    ("tracking", true, CameraMove::Tracking),
    ("dolly", true, CameraMove::Tracking),
    ("steadicam", false, CameraMove::Tracking),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prose::words;

    #[test]
    fn camera_words_are_told_from_prose() {
        let read = |text| read(&words(text));
        assert_eq!(read("CLOSE ON Mara.").framing, Some(Framing::Close));
        assert_eq!(read("CU - the dial").framing, Some(Framing::Close));
        assert_eq!(read("WIDE. PAN LEFT over the roofs").camera, Some(CameraMove::PanLeft));
        assert_eq!(read("We move closer to her face").camera, Some(CameraMove::PushIn));
        assert_eq!(read("A tracking shot follows him").camera, Some(CameraMove::Tracking));
        assert!(read("She stands close to him, eyes wide, pulls back and pans for gold").is_none());
    }
}
