//! Figures of the gate's alarms: honest takes, and cheats made of them by code.
//!
//! A recall is the share of cheats caught among those that the scores alone accept: a cheat that the scores refuse says nothing
//! of an alarm. Faceless takes have no alarm but the coverage, so all of them count. A face on the back of a head is where a
//! head belongs, so it is counted apart.

use greenroom_domain::{Fps, ModelRole, Reason, Settings, Verdict};
use greenroom_identity::{
    Glimpse, JudgeInput, Patch, Profile, SeenFace, distinct_frames, judge, quality, raise_alarms, repeats,
};
use image::RgbImage;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

use crate::{
    Fault,
    cheats::{self, Found},
    models::{Models, framed},
    progress, say,
};

/// Frames of the takes lie so far apart: four a second.
const EVERY: u64 = 6;

/// What was drawn.
#[derive(Deserialize)]
pub(crate) struct Drawings {
    characters: Vec<Character>,
}

/// One character, with paths below the folder.
#[derive(Deserialize)]
struct Character {
    identity: u64,
    references: Vec<String>,
    takes: BTreeMap<String, Vec<String>>,
    empty: String,
}

impl Drawings {
    pub(crate) fn read(folder: &Path) -> Result<Self, Fault> {
        let file = folder.join("truth.json");
        let text = std::fs::read(&file).map_err(|e| format!("read drawings: {}: {e}", file.display()))?;
        serde_json::from_slice(&text).map_err(|e| format!("read drawings: {}: {e}", file.display()).into())
    }
}

/// Counts of one alarm.
#[derive(Default)]
struct Count {
    cheats: usize,
    caught: usize,
    honest: usize,
    false_alarms: usize,
}

impl Count {
    fn say(&self, name: &str) {
        let share = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
        say(&format!("{name}_recall"), share(self.caught, self.cheats), "1");
        say(&format!("{name}_false_alarms"), share(self.false_alarms, self.honest), "1");
        eprintln!("{name}: {} cheats that the scores accept, {} honest takes", self.cheats, self.honest);
    }
}

/// Measures and prints.
pub(crate) fn measure(models: &mut Models, folder: &Path) -> Result<(), Fault> {
    let drawings = Drawings::read(folder)?;
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for (i, character) in drawings.characters.iter().enumerate() {
        let stranger = &drawings.characters[(i + 1) % drawings.characters.len()];
        measure_one(models, folder, character, stranger, &mut counts)?;
        progress("character", i + 1, drawings.characters.len(), 4);
    }
    for (alarm, figure) in [
        ("copy", "copy_alarm"),
        ("frozen", "frozen"),
        ("faceless", "faceless"),
        ("misplaced", "misplaced"),
        ("back", "back_of_head"),
    ] {
        counts.entry(alarm).or_default().say(figure);
    }
    Ok(())
}

fn measure_one(
    models: &mut Models,
    folder: &Path,
    character: &Character,
    stranger: &Character,
    counts: &mut BTreeMap<&str, Count>,
) -> Result<(), Fault> {
    let (profile, references) = profile(models, folder, character)?;
    let (mut takes, mut accepted) = (BTreeMap::new(), BTreeMap::new());
    for (kind, files) in &character.takes {
        let frames = load(folder, files)?;
        let seen = look(models, &profile, &frames)?;
        for alarm in ["copy", "frozen", "misplaced"] {
            let count = counts.entry(alarm).or_default();
            count.honest += 1;
            count.false_alarms += usize::from(names(&seen.after, alarm));
        }
        note(&seen, character.identity, kind);
        accepted.insert(kind.clone(), seen.after.decision.is_accept());
        takes.insert(kind.clone(), frames);
    }
    let (moving, listening) = (&takes["moving"], &takes["listening"]);
    let others = load(folder, &stranger.takes["moving"])?;
    let empty = load(folder, std::slice::from_ref(&character.empty))?.remove(0);
    let mut find = |picture: &RgbImage| found(models, picture);
    let mut crafted = Vec::new();
    crafted.extend(cheats::copies(&mut find, &references, moving)?.into_iter().map(|take| ("copy", take)));
    crafted.extend(cheats::stills(moving).into_iter().map(|take| ("frozen", take)));
    crafted
        .extend(cheats::elsewhere(&mut find, listening, &others, &empty)?.into_iter().map(|take| ("misplaced", take)));
    let behind = cheats::on_the_back(&mut find, listening, &others)?;
    crafted.extend(behind.into_iter().map(|take| ("back", take)));
    for (alarm, (kind, frames)) in crafted {
        let seen = look(models, &profile, &frames)?;
        let count = counts.entry(alarm).or_default();
        if seen.before.decision.is_accept() {
            count.cheats += 1;
            count.caught += usize::from(!seen.after.decision.is_accept());
        }
        note(&seen, character.identity, &kind);
    }
    for (kind, is_cheat, frames) in cheats::faceless(moving, &empty) {
        let seen = look(models, &profile, &frames)?;
        let (count, passes) = (counts.entry("faceless").or_default(), seen.after.decision.is_accept());
        if is_cheat {
            count.cheats += 1;
            count.caught += usize::from(!passes);
        } else if accepted["moving"] {
            count.honest += 1;
            count.false_alarms += usize::from(!passes);
        }
        note(&seen, character.identity, &kind);
    }
    Ok(())
}

/// A verdict by the scores alone, and with what else is known.
struct Seen {
    before: Verdict,
    after: Verdict,
}

fn note(seen: &Seen, identity: u64, kind: &str) {
    let alone = if seen.before.decision.is_accept() { "accepted" } else { "refused" };
    eprintln!("{identity} {kind}: by scores {alone}; {}", seen.after);
}

/// Whether a verdict gives this alarm as a reason.
fn names(verdict: &Verdict, alarm: &str) -> bool {
    let of = |reason: &Reason| match reason {
        Reason::CopyOfReference { .. } => alarm == "copy",
        Reason::Frozen { .. } => alarm == "frozen",
        Reason::Misplaced { .. } => alarm == "misplaced",
        _ => false,
    };
    verdict.decision.reasons().iter().any(of)
}

/// As a validate task does it.
fn look(models: &mut Models, profile: &Profile, pictures: &[RgbImage]) -> Result<Seen, Fault> {
    let smallest = models.pack.identity.smallest_face;
    let (mut frames, mut glimpses) = (Vec::new(), Vec::new());
    for (number, picture) in (0..).step_by(EVERY as usize).zip(pictures) {
        let mut seen = Vec::new();
        let faces = models.find(picture)?;
        let shown = match &mut models.classifier {
            Some(classifier) => classifier.classify(picture, &faces)?.into_iter().map(Some).collect(),
            None => vec![None; faces.len()],
        };
        for (face, shows) in faces.iter().zip(shown) {
            let mut embedding = None;
            if face.short_side() >= smallest {
                let aligned = models.aligned(picture, &face.landmarks);
                glimpses.push(Glimpse { shows, ..Glimpse::of(number, face, &aligned) });
                embedding = Some(models.embed(aligned)?);
            }
            seen.push(SeenFace { frame: number, bbox: face.bbox, detection: face.score, yaw: face.yaw(), embedding });
        }
        frames.push((number, seen));
    }
    let name = profile.character.clone();
    let cast = [(name.clone(), profile.clone())];
    let identity = &models.pack.identity;
    let of = |frames: &[(u64, Vec<SeenFace>)], cuts: &[u64]| -> Result<Verdict, Fault> {
        Ok(judge(&JudgeInput {
            frames,
            cuts,
            fps: Fps::FILM,
            cast: &cast,
            expected: std::slice::from_ref(&name),
            gate: Settings::default().gate,
            calibration: &identity.calibration,
            // Three references are too few for a curve of one's own.
            curves: &BTreeMap::new(),
            scoring: &identity.scoring,
            models: models.used()?,
        }))
    };
    let before = of(&frames, &[])?;
    let repeated = repeats(&frames, &glimpses, &identity.scoring.copies);
    let (distinct, cuts) = distinct_frames(frames, &[], &repeated);
    let mut after = of(&distinct, &cuts)?;
    let (copies, how) = (&identity.scoring.copies, models.pack.attributes.as_ref());
    after.looks.repeats = repeated;
    raise_alarms(&mut after, &glimpses, &cast, copies, how, Fps::FILM);
    Ok(Seen { before, after })
}

/// The profile of the references, as a profile task makes it, and the references with their faces.
fn profile(models: &mut Models, folder: &Path, character: &Character) -> Result<(Profile, Vec<Found>), Fault> {
    let (mut faces, mut patches, mut references) = (Vec::new(), Vec::new(), Vec::new());
    for file in &character.references {
        let picture = open(&folder.join(file))?;
        let Some(face) = models.find(&picture)?.into_iter().next() else { continue };
        let aligned = models.aligned(&picture, &face.landmarks);
        let measured = quality(&picture, &face, &aligned);
        patches.push(Patch::of(&aligned));
        faces.push((models.embed(aligned)?, measured));
        references.push((picture, face.bbox));
    }
    let embedder = models.pack.files(ModelRole::Embedder).next().map(|file| file.sha256);
    let embedder = embedder.ok_or("profile character: the pack has no embedder")?;
    let name = character.identity.to_string();
    let mut profile = Profile::build(&name, &models.used()?.pack, embedder, faces)?.0;
    profile.references.iter_mut().zip(patches).for_each(|(reference, patch)| reference.patch = Some(patch));
    Ok((profile, references))
}

/// A picture with its best face.
fn found(models: &mut Models, picture: &RgbImage) -> Result<Option<Found>, Fault> {
    Ok(models.find(picture)?.into_iter().next().map(|face| (picture.clone(), face.bbox)))
}

fn load(folder: &Path, files: &[String]) -> Result<Vec<RgbImage>, Fault> {
    files.iter().map(|file| Ok(framed(&open(&folder.join(file))?).0)).collect()
}

fn open(file: &Path) -> Result<RgbImage, Fault> {
    Ok(image::open(file).map_err(|e| format!("read drawings: {}: {e}", file.display()))?.to_rgb8())
}
