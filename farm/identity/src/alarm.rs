//! What a score cannot tell: faces that are too good to be true. Pure.
//!
//! For each expected character, over the faces that the verdict gives it:
//!
//! * *Copy.* In a share of them (pack data) the face is one reference: small grey patches correlate above the bound, and the
//!   head is turned the same way. The bound is higher where the faces are not nearly one moment: a face that lives comes into a
//!   reference's pose, and blinks there. An embedder rewards a pasted reference with the best score there is.
//! * *Frozen.* Over a second or more they are one moment. Zooms and pans over a still leave the aligned face as it was; a face
//!   that lives changes within a second.
//! * *Misplaced.* In three of four the pack's classifier says that no head belongs there. Packs without one say nothing.
//!
//! Each is a reason against the take, whatever its score.

use greenroom_domain::{AttributeDefaults, Copies, Decision, Fps, Frames, Reason, Repeat, Verdict};

use crate::{Glimpse, Profile, ProfileReference};

/// A take that is shorter, in seconds, may hold still.
const STILL_SECONDS: f64 = 1.0;
/// Of a still's faces so many are one moment: one in twenty may be a detector's slip, and one in ten a blink.
const STILL_SHARE: f32 = 0.95;
/// So many faces, spread over the take, are held against all others.
const MOMENTS: usize = 5;
/// Fewer faces say nothing about movement, nor surely where they are.
const FEWEST: usize = 3;
/// A take's face is misplaced if the classifier is so sure of it in so many of the faces: a paste is told in nearly all, and a
/// generated face, softer than what the classifier learnt from, in up to half. On forty drawn characters from seed 1,000,100 on
/// 97 % of pasted faces are told, and no honest one is.
const SURE: f32 = 0.65;
const SURE_SHARE: f32 = 0.75;

/// Adds what speaks against the take beside its scores. The verdict's looks say already which frames repeat others.
pub fn raise_alarms(
    verdict: &mut Verdict,
    glimpses: &[Glimpse],
    cast: &[(String, Profile)],
    copies: &Copies,
    attributes: Option<&AttributeDefaults>,
    fps: Fps,
) {
    let mut alarms = Vec::new();
    for character in verdict.characters.iter().filter(|c| c.expected).map(|c| c.character.clone()) {
        let faces = faces_of(verdict, glimpses, &character);
        let profile = cast.iter().find(|(name, _)| *name == character).map(|(_, profile)| profile);
        let repeats = &verdict.looks.repeats;
        alarms.extend(profile.and_then(|profile| copy(&character, &faces, repeats, profile, copies)));
        alarms.extend(frozen(&character, &faces, repeats, copies, fps));
        alarms.extend(attributes.and_then(|how| misplaced(&character, &faces, how)));
    }
    if alarms.is_empty() {
        return;
    }
    let mut reasons = verdict.decision.reasons().to_vec();
    reasons.extend(alarms);
    verdict.decision = Decision::Reject { reasons };
}

/// The faces that a verdict gives to a character, in order.
#[must_use]
pub fn faces_of<'a>(verdict: &Verdict, glimpses: &'a [Glimpse], character: &str) -> Vec<&'a Glimpse> {
    let own = verdict.frames.iter().filter_map(|frame| {
        let face = frame.faces.iter().find(|face| face.character.as_deref() == Some(character))?;
        glimpses.iter().find(|glimpse| glimpse.is(frame.frame, face))
    });
    own.collect()
}

/// In how many sampled frames a face is seen: a frame that was left out because it repeats another one shows it once more.
fn times(face: &Glimpse, repeats: &[Repeat]) -> usize {
    1 + repeats.iter().filter(|repeat| repeat.of == face.frame).count()
}

fn copy(character: &str, faces: &[&Glimpse], repeats: &[Repeat], profile: &Profile, copies: &Copies) -> Option<Reason> {
    let bound = if still(faces, repeats, copies.still) { copies.reference } else { copies.living };
    let of_reference = |(number, reference): (usize, &ProfileReference)| {
        let patch = reference.patch.as_ref()?;
        let (mut count, mut plainest) = (0, (0, f32::MIN));
        for face in faces.iter().filter(|face| (face.yaw - reference.yaw).abs() <= copies.pose) {
            let alike = patch.alike(&face.patch);
            if alike > bound {
                count += times(face, repeats);
                plainest = if alike > plainest.1 { (face.frame, alike) } else { plainest };
            }
        }
        Some((count, number as u32 + 1, plainest.0))
    };
    let found = profile.references.iter().enumerate().filter_map(of_reference);
    let (count, reference, frame) = found.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    let all: usize = faces.iter().map(|face| times(face, repeats)).sum();
    let enough = count > 0 && count as f32 >= copies.share * all as f32;
    enough.then(|| Reason::CopyOfReference { character: character.to_owned(), reference, frame })
}

fn frozen(character: &str, faces: &[&Glimpse], repeats: &[Repeat], copies: &Copies, fps: Fps) -> Option<Reason> {
    let first = faces.first()?.frame;
    let again = repeats.iter().filter(|repeat| faces.iter().any(|face| face.frame == repeat.of));
    let last = faces.iter().map(|face| face.frame).chain(again.map(|repeat| repeat.frame)).max()?;
    let long = fps.seconds(Frames(last - first + 1)) >= STILL_SECONDS;
    let frozen = long && still(faces, repeats, copies.frozen);
    frozen.then(|| Reason::Frozen { character: character.to_owned(), first, last })
}

/// Whether nearly all faces correlate by more than the bound with one of them; not so of too few.
fn still(faces: &[&Glimpse], repeats: &[Repeat], bound: f32) -> bool {
    let same = |face: &Glimpse, other: &Glimpse| face.patch.alike(&other.patch) > bound;
    let like = |face: &Glimpse| -> usize {
        let alike = faces.iter().filter(|other| other.frame == face.frame || same(face, other));
        alike.map(|other| times(other, repeats)).sum()
    };
    let count: usize = faces.iter().map(|face| times(face, repeats)).sum();
    if count < FEWEST {
        return false;
    }
    // Whatever nearly all are like, of five faces one is like it too.
    let most = (0..MOMENTS).map(|i| like(faces[i * (faces.len() - 1) / (MOMENTS - 1)])).max();
    most.is_some_and(|most| most as f32 >= STILL_SHARE * count as f32)
}

fn misplaced(character: &str, faces: &[&Glimpse], how: &AttributeDefaults) -> Option<Reason> {
    let wrong = how.misplaced.as_ref()?;
    let sure = |face: &&Glimpse| {
        let seen = face.shows.as_ref()?.0.get(&wrong.attribute)?;
        let (_, probability) = seen.all.iter().find(|(label, _)| *label == wrong.label)?;
        Some((face.frame, *probability))
    };
    let told: Vec<(u64, f32)> = faces.iter().filter_map(sure).collect();
    let elsewhere = told.iter().filter(|(_, probability)| *probability > SURE).count();
    let (frame, _) = *told.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let sure = told.len() >= FEWEST && elsewhere as f32 >= SURE_SHARE * told.len() as f32;
    sure.then(|| Reason::Misplaced { character: character.to_owned(), frame })
}
