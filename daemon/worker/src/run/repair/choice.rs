//! Which noise something is made anew from: several are tried on one frame, and what comes of them is looked at.
//!
//! Noise alone moves a face's cosine by about as much as a repair does, so the best of a few is worth their time.

use greenroom_domain::{Box2, RepairSpec, Seed};
use greenroom_identity::{Profile, align};
use greenroom_media::VideoReader;
use image::RgbImage;
use std::{ops::ControlFlow, path::Path};

use super::artist::{Artist, Subject};
use super::track::{Run, share_inside};
use super::{CHOSEN, FOLLOWING, frame};
use crate::{
    fault::Fault,
    run::{Bench, Progress},
};

/// Side of the embedder's input, pixels.
const ALIGNED: u32 = 112;
/// A face of which so much lies in a box is the one that was there.
const THERE: f32 = 0.5;

/// The seed of the noise that does best in the middle of the take's longest run.
pub(super) fn seed(
    bench: &mut Bench,
    spec: &RepairSpec,
    (subject, number): (Subject<'_>, usize),
    (take, runs): (&Path, &[Run]),
    progress: &mut Progress<'_>,
) -> Result<Seed, Fault> {
    let seed = |candidate| spec.seed.derive(&format!("face {number}"), candidate);
    let length = |run: &&Run| run.frames.end - run.frames.start;
    let Some(run) = runs.iter().max_by_key(length).filter(|_| spec.candidates > 1) else { return Ok(seed(0)) };
    let at = (run.frames.start + run.frames.end) / 2;
    let Some(before) = frame(&mut VideoReader::open(take)?, at)? else { return Ok(seed(0)) };
    let (place, profile) = (run.at(at), profile(bench, subject)?);
    let mut best = (f32::NEG_INFINITY, seed(0));
    for candidate in 0..spec.candidates {
        let artist = Artist::new(bench, spec, subject, seed(candidate))?;
        let part = candidate as f32 / spec.candidates as f32;
        let message = format!("noise {} of {}", candidate + 1, spec.candidates);
        let mut step = |_| -> ControlFlow<()> { progress(FOLLOWING + (CHOSEN - FOLLOWING) * part, &message) };
        let painted = artist.paint(&before, &place, &mut step)?;
        let mut after = before.clone();
        artist.put_back(&mut after, &place, &painted, 1.0);
        let good = goodness(bench, &after, &place.face, profile.as_ref())?;
        if good > best.0 {
            best = (good, seed(candidate));
        }
        if profile.is_none() && good == 0.0 {
            break;
        }
    }
    Ok(best.1)
}

/// Whom a face is to be like; none where a figure is to go, or the character has no profile.
fn profile(bench: &Bench, subject: Subject<'_>) -> Result<Option<Profile>, Fault> {
    let Subject::Face(face) = subject else { return Ok(None) };
    face.identity.as_ref().map(|who| bench.profile(who.profile)).transpose()
}

/// How good a frame is where something was made anew: the face's cosine to the profile; without one, 0 if no face is left, else
/// less by how sure the detector is of it.
fn goodness(bench: &mut Bench, after: &RgbImage, place: &Box2, profile: Option<&Profile>) -> Result<f32, Fault> {
    let threshold = bench.models.pack.identity.detect_score;
    let (detector, embedder) = bench.models.faces()?;
    let there =
        detector.detect(after, threshold)?.into_iter().filter(|found| share_inside(&found.bbox, place) >= THERE);
    let Some(face) = there.max_by(|a, b| a.score.total_cmp(&b.score)) else {
        return Ok(if profile.is_some() { f32::MIN } else { 0.0 });
    };
    let Some(profile) = profile else { return Ok(-face.score) };
    let embedding = embedder.embed(&[align(after, &face.landmarks, ALIGNED)])?.remove(0);
    Ok(profile.cosine(&embedding, face.yaw()).0)
}
