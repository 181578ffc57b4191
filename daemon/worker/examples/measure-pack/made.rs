//! Figures of the generator: each picture by text alone and with identity tokens, from the same seed.

use greenroom_diffusion::{IdentityTokens, Request, StableDiffusion};
use greenroom_domain::{Fps, Seed, Settings};
use greenroom_identity::{JudgeInput, Profile, SeenFace, judge};
use image::RgbImage;
use std::{collections::BTreeMap, ops::ControlFlow, time::Instant};

use crate::{
    Fault,
    cast::Cast,
    models::{Models, framed},
    progress, say,
    shown::Answers,
    statistics::{mean, median, share},
    truth::{Prompt, Truth},
};

/// What a caption is held against.
const FOLLOWED: [&str; 3] = ["hair_colour", "glasses", "place"];

/// Whose share of passes is a figure.
const CLOSE: &str = "close";

/// What the gate says of one picture.
struct Score {
    /// 0 where no face was found.
    cosine: f64,
    passes: bool,
    close: bool,
}

/// Measures and prints.
pub(crate) fn measure(models: &mut Models, truth: &Truth, cast: &Cast) -> Result<(), Fault> {
    let diffusion = models.diffusion()?;
    let (mut text, mut identity, mut seconds, mut answers) = (Vec::new(), Vec::new(), Vec::new(), Answers::default());
    for (i, prompt) in truth.prompts.iter().enumerate() {
        let profile = cast.profile(models, prompt.identity)?;
        let tokens = IdentityTokens {
            embedding: profile.centroid.as_slice().to_vec(),
            scale: models.pack.diffusion.identity_scale,
        };
        let by_text = request(models, prompt, i, None);
        let frame = make(&diffusion, &by_text, &mut seconds)?;
        text.push(score(models, prompt, &profile, &frame)?);
        followed(models, prompt, &frame, &mut answers)?;
        let frame = make(&diffusion, &Request { identity: Some(tokens), ..by_text }, &mut seconds)?;
        identity.push(score(models, prompt, &profile, &frame)?);
        progress("pair of pictures", i + 1, truth.prompts.len(), 4);
    }
    if models.classifier.is_some() {
        answers.say("caption_followed");
    }
    let cosine = |scores: &[Score]| mean(&scores.iter().map(|s| s.cosine).collect::<Vec<_>>());
    let (cosine_text, cosine_identity) = (cosine(&text), cosine(&identity));
    let close = |scores: Vec<Score>| share(&scores.into_iter().filter(|s| s.close).collect::<Vec<_>>(), |s| s.passes);
    say("ip_adapter_gain", cosine_text.zip(cosine_identity).map(|(text, identity)| identity - text), "1");
    say("cosine_text", cosine_text, "1");
    say("cosine_identity", cosine_identity, "1");
    say("ip_adapter_pass_rate", close(identity), "1");
    say("pass_rate_text", close(text), "1");
    say("seconds_per_image", median(&seconds), "s");
    Ok(())
}

/// As a generate task asks for the first keyframe of a shot.
fn request(models: &Models, prompt: &Prompt, number: usize, identity: Option<IdentityTokens>) -> Request {
    let pack = &models.pack.diffusion;
    let (seed, size) = (Seed(number as u64).derive("keyframe", 0).0, (prompt.width, prompt.height));
    Request {
        negative: pack.negative.clone(),
        guidance: pack.guidance,
        identity,
        ..Request::new(&prompt.text, seed, size, pack.steps)
    }
}

/// Makes a picture, notes how long that took, and gives it as a frame.
fn make(diffusion: &StableDiffusion, request: &Request, seconds: &mut Vec<f64>) -> Result<RgbImage, Fault> {
    let started = Instant::now();
    let made = diffusion.generate(request, &mut |_| ControlFlow::Continue(()))?;
    seconds.push(started.elapsed().as_secs_f64());
    Ok(framed(&made.picture).0)
}

/// A take of this one frame, as a validate task judges it.
fn score(models: &mut Models, prompt: &Prompt, profile: &Profile, frame: &RgbImage) -> Result<Score, Fault> {
    let mut seen = Vec::new();
    for face in models.find(frame)? {
        let large = face.short_side() >= models.pack.identity.smallest_face;
        let embedding = if large { Some(models.embed(models.aligned(frame, &face.landmarks))?) } else { None };
        seen.push(SeenFace { frame: 0, bbox: face.bbox, detection: face.score, yaw: face.yaw(), embedding });
    }
    let name = profile.character.clone();
    let verdict = judge(&JudgeInput {
        frames: &[(0, seen)],
        cuts: &[],
        fps: Fps::FILM,
        cast: &[(name.clone(), profile.clone())],
        expected: &[name],
        gate: Settings::default().gate,
        calibration: &models.pack.identity.calibration,
        curves: &BTreeMap::new(),
        scoring: &models.pack.identity.scoring,
        models: models.used()?,
    });
    let cosine = verdict.characters.first().and_then(|score| score.cosine).map_or(0.0, |cosine| f64::from(cosine.0));
    Ok(Score { cosine, passes: verdict.decision.is_accept(), close: prompt.shot == CLOSE })
}

/// Reads from the best face whether the caption was followed.
fn followed(models: &mut Models, prompt: &Prompt, frame: &RgbImage, answers: &mut Answers) -> Result<(), Fault> {
    let best: Vec<_> = models.find(frame)?.into_iter().take(1).collect();
    let Some(classifier) = &mut models.classifier else { return Ok(()) };
    let read = classifier.classify(frame, &best)?;
    for attribute in FOLLOWED {
        answers.count(attribute, read.first(), prompt.shows());
    }
    Ok(())
}
