//! How many generated frames that the gate rejects pass it after one repair.

use clap::Args;
use greenroom_domain::{
    CameraMove, CastMember, CharacterScore, Decision, Digest, FaceRepair, FigureRemoval, Fps, Frames, GenerateSpec,
    IdentityPrompt, Keyframing, Pixels, Prompt as Caption, RepairDefaults, RepairSpec, Settings, Spec, Verdict,
};
use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use crate::{
    Fault,
    drawings::{Drawings, Prompt},
    say,
    sheet::Sheet,
    stage::{SHOT, Stage, seed},
};

/// On how many frames, and with what other than the pack says.
#[derive(Args)]
pub(crate) struct Options {
    /// Rejected frames that are repaired.
    #[arg(long, default_value_t = 100, value_name = "N")]
    frames: usize,
    /// Every prompt is tried with so many seeds at most.
    #[arg(long, default_value_t = 6, value_name = "N")]
    seeds: u32,
    /// Side of the square around a face, instead of the pack's.
    #[arg(long, value_name = "X")]
    crop: Option<f32>,
    /// Share of the steps, instead of the pack's.
    #[arg(long, value_name = "X")]
    strength: Option<f32>,
    /// Weight of the identity, instead of the pack's.
    #[arg(long, value_name = "X")]
    identity_scale: Option<f32>,
    /// Noises to choose from, instead of the pack's number.
    #[arg(long, value_name = "N")]
    candidates: Option<u32>,
    /// A picture of the frames before and after, to look at.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
}

/// What came of the repaired frames.
#[derive(Default)]
struct Outcome {
    frames: usize,
    accepted: usize,
    /// Cosine after, less that before.
    gains: Vec<f64>,
    seconds: Vec<f64>,
}

pub(crate) fn measure(stage: &mut Stage, drawings: &Drawings, options: &Options) -> Result<(), Fault> {
    let cast = cast(stage, drawings);
    let mut sheet = options.sheet.as_ref().map(|_| Sheet::default());
    let (mut outcome, mut characters) = (Outcome::default(), BTreeMap::<u64, usize>::new());
    let mut scores: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    let tries = (1..=options.seeds).flat_map(|round| drawings.prompts.iter().enumerate().map(move |p| (round, p)));
    for (round, (number, prompt)) in tries {
        if outcome.frames >= options.frames {
            break;
        }
        let Some(who) = cast.get(&prompt.identity) else { continue };
        let take = stage.film(generate(stage, prompt, who, number, round))?;
        let before = stage.judge(take, who, gate())?;
        scores.entry(number).or_default().extend(score(&before));
        if !matches!(before.decision, Decision::Reject { .. }) {
            continue;
        }
        *characters.entry(prompt.identity).or_default() += 1;
        outcome.frames += 1;
        let (after, repaired) = outcome.repair(stage, (prompt, who), (take, &before), options)?;
        if let (Some(sheet), Some(repaired)) = (&mut sheet, repaired) {
            sheet.add(&stage.first_frame(take)?, &stage.first_frame(repaired)?, &after);
        }
        eprintln!("frame {} of {}: {before} → {after}", outcome.frames, options.frames);
    }
    if let (Some(sheet), Some(file)) = (sheet, &options.sheet) {
        sheet.save(file)?;
    }
    outcome.say(characters.len());
    say("seed_noise_idr", noise(scores.values().map(|s| s.iter().map(|s| s.0).collect())), "1");
    say("seed_noise_cosine", noise(scores.values().map(|s| s.iter().map(|s| s.1).collect())), "1");
    Ok(())
}

impl Outcome {
    /// Repairs a take as the farm would; the take stays as it is where the farm would not try.
    fn repair(
        &mut self,
        stage: &mut Stage,
        (prompt, who): (&Prompt, &CastMember),
        (take, before): (Digest, &Verdict),
        options: &Options,
    ) -> Result<(Verdict, Option<Digest>), Fault> {
        let Some(spec) = repair(stage, prompt, who, take, before, options) else { return Ok((before.clone(), None)) };
        let started = Instant::now();
        let repaired = stage.film(spec)?;
        self.seconds.push(started.elapsed().as_secs_f64());
        let after = stage.judge(repaired, who, gate())?;
        self.accepted += usize::from(after.decision.is_accept());
        if let (Some(before), Some(after)) = (score(before), score(&after)) {
            self.gains.push(after.1 - before.1);
        }
        Ok((after, Some(repaired)))
    }

    fn say(&self, characters: usize) {
        let share = (self.frames > 0).then(|| self.accepted as f64 / self.frames as f64);
        say("repair_rate", share, "1");
        say("repair_frames", Some(self.frames as f64), "1");
        say("repair_characters", Some(characters as f64), "1");
        say("repair_cosine_gain", mean(&self.gains), "1");
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        say("seconds_per_repair", seconds.get(seconds.len() / 2).copied(), "s");
    }
}

fn cast(stage: &mut Stage, drawings: &Drawings) -> BTreeMap<u64, CastMember> {
    let mut cast = BTreeMap::new();
    for (&identity, references) in &drawings.references {
        match stage.profile(identity, references) {
            Ok(member) => drop(cast.insert(identity, member)),
            // A person would give another picture.
            Err(fault) => eprintln!("left out: {fault}"),
        }
    }
    cast
}

fn gate() -> f32 {
    Settings::default().gate
}

/// One frame, as a shot's first take is asked for.
fn generate(stage: &Stage, prompt: &Prompt, who: &CastMember, number: usize, round: u32) -> Spec {
    let (pack, settings) = (&stage.bench.models.pack, Settings::default());
    Spec::Generate(GenerateSpec {
        pack: pack.digest(),
        shot: SHOT,
        take: 1,
        prompt: caption(stage, prompt.text.clone()),
        identity: Some(identity(who, pack.diffusion.identity_scale)),
        people: vec![],
        seed: seed(&format!("prompt {number}"), round),
        size: Pixels { width: settings.size.0, height: settings.size.1 },
        fps: Fps::FILM,
        duration: Frames(1),
        keyframes: Keyframing::Still,
        camera: CameraMove::Static,
        steps: pack.diffusion.steps,
        guidance: pack.diffusion.guidance,
        control: None,
        lora: None,
    })
}

/// Its repair, as it is asked for after a rejection; none where the face is not what is wrong.
fn repair(
    stage: &Stage,
    prompt: &Prompt,
    who: &CastMember,
    take: Digest,
    before: &Verdict,
    options: &Options,
) -> Option<Spec> {
    let pack = &stage.bench.models.pack;
    let RepairDefaults { crop, strength, identity_scale, candidates, .. } = pack.diffusion.repair;
    let scale = options.identity_scale.unwrap_or(identity_scale);
    let mendable = before.mendable();
    if mendable.is_empty() {
        return None;
    }
    let face = |(character, seen): (&str, _)| FaceRepair {
        character: character.to_owned(),
        prompt: caption(stage, prompt.close()),
        identity: Some(identity(who, scale)),
        lora: None,
        seen,
    };
    let figure = |(character, seen, beside): (&str, _, _)| FigureRemoval {
        character: character.to_owned(),
        prompt: caption(stage, prompt.vacant()),
        seen,
        beside,
    };
    Some(Spec::Repair(RepairSpec {
        pack: pack.digest(),
        shot: SHOT,
        take: 2,
        of: 1,
        video: take,
        faces: mendable.faces.into_iter().map(face).collect(),
        figures: mendable.figures.into_iter().map(figure).collect(),
        seed: seed("repair", 2),
        keyframes: Keyframing::Still,
        crop: options.crop.unwrap_or(crop),
        strength: options.strength.unwrap_or(strength),
        candidates: options.candidates.unwrap_or(candidates),
        steps: pack.diffusion.steps,
        guidance: pack.diffusion.guidance,
    }))
}

fn caption(stage: &Stage, positive: String) -> Caption {
    Caption { positive, negative: stage.bench.models.pack.diffusion.negative.clone(), people: vec![] }
}

fn identity(who: &CastMember, scale: f32) -> IdentityPrompt {
    IdentityPrompt { character: who.character.clone(), profile: who.profile, scale }
}

/// IDR and cosine of the expected character, where it was scored.
fn score(verdict: &Verdict) -> Option<(f64, f64)> {
    let scored = |c: &CharacterScore| Some((f64::from(c.p10?.0), f64::from(c.cosine?.0)));
    verdict.characters.iter().find(|c| c.expected).and_then(scored)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation within groups of equal prompts, over all groups; none where no prompt had two seeds.
fn noise(groups: impl Iterator<Item = Vec<f64>>) -> Option<f64> {
    let (mut squares, mut free) = (0.0, 0);
    for group in groups.filter(|group| group.len() > 1) {
        let middle = mean(&group)?;
        squares += group.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
        free += group.len() - 1;
    }
    (free > 0).then(|| (squares / free as f64).sqrt())
}
