//! A LoRA's way: collect pictures, train on them if they are enough, prove the result, and put it in force if it is better.
//!
//! ```text
//! collect ──► more than the project asks, or asked for by hand ──► train ──┐
//!        └──► fewer: the job ends, nothing was trained                     ├──► prove ──► active, or retired with its reasons
//! convert: one that was given, or an earlier version at a lower rank ──────┘
//!        └──► for another program: the job ends with the file
//! ```

use greenroom_domain::{
    CalibrationUsed, Character, CollectSpec, CollectTake, ConvertSpec, Cosine, Digest, FaceAt, FrameScore, Framing,
    IdentityPrompt, JobId, LORA_HALF_FROM, LoraDefaults, LoraMade, LoraNaming, LoraPrecision, LoraProof, LoraRecipe,
    LoraState, LoraTier, LoraUsed, LoraVersion, Prompt, ProveSpec, Seed, Spec, Task, TaskId, TaskKind, TaskOutput,
    Timestamp, TrainSpec, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::{compile::blank, settle::Next};

/// Everything that a LoRA's job is made from. Its digest names the request, so nothing is trained twice from the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraPlan {
    /// Whose.
    pub character: String,
    /// Of which revision the references are.
    pub revision: u32,
    /// The pack's digest.
    pub pack: Digest,
    /// The identity profile.
    pub profile: Digest,
    /// Weight of its tokens in takes.
    pub identity_scale: f32,
    /// The character's own curve; none is the pack's.
    pub calibration: Option<CalibrationUsed>,
    /// The IDR that a picture needs to be accepted, 0 to 1.
    pub gate: f32,
    /// The cosine that the gate asks for: a face that is less alike is not trained on.
    pub outlier: Cosine,
    /// Every reference, (file name, picture).
    pub references: Vec<(String, Digest)>,
    /// Captions of references by framing, the nearest first.
    pub captions: Vec<(Framing, String)>,
    /// Accepted takes with the character, oldest first.
    pub takes: Vec<CollectTake>,
    /// Training starts by itself with more pictures than this; none where a person has asked for it.
    pub more_than: Option<u32>,
    /// The tier; none is the highest that the references allow.
    pub tier: Option<LoraTier>,
    /// The pack's recipes.
    pub recipes: LoraDefaults,
    /// What is in force now.
    pub against: Option<LoraUsed>,
    /// What it is proved on.
    pub prompts: Vec<Prompt>,
    /// Seeds of each prompt.
    pub seeds: u32,
    /// Everything that is random derives from this.
    pub seed: Seed,
    /// Sampler steps of the proof.
    pub steps: u32,
    /// Guidance of the proof.
    pub guidance: f32,
    /// Whether the proof also tells what the caption alone reaches.
    #[serde(default)]
    pub text_alone: bool,
    /// What is there already; none: it is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<LoraFrom>,
}

/// A LoRA that is there already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraFrom {
    /// The adapter (safetensors).
    pub lora: Digest,
    /// What it was trained on; of one that was given, nothing that is known.
    pub dataset: Digest,
    /// How it was trained; of one that was given, the pack's recipe, whose rank and alpha give way to the file's.
    pub recipe: LoraRecipe,
    /// What becomes of it.
    pub becomes: Becomes,
}

/// What becomes of a LoRA that is there already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "becomes", rename_all = "snake_case")]
pub enum Becomes {
    /// A version, in force if it is better.
    Given {
        /// The file's name as it was given.
        name: String,
    },
    /// A version of a lower rank, proved against the one that it is made from and never put in force by itself.
    Shrunk {
        /// Number of that version.
        of: u32,
        /// Rank that no layer passes.
        rank: u32,
    },
    /// A file for another program.
    Exported {
        /// How its layers are named.
        naming: LoraNaming,
        /// How its numbers are stored.
        precision: LoraPrecision,
    },
}

/// One in so many references is kept for scoring, at least one.
const HELD_OUT: usize = 5;
/// Frames of one take that may join a dataset: neighbours look alike.
const PER_TAKE: usize = 3;
/// IDR above which an accepted take's face is trained on.
const GOOD: f32 = 0.85;

impl LoraPlan {
    /// References that are kept for scoring: every fifth, so that adding one moves no other.
    #[must_use]
    pub fn held_out(&self) -> Vec<(String, Digest)> {
        self.split(true)
    }

    /// References that may be trained on.
    #[must_use]
    pub fn trained_on(&self) -> Vec<(String, Digest)> {
        self.split(false)
    }

    fn split(&self, held_out: bool) -> Vec<(String, Digest)> {
        let numbered = self.references.iter().enumerate();
        numbered.filter(|(n, _)| n.is_multiple_of(HELD_OUT) == held_out).map(|(_, r)| r.clone()).collect()
    }

    /// The tier that it is trained by; none where the references allow none, or not the one that was asked for.
    #[must_use]
    pub fn tier(&self) -> Option<LoraTier> {
        let most = LoraTier::of(self.references.len())?;
        Some(self.tier.unwrap_or(most)).filter(|tier| *tier <= most)
    }

    /// How many pictures there can be at most to train on.
    #[must_use]
    pub fn most_pictures(&self) -> usize {
        let real = self.trained_on().len();
        let made = self.takes.iter().map(|take| take.faces.len()).sum::<usize>();
        real + if real >= LORA_HALF_FROM { made.min(real) } else { made }
    }

    fn collect(&self, tier: LoraTier) -> CollectSpec {
        CollectSpec {
            pack: self.pack,
            character: self.character.clone(),
            profile: self.profile,
            references: self.trained_on(),
            caption: self.captions.first().map_or_else(String::new, |(_, caption)| caption.clone()),
            takes: self.takes.clone(),
            outlier: self.outlier,
            resolution: self.recipes.recipe(tier).resolution,
        }
    }

    fn convert(&self, from: &LoraFrom) -> ConvertSpec {
        let (rank, naming, precision) = match from.becomes {
            Becomes::Given { .. } => (None, LoraNaming::Kohya, LoraPrecision::F32),
            Becomes::Shrunk { rank, .. } => (Some(rank), LoraNaming::Kohya, LoraPrecision::F32),
            Becomes::Exported { naming, precision } => (None, naming, precision),
        };
        ConvertSpec { pack: self.pack, character: self.character.clone(), lora: from.lora, rank, naming, precision }
    }

    fn identity(&self) -> IdentityPrompt {
        IdentityPrompt { character: self.character.clone(), profile: self.profile, scale: self.identity_scale }
    }

    fn prove(&self, lora: Digest, dataset: Digest) -> ProveSpec {
        ProveSpec {
            pack: self.pack,
            character: self.character.clone(),
            lora,
            against: self.against.clone(),
            dataset,
            identity: self.identity(),
            held_out: self.held_out(),
            calibration: self.calibration.clone(),
            gate: self.gate,
            prompts: self.prompts.clone(),
            seeds: self.seeds,
            seed: self.seed.derive("proof", 0),
            steps: self.steps,
            guidance: self.guidance,
            text_alone: self.text_alone,
        }
    }
}

/// Where a character is so well seen in an accepted take that it may be trained on: a few frames far from each other, the best of
/// each part of the take. Nothing where the take was not accepted.
#[must_use]
pub fn worth_training_on(take: Digest, caption: &str, verdict: &Verdict, character: &str) -> Option<CollectTake> {
    let of = |frame: &FrameScore| {
        let face = frame.faces.iter().find(|face| face.character.as_deref() == Some(character))?;
        let idr = face.idr.filter(|idr| idr.0 > GOOD)?;
        Some((idr.0, FaceAt { frame: frame.frame, bbox: face.bbox }))
    };
    let parts = verdict.frames.len().div_ceil(PER_TAKE).max(1);
    let best = |part: &[FrameScore]| part.iter().filter_map(of).max_by(|a, b| a.0.total_cmp(&b.0));
    let mut faces: Vec<_> = verdict.frames.chunks(parts).filter_map(best).collect();
    faces.sort_by(|a, b| b.0.total_cmp(&a.0));
    let faces: Vec<_> = faces.into_iter().map(|(_, face)| face).collect();
    let wanted = verdict.decision.is_accept() && !faces.is_empty();
    wanted.then(|| CollectTake { take, caption: caption.to_owned(), faces })
}

/// The first task of a LoRA's job; none where the plan's references allow no tier.
#[must_use]
pub fn compile_lora(plan: &LoraPlan, id: TaskId, job: JobId, now: Timestamp) -> Option<Task> {
    let spec = match &plan.from {
        Some(from) => Spec::Convert(plan.convert(from)),
        None => Spec::Collect(plan.collect(plan.tier()?)),
    };
    Some(Task { spec: Some(spec.clone()), ..blank(id, job, spec.kind(), now) })
}

/// What follows in a LoRA's job when its last task is done.
pub(crate) fn follow(
    plan: &LoraPlan,
    tasks: &[Task],
    job: JobId,
    now: Timestamp,
    new_id: &mut dyn FnMut() -> TaskId,
) -> Next {
    let spec = match tasks.last().and_then(|last| Some((last, last.output()?))) {
        Some((_, TaskOutput::Dataset { dataset, pictures, .. })) => train(plan, *dataset, pictures.len()),
        Some((Task { spec: Some(Spec::Train(train)), .. }, TaskOutput::Lora { lora, .. })) => {
            Some(Spec::Prove(plan.prove(*lora, train.dataset)))
        }
        Some((_, TaskOutput::Converted { lora, .. })) => {
            let from = plan.from.as_ref().filter(|from| !matches!(from.becomes, Becomes::Exported { .. }));
            from.map(|from| Spec::Prove(plan.prove(*lora, from.dataset)))
        }
        _ => None,
    };
    let task = spec.map(|spec| Task { spec: Some(spec.clone()), ..blank(new_id(), job, spec.kind(), now) });
    Next { insert: task.into_iter().collect(), ..Next::default() }
}

fn train(plan: &LoraPlan, dataset: Digest, pictures: usize) -> Option<Spec> {
    let enough = plan.more_than.is_none_or(|more_than| pictures > more_than as usize);
    let tier = plan.tier().filter(|_| enough)?;
    let (recipe, seed) = (*plan.recipes.recipe(tier), plan.seed.derive("lora", 0));
    let (character, captions, identity) = (plan.character.clone(), plan.captions.clone(), plan.identity());
    Some(Spec::Train(TrainSpec { pack: plan.pack, character, dataset, recipe, captions, identity, seed }))
}

/// What a LoRA's job makes of its character once the proof is there: a version more, in force if nothing speaks against it. None
/// where it is there already, or the character is another by now.
#[must_use]
pub fn trained(
    character: &Character,
    plan: &LoraPlan,
    tasks: &[Task],
    job: JobId,
    now: Timestamp,
) -> Option<Character> {
    if character.loras.iter().any(|version| version.job == job) || character.revision != plan.revision {
        return None;
    }
    let output = |kind| tasks.iter().find(|task| task.kind == kind).and_then(Task::output);
    let Some(TaskOutput::Proof { proof, sheet, .. }) = output(TaskKind::Prove) else { return None };
    let Made { lora, dataset, recipe, made } = made(plan, &output)?;
    let number = character.loras.last().map_or(1, |last| last.number + 1);
    let state = verdict_on(character, plan, proof);
    let version = LoraVersion {
        number,
        revision: plan.revision,
        pack: plan.pack,
        job,
        made,
        lora,
        dataset,
        recipe,
        proof: proof.clone(),
        sheet: *sheet,
        state: LoraState::Retired { at: now, reasons: vec![] },
        created: now,
    };
    let mut changed = character.clone();
    changed.loras.push(version);
    Some(match state {
        Ok(()) => deployed(&changed, number, now).ok()?,
        Err(reasons) => {
            let last = changed.loras.last_mut()?;
            last.state = LoraState::Retired { at: now, reasons };
            changed
        }
    })
}

/// What a LoRA's job has made.
struct Made {
    lora: Digest,
    dataset: Digest,
    recipe: LoraRecipe,
    made: LoraMade,
}

fn made<'a>(plan: &LoraPlan, output: &impl Fn(TaskKind) -> Option<&'a TaskOutput>) -> Option<Made> {
    let Some(from) = &plan.from else {
        let Some(TaskOutput::Lora { lora, .. }) = output(TaskKind::Train) else { return None };
        let Some(TaskOutput::Dataset { dataset, .. }) = output(TaskKind::Collect) else { return None };
        let recipe = *plan.recipes.recipe(plan.tier()?);
        return Some(Made { lora: *lora, dataset: *dataset, recipe, made: LoraMade::Trained });
    };
    let Some(&TaskOutput::Converted { lora, rank, alpha, .. }) = output(TaskKind::Convert) else { return None };
    let made = match &from.becomes {
        Becomes::Given { name } => LoraMade::Given { name: name.clone() },
        Becomes::Shrunk { of, .. } => LoraMade::Shrunk { of: *of },
        Becomes::Exported { .. } => return None,
    };
    Some(Made { lora, dataset: from.dataset, recipe: LoraRecipe { rank, alpha, ..from.recipe }, made })
}

/// Whether a LoRA may be put in force by itself, or why not.
fn verdict_on(character: &Character, plan: &LoraPlan, proof: &LoraProof) -> Result<(), Vec<String>> {
    if let Some(LoraFrom { becomes: Becomes::Shrunk { of, .. }, .. }) = plan.from {
        let gain = proof.after - proof.before;
        let told = format!(
            "made smaller from version {of}: mean IDR changes by {gain:+.3}; deploy it by hand where that will do"
        );
        return Err(vec![told]);
    }
    let mut reasons = proof.faults();
    let in_force = character.lora(plan.pack).map(|version| version.number);
    if in_force != plan.against.as_ref().map(|used| used.number) {
        let other = in_force.map_or_else(|| "the bare model".to_owned(), |number| format!("version {number}"));
        reasons.push(format!("it was not compared with {other}, which is in force now"));
    }
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// Puts one of a character's LoRAs in force and takes out the one that was; 0 is the bare model.
///
/// # Errors
/// If there is no such version.
pub fn deployed(character: &Character, number: u32, now: Timestamp) -> Result<Character, u32> {
    let mut changed = character.clone();
    let pack = changed.loras.iter().find(|version| version.number == number).map(|version| version.pack);
    if pack.is_none() && number != 0 {
        return Err(number);
    }
    for version in &mut changed.loras {
        let active = version.state.is_active();
        if version.number == number && !active {
            version.state = LoraState::Active { since: now };
        } else if version.number != number && active && pack.is_none_or(|pack| pack == version.pack) {
            let reason = if number == 0 {
                "taken out of force by hand".to_owned()
            } else {
                format!("replaced by version {number}")
            };
            version.state = LoraState::Retired { at: now, reasons: vec![reason] };
        }
    }
    Ok(changed)
}
