//! Beats → drafts of shots: what goes into one shot, and for how long.

use greenroom_domain::Line;

use crate::camera::{self, Direction};
use crate::prose;
use crate::scenes::{Beat, RawScene};

/// Seconds that a shot may last.
pub(crate) const SHORTEST: f64 = 2.5;
/// Longer speeches are cut at the end of a sentence.
pub(crate) const LONGEST: f64 = 8.0;
/// Seconds up to which things of the same person share a shot.
const JOINED: f64 = 6.0;
/// An opening picture of the place is not looked at for longer.
const OPENING: f64 = 4.0;
/// A reply of so many words does not cut to the one who speaks it.
const REPLY: usize = 3;

const WORDS_PER_SECOND: f64 = 2.5;
const PAUSE: f64 = 0.6;
/// A page is a minute, 55 lines of some 60 letters; the blank line under a paragraph counts.
const SECONDS_PER_LINE: f64 = 60.0 / 55.0;
const LINE: usize = 60;

/// A shot before it is framed.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// In frame.
    pub who: Option<usize>,
    /// Opens its scene with the place.
    pub opening: bool,
    pub direction: Direction,
    /// Whom each sentence or paragraph is about, and its words.
    pub action: Vec<(Option<usize>, String)>,
    pub lines: Vec<Line>,
    /// Persons of the script in the action, in order, perhaps twice.
    pub named: Vec<usize>,
    /// The last beat in it.
    pub beat: usize,
    /// Only camera words so far: what follows fills it.
    pub hollow: bool,
}

impl Draft {
    /// How long it plays, held to the shortest and the longest shot.
    pub(crate) fn seconds(&self) -> f64 {
        playing(self, None).clamp(SHORTEST, LONGEST)
    }
}

/// The shots of a scene. `known` says that an earlier scene played here at the same time of day.
pub(crate) fn drafts(scene: &RawScene, known: bool) -> Vec<Draft> {
    let mut out: Vec<Draft> = Vec::new();
    let (mut described, mut entered) = (false, false);
    if let Some(Beat::Action { about, direction, .. }) = scene.beats.first() {
        described = about.is_none() && direction.framing.is_none();
        entered = about.is_some() && direction.framing.is_some();
    }
    if (!known && !entered) || described || scene.establishing {
        out.push(Draft { opening: true, ..Draft::default() });
    }
    for (at, beat) in scene.beats.iter().enumerate() {
        match beat {
            Beat::Action { text, about, named, direction } => add_action(&mut out, at, text, *about, named, *direction),
            Beat::Speech { unseen: true, lines, .. } => heard(&mut out, at, lines),
            Beat::Speech { who, unseen: false, lines } => spoken(&mut out, at, lines, who),
        }
    }
    out
}

fn add_action(
    out: &mut Vec<Draft>,
    at: usize,
    text: &str,
    about: Option<usize>,
    named: &[usize],
    direction: Direction,
) {
    let mut draft = Draft {
        who: about,
        direction,
        action: vec![(about, text.to_owned())],
        named: named.to_vec(),
        beat: at,
        hollow: !direction.is_none() && camera::other_words(&prose::words(text)) <= named.len(),
        ..Draft::default()
    };
    match out.last_mut().filter(|last| action_joins(last, &draft)) {
        Some(last) => take(last, &mut draft),
        None => out.push(draft),
    }
}

/// Whether action goes into the shot before it. Camera words begin a shot of their own, unless nothing was shown yet.
fn action_joins(last: &Draft, next: &Draft) -> bool {
    let plain = next.direction.is_none();
    let fits = playing(last, Some(next)) <= JOINED;
    if last.opening {
        // An opening takes all that is said of the place.
        return next.who.is_none() && (last.action.is_empty() || (plain && (last.lines.is_empty() || fits)));
    }
    if last.hollow && next.direction.framing.is_none() {
        return last.who.is_none() || next.who.is_none() || last.who == next.who;
    }
    plain && fits && (next.who.is_none() || next.who == last.who)
}

/// A voice without a body: over the shot before it where it fits, or over the place.
fn heard(out: &mut Vec<Draft>, at: usize, lines: &[Line]) {
    for piece in pieces(lines) {
        let mut draft = Draft { lines: piece, beat: at, ..Draft::default() };
        match out.last_mut().filter(|last| playing(last, Some(&draft)) <= LONGEST) {
            Some(last) => take(last, &mut draft),
            None => out.push(draft),
        }
    }
}

fn spoken(out: &mut Vec<Draft>, at: usize, lines: &[Line], who: &[usize]) {
    let speaker = who.first().copied();
    let reply = lines.iter().map(|l| prose::count(&l.text)).sum::<usize>() <= REPLY;
    for piece in pieces(lines) {
        let mut draft = Draft { who: speaker, named: who.to_vec(), lines: piece, beat: at, ..Draft::default() };
        let joins = |last: &Draft| {
            let fits = playing(last, Some(&draft)) <= JOINED;
            let own = last.who == speaker && fits;
            let empty = last.hollow && last.who.is_none();
            !last.opening && (own || empty || (reply && fits && !last.lines.is_empty()))
        };
        match out.last_mut().filter(|last| joins(last)) {
            Some(last) => take(last, &mut draft),
            None => out.push(draft),
        }
    }
}

fn take(last: &mut Draft, more: &mut Draft) {
    last.who = last.who.or(more.who.filter(|_| last.hollow));
    last.direction.framing = last.direction.framing.or(more.direction.framing);
    last.direction.camera = last.direction.camera.or(more.direction.camera);
    last.action.append(&mut more.action);
    last.lines.append(&mut more.lines);
    last.named.append(&mut more.named);
    last.beat = more.beat;
    last.hollow &= more.hollow;
}

/// Puts the next shot's things into a shot of whoever says more.
pub(crate) fn share(shot: &mut Draft, mut next: Draft) {
    if !stays(shot, &next) {
        shot.who = next.who;
    }
    take(shot, &mut next);
}

/// Whether the camera stays with the first of two shots that become one.
pub(crate) fn stays(shot: &Draft, next: &Draft) -> bool {
    let speech = |d: &Draft| d.lines.iter().map(|l| speech_seconds(&l.text)).sum::<f64>();
    next.who.is_none() || (shot.who.is_some() && speech(next) <= speech(shot))
}

/// How long a draft would play, with another joined to it: speech, and action under it by half.
pub(crate) fn playing(draft: &Draft, more: Option<&Draft>) -> f64 {
    let all = || std::iter::once(draft).chain(more);
    let lines = |(_, text): &(Option<usize>, String)| (text.chars().count().div_ceil(LINE) + 1) as f64;
    let action: f64 = all().flat_map(|d| &d.action).map(lines).sum::<f64>() * SECONDS_PER_LINE;
    let speech: f64 = all().flat_map(|d| &d.lines).map(|l| speech_seconds(&l.text)).sum();
    match (draft.opening, speech > 0.0) {
        (true, _) => action.min(OPENING) + speech,
        (false, true) => speech + action / 2.0,
        (false, false) => action,
    }
}

fn speech_seconds(text: &str) -> f64 {
    prose::count(text) as f64 / WORDS_PER_SECOND + PAUSE
}

/// A speech in pieces that each fit into a shot, cut at the ends of sentences.
fn pieces(lines: &[Line]) -> Vec<Vec<Line>> {
    let mut out: Vec<Vec<Line>> = Vec::new();
    let mut held = 0.0;
    for line in lines {
        let whole = speech_seconds(&line.text) <= LONGEST;
        let parts = if whole { vec![line.text.as_str()] } else { prose::sentences(&line.text) };
        for (i, text) in parts.into_iter().enumerate() {
            let seconds = speech_seconds(text);
            let continues = i > 0 && held + seconds - PAUSE <= LONGEST;
            match out.last_mut().filter(|_| continues || held + seconds <= LONGEST) {
                Some(piece) => {
                    match piece.last_mut().filter(|_| i > 0) {
                        Some(last) => last.text = format!("{} {text}", last.text),
                        None => piece.push(Line { text: text.to_owned(), ..line.clone() }),
                    }
                    held += seconds - if i > 0 { PAUSE } else { 0.0 };
                }
                None => {
                    let parenthetical = line.parenthetical.clone().filter(|_| i == 0);
                    out.push(vec![Line { text: text.to_owned(), parenthetical, ..line.clone() }]);
                    held = seconds;
                }
            }
        }
    }
    out
}
