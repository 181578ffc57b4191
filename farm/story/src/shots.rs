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
    pub action: Vec<String>,
    pub lines: Vec<Line>,
    /// Persons of the script in the action, in order, perhaps twice.
    pub named: Vec<usize>,
    /// The last beat in it.
    pub beat: usize,
    /// Only camera words so far: what follows fills it.
    pub hollow: bool,
}

impl Draft {
    /// How long it plays, before it is held to the shortest and the longest shot. Action under speech counts half.
    pub(crate) fn seconds(&self) -> f64 {
        let lines = |text: &String| (text.chars().count().div_ceil(LINE) + 1) as f64;
        let action: f64 = self.action.iter().map(lines).sum::<f64>() * SECONDS_PER_LINE;
        let speech: f64 = self.lines.iter().map(|l| speech_seconds(&l.text)).sum();
        match (self.opening, self.lines.is_empty()) {
            (true, _) => (action.min(OPENING) + speech).clamp(SHORTEST, LONGEST),
            (false, true) => action.clamp(SHORTEST, LONGEST),
            (false, false) => (speech + action / 2.0).clamp(SHORTEST, LONGEST),
        }
    }

    fn speaks(&self) -> bool {
        !self.lines.is_empty()
    }
}

fn speech_seconds(text: &str) -> f64 {
    prose::count(text) as f64 / WORDS_PER_SECOND + PAUSE
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
            Beat::Speech { who, unseen: true, lines } => heard(&mut out, at, lines, who),
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
    let hollow = !direction.is_none() && camera::other_words(&prose::words(text)) <= named.len();
    let mut draft = Draft {
        who: about,
        direction,
        action: vec![text.to_owned()],
        named: named.to_vec(),
        beat: at,
        hollow,
        ..Draft::default()
    };
    let Some(last) = out.last_mut() else {
        out.push(draft);
        return;
    };
    let fits = joint_seconds(last, &draft) <= JOINED;
    // An opening takes all that is said of the place; a detail goes with the picture before it.
    let same_person = last.who == about && !last.opening;
    let joins = if last.hollow {
        last.who.is_none() || about.is_none() || same_person
    } else {
        direction.framing.is_none() && direction.camera.is_none() && (same_person || about.is_none()) && fits
    };
    let opens = last.opening && about.is_none() && !last.speaks() && (last.action.is_empty() || direction.is_none());
    if opens {
        last.direction = merge(last.direction, direction);
        take(last, &mut draft);
    } else if joins && (!last.opening || about.is_none()) {
        last.who = last.who.or(about);
        last.direction = merge(last.direction, direction);
        take(last, &mut draft);
    } else {
        out.push(draft);
    }
}

/// A voice without a body: over the shot before it where it fits, or over the place.
fn heard(out: &mut Vec<Draft>, at: usize, lines: &[Line], _who: &[usize]) {
    for piece in pieces(lines) {
        let mut draft = Draft { lines: piece, beat: at, ..Draft::default() };
        match out.last_mut() {
            Some(last) if joint_seconds(last, &draft) <= LONGEST - 0.01 => take(last, &mut draft),
            _ => out.push(draft),
        }
    }
}

fn spoken(out: &mut Vec<Draft>, at: usize, lines: &[Line], who: &[usize]) {
    let speaker = who.first().copied();
    let words: usize = lines.iter().map(|l| prose::count(&l.text)).sum();
    for piece in pieces(lines) {
        let mut draft = Draft { who: speaker, named: who.to_vec(), lines: piece, beat: at, ..Draft::default() };
        let joins = out.last().is_some_and(|last| {
            let fits = joint_seconds(last, &draft) <= JOINED;
            let reply = words <= REPLY && last.speaks() && fits;
            !last.opening && ((last.who == speaker && fits) || last.hollow && last.who.is_none() || reply)
        });
        match out.last_mut().filter(|_| joins) {
            Some(last) => {
                last.who = last.who.or(speaker);
                take(last, &mut draft);
            }
            None => out.push(draft),
        }
    }
}

fn take(last: &mut Draft, more: &mut Draft) {
    last.action.append(&mut more.action);
    last.lines.append(&mut more.lines);
    last.named.append(&mut more.named);
    last.beat = more.beat;
    last.hollow &= more.hollow;
}

fn merge(a: Direction, b: Direction) -> Direction {
    Direction { framing: a.framing.or(b.framing), camera: a.camera.or(b.camera) }
}

/// How long two drafts would play as one, not held to the longest shot.
fn joint_seconds(a: &Draft, b: &Draft) -> f64 {
    let lines: f64 = a.lines.iter().chain(&b.lines).map(|l| speech_seconds(&l.text)).sum();
    let letters = |text: &String| (text.chars().count().div_ceil(LINE) + 1) as f64;
    let action = a.action.iter().chain(&b.action).map(letters).sum::<f64>() * SECONDS_PER_LINE;
    let action = if a.opening { action.min(OPENING) } else { action };
    if lines > 0.0 { lines + if a.opening { action } else { action / 2.0 } } else { action }
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
