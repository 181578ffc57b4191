//! Elements → scenes of beats: a paragraph about somebody, or a speech.

use greenroom_domain::{Heading, Line};

use crate::camera::{self, Direction};
use crate::fountain::{Cue, Element, Script};
use crate::people::People;
use crate::{heading, prose};

/// A scene as written.
#[derive(Debug)]
pub(crate) struct RawScene {
    pub heading: Heading,
    /// Its first line was `EST.`
    pub establishing: bool,
    pub beats: Vec<Beat>,
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Beat {
    /// Sentences about one person, or about nobody.
    Action { text: String, about: Option<usize>, named: Vec<usize>, direction: Direction },
    /// One person speaks; unseen where it is a voice over or off.
    Speech { who: Vec<usize>, unseen: bool, lines: Vec<Line> },
}

/// Parts a script into scenes. Action before the first heading makes a scene of its own without a place.
pub(crate) fn scenes(script: &Script, title: &str, people: &mut People) -> Vec<RawScene> {
    let mut out: Vec<RawScene> = Vec::new();
    let mut recent = Vec::new();
    let mut speaking: Option<(Cue, Vec<Line>, Option<String>)> = None;
    for element in &script.elements {
        if !matches!(element, Element::Parenthetical(_) | Element::Dialogue(_) | Element::Lyrics(_)) {
            finish(&mut speaking, &mut out, title, people);
        }
        match element {
            Element::Heading { text, .. } => {
                let before = out.last().map(|s| s.heading.time);
                let establishing = text.get(..3).is_some_and(|t| t.eq_ignore_ascii_case("EST"));
                recent.clear();
                out.push(RawScene { heading: heading::read(text, before), establishing, beats: Vec::new() });
            }
            Element::Action(text) if !is_editorial(text) => {
                action(text, people, &mut recent, &mut current(&mut out, title).beats);
            }
            Element::Character(cue) => {
                recent.extend(people.of_cue(&cue.name));
                speaking = Some((cue.clone(), Vec::new(), None));
            }
            Element::Parenthetical(text) => {
                if let Some((_, _, how)) = &mut speaking {
                    *how = Some(text.clone());
                }
            }
            Element::Dialogue(text) | Element::Lyrics(text) => {
                if let Some((cue, lines, how)) = &mut speaking {
                    lines.push(Line { character: cue.name.clone(), parenthetical: how.take(), text: text.clone() });
                }
            }
            _ => {}
        }
    }
    finish(&mut speaking, &mut out, title, people);
    out.retain(|scene| !scene.beats.is_empty() || scene.heading.setting != greenroom_domain::Setting::Unsaid);
    out
}

fn current<'a>(scenes: &'a mut Vec<RawScene>, title: &str) -> &'a mut RawScene {
    if scenes.is_empty() {
        let mut heading = heading::read("", None);
        heading.place = title.to_owned();
        scenes.push(RawScene { heading, establishing: false, beats: Vec::new() });
    }
    let last = scenes.len() - 1;
    &mut scenes[last]
}

fn finish(
    speaking: &mut Option<(Cue, Vec<Line>, Option<String>)>,
    scenes: &mut Vec<RawScene>,
    title: &str,
    people: &mut People,
) {
    let Some((cue, mut lines, _)) = speaking.take().filter(|(_, lines, _)| !lines.is_empty()) else { return };
    let who = people.of_cue(&cue.name);
    // A line names who speaks as the cast does, so that later steps find their voice.
    if let [one] = who[..] {
        lines.iter_mut().for_each(|line| line.character.clone_from(&people.list[one].name));
    }
    let unseen = cue.extension.as_deref().is_some_and(|e| {
        e.contains("V.O") || e.contains("VO") || e.contains("O.S") || e.contains("OS") || e.contains("O.C")
    });
    current(scenes, title).beats.push(Beat::Speech { who, unseen, lines });
}

/// Parts a paragraph where the person it is about changes or the camera is told something; what is about nobody goes with
/// what stands before it, or, at the beginning, stands alone.
fn action(text: &str, people: &mut People, recent: &mut Vec<usize>, beats: &mut Vec<Beat>) {
    let start = beats.len();
    for sentence in prose::sentences(text) {
        people.introduce(sentence);
        let words = prose::words(sentence);
        let named = people.named(&words);
        let direction = camera::read(&words);
        let about = people.subject(&words, recent);
        let bare = !direction.is_none() && about.is_none() && camera::other_words(&words) == 0;
        match beats[start..].last_mut() {
            // `She opens the box. PUSH IN.` is told of the shot that is being described.
            Some(Beat::Action { text, direction: held, .. })
                if bare && (held.framing.is_none() || direction.framing.is_none()) && held.camera.is_none() =>
            {
                text.push(' ');
                text.push_str(sentence);
                held.framing = held.framing.or(direction.framing);
                held.camera = direction.camera;
            }
            Some(Beat::Action { text, about: held, named: who, .. })
                if direction.is_none()
                    && (about.is_none() || about == *held)
                    && (held.is_some() || about.is_none()) =>
            {
                text.push(' ');
                text.push_str(sentence);
                who.extend(named);
            }
            _ => beats.push(Beat::Action { text: sentence.to_owned(), about, named, direction }),
        }
    }
}

/// `FADE IN:`, `CUT TO BLACK.`, `THE END`: words for the editor, not for the camera.
fn is_editorial(text: &str) -> bool {
    const STARTS: [&str; 9] =
        ["FADE", "CUT TO", "SMASH CUT", "MATCH CUT", "DISSOLVE", "THE END", "END OF", "CONTINUED", "(CONTINUED)"];
    text.len() < 60 && !text.chars().any(char::is_lowercase) && STARTS.iter().any(|s| text.starts_with(s))
}
