//! How often the gate lets strangers pass and the character itself, at the decision on the clip, and who it says is who.

use greenroom_domain::{Box2, Calibration, Digest, Fps, ModelRole, Settings, Verdict};
use greenroom_identity::{CalibrateInput, Impostors, JudgeInput, Profile, calibrate, judge};
use std::{collections::BTreeMap, path::Path};

use crate::{
    Fault,
    cast::Cast,
    clips::{Clip, Drawings, Seen, Set},
    models::Models,
    progress, say,
};

/// With so many references a character is read by the pack's curve.
const FEW: usize = 3;

/// A true face and a found one are the same where they share this part of their union.
const SAME: f32 = 0.4;

/// A character as the farm knows it.
struct Known {
    cast: [(String, Profile); 1],
    /// Its own curve, where it has one.
    curves: BTreeMap<String, Calibration>,
}

/// Measures and prints.
pub(crate) fn measure(models: &mut Models, pack: &Path, drawings: &Drawings, softened: usize) -> Result<(), Fault> {
    let strangers = strangers(models, pack)?;
    let calibrated = known(models, drawings, usize::MAX, &strangers)?;
    let few = known(models, drawings, FEW, &strangers)?;
    let mut seen = Vec::new();
    for (i, clip) in drawings.clips().iter().enumerate() {
        seen.push((clip, drawings.look(models, clip, None)?));
        progress("clip", i + 1, drawings.clips().len(), 50);
    }
    let own = |set| seen.iter().filter(move |(clip, _)| clip.set == set);
    let (clips, alike): (Vec<_>, Vec<_>) = (own(Set::Clips).collect(), own(Set::Lookalikes).collect());
    for (known, which) in [(&calibrated, ""), (&few, "_uncalibrated")] {
        let rates = rates(models, known, &clips)?;
        say(&format!("far{which}"), rates.far, "1");
        say(&format!("tar{which}"), rates.tar, "1");
        say(&format!("lookalike_far{which}"), lookalikes(models, known, &alike)?, "1");
    }
    let scenes: Vec<_> = own(Set::Scenes).collect();
    assignment(models, &calibrated, &scenes)?;
    soft(models, drawings, &calibrated, softened)
}

/// After the VAE, which softens a drawing as it softens every generated picture.
fn soft(models: &mut Models, drawings: &Drawings, known: &[Known], count: usize) -> Result<(), Fault> {
    let vae = models.diffusion()?;
    let clips = drawings.clips().iter().filter(|clip| clip.set == Set::Clips).step_by(2).take(count);
    let clips: Vec<&Clip> = clips.collect();
    let mut seen = Vec::new();
    for (i, clip) in clips.iter().enumerate() {
        seen.push((*clip, drawings.look(models, clip, Some(&vae))?));
        progress("softened clip", i + 1, clips.len(), 10);
    }
    let rates = rates(models, known, &seen.iter().collect::<Vec<_>>())?;
    say("far_softened", rates.far, "1");
    say("tar_softened", rates.tar, "1");
    Ok(())
}

/// The pack's strangers.
fn strangers(models: &Models, pack: &Path) -> Result<Impostors, Fault> {
    let only = |role| models.pack.files(role).next().ok_or_else(|| format!("open pack: it has no file for {role:?}"));
    let (file, embedder) = (only(ModelRole::Impostors)?, only(ModelRole::Embedder)?);
    Ok(Impostors::open(&pack.join(&file.file), embedder.sha256)?)
}

/// Everybody with at most so many references, calibrated where those are enough. The project's other characters are left
/// out: they are the strangers that the rates are measured on.
fn known(models: &mut Models, drawings: &Drawings, most: usize, strangers: &Impostors) -> Result<Vec<Known>, Fault> {
    let mut known = Vec::new();
    for references in drawings.references().chunk_by(|a, b| a.identity == b.identity) {
        let (identity, mut cast) = (references[0].identity, Cast::default());
        for reference in references.iter().take(most) {
            cast.add(models, identity, &drawings.reference(reference)?)?;
        }
        let profile = cast.profile(models, identity)?;
        let input = CalibrateInput {
            profile: &profile,
            digest: Digest::of(b"profile"),
            others: &[],
            strangers,
            fallback: &models.pack.identity.calibration,
            scoring: &models.pack.identity.scoring,
        };
        let curves = calibrate(&input).ok().map(|own| (identity.to_string(), own.curve)).into_iter().collect();
        known.push(Known { cast: [(identity.to_string(), profile)], curves });
    }
    Ok(known)
}

/// Shares of clips that pass as a character.
struct Rates {
    far: Option<f64>,
    tar: Option<f64>,
}

fn rates(models: &Models, known: &[Known], clips: &[&(&Clip, Seen)]) -> Result<Rates, Fault> {
    let (mut strangers, mut own) = (Share::default(), Share::default());
    for (i, one) in known.iter().enumerate() {
        for (clip, seen) in clips {
            let passes = verdict(models, one, seen)?.decision.is_accept();
            let itself = clip.people.iter().any(|person| person.identity.to_string() == one.cast[0].0);
            if itself { own.count(passes) } else { strangers.count(passes) }
        }
        progress("character", i + 1, known.len(), 50);
    }
    Ok(Rates { far: strangers.share(), tar: own.share() })
}

/// Clips of look-alikes against whom they look like.
fn lookalikes(models: &Models, known: &[Known], clips: &[&(&Clip, Seen)]) -> Result<Option<f64>, Fault> {
    let mut passed = Share::default();
    for (clip, seen) in clips {
        let like = clip.people.iter().find_map(|person| person.like).map(|like| like.to_string());
        for known in known.iter().filter(|known| Some(&known.cast[0].0) == like.as_ref()) {
            passed.count(verdict(models, known, seen)?.decision.is_accept());
        }
    }
    Ok(passed.share())
}

/// Of the faces that were found in scenes of several characters, how many got their right name; and how many were found.
fn assignment(models: &Models, known: &[Known], scenes: &[&(&Clip, Seen)]) -> Result<(), Fault> {
    let (mut right, mut found, mut by_count) = (Share::default(), Share::default(), BTreeMap::new());
    for (clip, seen) in scenes {
        let names: Vec<String> = clip.people.iter().map(|person| person.identity.to_string()).collect();
        let members: Vec<&Known> = known.iter().filter(|known| names.contains(&known.cast[0].0)).collect();
        let cast: Vec<_> = members.iter().map(|known| known.cast[0].clone()).collect();
        let curves: BTreeMap<_, _> = members.iter().flat_map(|known| known.curves.clone()).collect();
        let verdict = judged(models, &cast, &curves, &names, seen)?;
        for (number, frame) in verdict.frames.iter().enumerate() {
            for (person, name) in clip.people.iter().zip(&names) {
                let Some(truth) = seen.truth(person, number) else { continue };
                let shared = |face: &&greenroom_domain::FaceScore| iou(&face.bbox, &truth);
                let face = frame.faces.iter().max_by(|a, b| shared(a).total_cmp(&shared(b)));
                let face = face.filter(|face| shared(face) >= SAME);
                found.count(face.is_some());
                if let Some(face) = face {
                    let correct = face.character.as_ref() == Some(name);
                    right.count(correct);
                    by_count.entry(names.len()).or_insert_with(Share::default).count(correct);
                }
            }
        }
    }
    say("assignment_accuracy", right.share(), "1");
    for (people, share) in by_count {
        say(&format!("assignment_accuracy_of_{people}"), share.share(), "1");
    }
    say("assignment_faces_found", found.share(), "1");
    Ok(())
}

fn verdict(models: &Models, known: &Known, seen: &Seen) -> Result<Verdict, Fault> {
    judged(models, &known.cast, &known.curves, &[known.cast[0].0.clone()], seen)
}

/// As a validate task judges.
fn judged(
    models: &Models,
    cast: &[(String, Profile)],
    curves: &BTreeMap<String, Calibration>,
    expected: &[String],
    seen: &Seen,
) -> Result<Verdict, Fault> {
    Ok(judge(&JudgeInput {
        frames: &seen.frames,
        cuts: &[],
        fps: Fps::FILM,
        cast,
        expected,
        gate: Settings::default().gate,
        calibration: &models.pack.identity.calibration,
        curves,
        scoring: &models.pack.identity.scoring,
        models: models.used()?,
    }))
}

/// How many of how many.
#[derive(Default)]
struct Share {
    yes: usize,
    of: usize,
}

impl Share {
    fn count(&mut self, yes: bool) {
        self.yes += usize::from(yes);
        self.of += 1;
    }

    /// None of nothing.
    fn share(&self) -> Option<f64> {
        (self.of > 0).then(|| self.yes as f64 / self.of as f64)
    }
}

fn iou(a: &Box2, b: &Box2) -> f32 {
    let area = |b: &Box2| (b.x1 - b.x0).max(0.0) * (b.y1 - b.y0).max(0.0);
    let (x0, y0, x1, y1) = (a.x0.max(b.x0), a.y0.max(b.y0), a.x1.min(b.x1), a.y1.min(b.y1));
    let both = area(&Box2 { x0, y0, x1, y1 });
    both / (area(a) + area(b) - both).max(f32::EPSILON)
}
