//! LoRA → what it brings: equal prompts and seeds without it and with it, judged as takes are, by references that it never saw.

use greenroom_diffusion::Request;
use greenroom_domain::{Calibration, Fps, LoraPrompt, LoraProof, Prompt, ProveSpec, TaskOutput, asked};
use greenroom_identity::{FoundFace, JudgeInput, Profile, SeenFace, Wanted, align, distinct, judge, quality};
use greenroom_training::{dataset::look_alike, proof::lower_bound};
use image::{RgbImage, imageops};
use std::collections::BTreeMap;

use super::{Bench, Progress, generate, go_on};
use crate::{clock::Timings, fault::Fault};

/// Side of the embedder's input, pixels.
const ALIGNED: u32 = 112;
/// Pictures are compared with each other at this size.
const SMALL: u32 = 32;

/// One picture, and how good it is.
struct Shown {
    picture: RgbImage,
    /// 0 where the character is not found.
    idr: f32,
    accepted: bool,
    /// How much of what its caption asks is seen, 0 to 1.
    adherence: Option<f32>,
}

/// What was made in one way: for each prompt a picture of every seed.
type Made = Vec<Vec<Shown>>;

/// With what pictures are made: as in takes with the identity tokens and maybe a LoRA, or by the caption alone.
enum With {
    Identity(Option<LoraPrompt>),
    TextAlone,
}

pub(super) fn run(bench: &mut Bench, spec: &ProveSpec, progress: &mut Progress<'_>) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let judges = Judges { profile: (spec.character.clone(), profile(bench, spec)?), curve: curve(bench, spec)? };
    let prompt = |number, lora| LoraPrompt { character: spec.character.clone(), number, lora, weight: 1.0 };
    let in_force = spec.against.as_ref().map(|used| prompt(used.number, used.lora));
    let parts = if spec.text_alone { 3.0 } else { 2.0 };
    let mut make = |with: With, number: f32, name: &str| {
        let mut part = |done: f32| progress((number + done) / parts, name);
        timings.of("pictures", || pictures(bench, spec, &with, &judges, &mut part))
    };
    let before = make(With::Identity(in_force), 0.0, "what is in force")?;
    let after = make(With::Identity(Some(prompt(0, spec.lora))), 1.0, "the new LoRA")?;
    let text = spec.text_alone.then(|| make(With::TextAlone, 2.0, "the caption alone")).transpose()?;
    let gain = |(before, after): (&Vec<Shown>, &Vec<Shown>)| {
        before.iter().zip(after).map(|(before, after)| after.idr - before.idr).collect()
    };
    let gains: Vec<Vec<f32>> = before.iter().zip(&after).map(gain).collect();
    let trained_on = bench.dataset(spec.dataset)?;
    let trained_on = trained_on.pictures.iter().map(|picture| bench.picture(picture.picture, "training picture"));
    let trained_on = trained_on.collect::<Result<Vec<_>, Fault>>()?;
    let copies = after.iter().flatten().filter(|made| trained_on.iter().any(|known| look_alike(&made.picture, known)));
    let proof = LoraProof {
        against: spec.against.as_ref().map(|used| used.number),
        pictures: gains.iter().map(Vec::len).sum::<usize>() as u32,
        before: mean_idr(&before),
        after: mean_idr(&after),
        gain_lower: lower_bound(&gains, spec.seed.0),
        accepted: (accepted(&before), accepted(&after)),
        text_alone: text.as_ref().map(mean_idr),
        adherence: adherence(&before).zip(adherence(&after)),
        diversity: (diversity(&before), diversity(&after)),
        copies: copies.count() as u32,
    };
    let rows: Vec<&Made> = text.iter().chain([&before, &after]).collect();
    let sheet = bench.keep_png(&sheet(&rows))?;
    Ok(TaskOutput::Proof { proof, sheet, timings: timings.seconds() })
}

/// By what pictures are judged.
struct Judges {
    /// Of the references that were held out, by the character's name.
    profile: (String, Profile),
    curve: Calibration,
}

/// Of the references that were held out.
fn profile(bench: &mut Bench, spec: &ProveSpec) -> Result<Profile, Fault> {
    let (embedder, pack) = (bench.models.embedder_digest()?, bench.models.name());
    let threshold = bench.models.pack.identity.detect_score;
    let mut faces = Vec::new();
    for (name, digest) in &spec.held_out {
        let picture = bench.picture(*digest, name)?;
        let (detector, embed) = bench.models.faces()?;
        let found = distinct(&detector.detect(&picture, threshold)?);
        let Some(face) = found.iter().max_by(|a, b| a.short_side().total_cmp(&b.short_side())) else { continue };
        let aligned = align(&picture, &face.landmarks, ALIGNED);
        let measured = quality(&picture, face, &aligned);
        faces.push((embed.embed(&[aligned])?.remove(0), measured));
    }
    Ok(Profile::build(&spec.character, &pack, embedder, faces)?.0)
}

fn curve(bench: &Bench, spec: &ProveSpec) -> Result<Calibration, Fault> {
    match &spec.calibration {
        Some(used) => Ok(bench.calibration(used.calibration)?.curve),
        None => Ok(bench.models.pack.identity.calibration.clone()),
    }
}

fn pictures(
    bench: &mut Bench,
    spec: &ProveSpec,
    with: &With,
    judges: &Judges,
    part: &mut dyn FnMut(f32) -> std::ops::ControlFlow<()>,
) -> Result<Made, Fault> {
    let (identity, lora) = match with {
        With::Identity(lora) => (generate::tokens(bench, &spec.identity)?, lora.as_ref()),
        With::TextAlone => (None, None),
    };
    let (width, height) = bench.models.pack.diffusion.native_sizes[0];
    let total = spec.prompts.len() as u32 * spec.seeds;
    let mut made = Made::new();
    for (number, Prompt { positive, negative, .. }) in (0..).zip(&spec.prompts) {
        let mut row = Vec::new();
        for seed in 0..spec.seeds {
            go_on(part((number * spec.seeds + seed) as f32 / total as f32))?;
            let seed = spec.seed.derive("prompt", number).derive("seed", seed).0;
            let request = Request {
                negative: negative.clone(),
                guidance: spec.guidance,
                identity: identity.clone(),
                ..Request::new(positive, seed, (width, height), spec.steps)
            };
            let diffusion = bench.generator(lora)?;
            let picture = diffusion.generate(&request, &mut |_| std::ops::ControlFlow::Continue(()))?.picture;
            row.push(look(bench, picture, (positive, spec.gate), judges)?);
        }
        made.push(row);
    }
    Ok(made)
}

/// Judges a picture as a take of one frame. Pictures are small, so they are looked at as large as a take is.
fn look(bench: &mut Bench, picture: RgbImage, (caption, gate): (&str, f32), judges: &Judges) -> Result<Shown, Fault> {
    let large = imageops::resize(&picture, picture.width() * 4, picture.height() * 4, imageops::FilterType::CatmullRom);
    let identity = &bench.models.pack.identity;
    let wanted = Wanted { score: identity.detect_score, embedded_from: identity.smallest_face };
    let mut once = Some(large);
    let pipeline = bench.models.face_pipeline()?;
    let mut found = pipeline.look(wanted, || Ok::<_, Fault>(once.take()))?.pop().unwrap_or_default();
    found.sort_by(|a, b| b.face.short_side().total_cmp(&a.face.short_side()));
    let square = found.first().and_then(|largest| largest.square.clone());
    let verdict = judge(&JudgeInput {
        frames: &[(0, found.into_iter().map(seen).collect())],
        cuts: &[],
        fps: Fps::FILM,
        cast: std::slice::from_ref(&judges.profile),
        expected: std::slice::from_ref(&judges.profile.0),
        gate,
        calibration: &judges.curve,
        curves: &BTreeMap::new(),
        scoring: &bench.models.pack.identity.scoring,
        models: bench.models.used()?,
    });
    let score = verdict.characters.first().and_then(|character| character.p10);
    let adherence = follows(bench, square.as_ref(), caption)?;
    Ok(Shown { picture, idr: score.map_or(0.0, |idr| idr.0), accepted: verdict.decision.is_accept(), adherence })
}

fn seen(FoundFace { face, embedding, .. }: FoundFace) -> SeenFace {
    SeenFace { frame: 0, bbox: face.bbox, detection: face.score, yaw: face.yaw(), embedding }
}

/// How probable the classifier finds what the caption asks, 0 without a face; none where there is no classifier, or nothing that
/// it knows is asked.
fn follows(bench: &mut Bench, face: Option<&RgbImage>, caption: &str) -> Result<Option<f32>, Fault> {
    let Some(how) = &bench.models.pack.attributes else { return Ok(None) };
    let asked = asked(caption, &how.anchors, &how.labels);
    let Some(classifier) = bench.models.classifier()?.filter(|_| !asked.is_empty()) else { return Ok(None) };
    let shown = classifier.classify_squares(&Vec::from_iter(face.cloned()))?.pop();
    let probability = |(name, label): (&String, &String)| {
        let all = &shown.as_ref()?.0.get(name)?.all;
        all.iter().find(|(other, _)| other == label).map(|(_, probability)| *probability)
    };
    Ok(Some(mean(asked.iter().map(|asked| probability(asked).unwrap_or(0.0)))))
}

fn accepted(made: &Made) -> u32 {
    made.iter().flatten().filter(|shown| shown.accepted).count() as u32
}

fn mean_idr(made: &Made) -> f32 {
    mean(made.iter().flatten().map(|shown| shown.idr))
}

/// None where of no picture anything was asked.
fn adherence(made: &Made) -> Option<f32> {
    let told: Vec<f32> = made.iter().flatten().filter_map(|shown| shown.adherence).collect();
    (!told.is_empty()).then(|| mean(told.into_iter()))
}

/// Mean distance between pictures of one prompt, 0 to 1: the mean difference of their pixels at a small size.
fn diversity(made: &Made) -> f32 {
    let small = |picture: &RgbImage| imageops::resize(picture, SMALL, SMALL, imageops::FilterType::Triangle);
    let apart = |a: &RgbImage, b: &RgbImage| {
        mean(a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f32::from(a.abs_diff(*b)) / 255.0))
    };
    let pairs = made.iter().flat_map(|row| {
        let row: Vec<_> = row.iter().map(|shown| small(&shown.picture)).collect();
        (0..row.len())
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| apart(&row[a], &row[b]))
            .collect::<Vec<_>>()
    });
    mean(pairs)
}

/// Of every prompt the picture of its first seed, a row for each way.
fn sheet(rows: &[&Made]) -> RgbImage {
    let size = rows.first().and_then(|made| made.first()?.first()).map_or((1, 1), |shown| shown.picture.dimensions());
    let columns = rows.iter().map(|made| made.len()).max().unwrap_or(0).max(1);
    let mut all = RgbImage::new(size.0 * columns as u32, size.1 * rows.len().max(1) as u32);
    for (y, made) in (0..).zip(rows) {
        for (x, first) in (0..).zip(made.iter().filter_map(|row| row.first())) {
            imageops::replace(&mut all, &first.picture, i64::from(size.0) * x, i64::from(size.1) * y);
        }
    }
    all
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + f64::from(value), count + 1));
    (sum / f64::from(count)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{
        run as run_task,
        validate::tests::{Stage, go},
    };
    use greenroom_domain::{
        CollectSpec, Cosine, Digest, Framing, IdentityPrompt, LoraRecipe, LoraViews, Seed, Spec, TrainSpec,
    };

    impl Stage {
        fn task(&mut self, spec: Spec) -> TaskOutput {
            run_task(&mut self.bench, spec, &mut go).unwrap()
        }

        fn identity(&self, who: &str) -> IdentityPrompt {
            let member = self.cast.iter().find(|member| member.character == who).unwrap();
            IdentityPrompt { character: who.into(), profile: member.profile, scale: 1.0 }
        }

        /// A LoRA of a character from so many of its references, and what it was trained on.
        fn lora(&mut self, who: &str, references: usize, (steps, learning_rate): (u32, f64)) -> (Digest, Digest) {
            let (pack, character, identity) = (self.bench.models.pack.digest(), who.to_owned(), self.identity(who));
            let references = self.references(&who.to_lowercase()).into_iter().take(references).collect();
            let (caption, profile, outlier) = ("close shot of a person".to_owned(), identity.profile, Cosine(0.5));
            let collect = CollectSpec {
                pack,
                character: character.clone(),
                profile,
                references,
                caption: caption.clone(),
                takes: vec![],
                outlier,
                resolution: 64,
            };
            let TaskOutput::Dataset { dataset, .. } = self.task(Spec::Collect(collect)) else { panic!("no dataset") };
            let recipe = LoraRecipe {
                rank: 4,
                alpha: 4.0,
                steps,
                batch: 1,
                resolution: 64,
                learning_rate,
                caption_dropout: 0.0,
                convolutions: true,
                identity_scale: Some(0.5),
                begin: 0.0,
                views: LoraViews::default(),
            };
            let captions = vec![(Framing::Close, caption)];
            let train = TrainSpec { pack, character, dataset, recipe, captions, identity, seed: Seed(3) };
            let TaskOutput::Lora { lora, .. } = self.task(Spec::Train(train)) else { panic!("no LoRA") };
            (lora, dataset)
        }

        /// What a LoRA brings MARA, of two captions and two seeds in four steps.
        fn prove(&mut self, lora: Digest, dataset: Digest) -> Result<LoraProof, String> {
            let prompt = |positive: &str| Prompt { positive: positive.into(), negative: String::new(), people: vec![] };
            let captions = [
                "close shot of a young woman, blue curly hair, fair skin, blue eyes, green turtleneck, neutral, studio, day",
                "medium shot of a young woman, blue curly hair, fair skin, blue eyes, white t-shirt, smiling, beach, day",
            ];
            let prove = ProveSpec {
                pack: self.bench.models.pack.digest(),
                character: "MARA".into(),
                lora,
                against: None,
                dataset,
                identity: self.identity("MARA"),
                held_out: self.references("mara").split_off(2),
                calibration: None,
                gate: 0.75,
                prompts: captions.map(prompt).into(),
                seeds: 2,
                seed: Seed(1),
                steps: 4,
                guidance: 2.5,
                text_alone: true,
            };
            match run_task(&mut self.bench, Spec::Prove(prove), &mut go) {
                Ok(TaskOutput::Proof { proof, .. }) => Ok(proof),
                Ok(other) => panic!("{other:?}"),
                Err(fault) => Err(fault.0.to_string()),
            }
        }
    }

    #[test]
    fn a_lora_of_somebody_else_and_one_that_knows_a_single_picture_are_not_deployed() {
        let mut stage = Stage::new();
        let (other, dataset) = stage.lora("TOBIN", 3, (20, 1e-2));
        let proof = stage.prove(other, dataset).unwrap();
        assert!(!proof.faults().is_empty(), "{proof:?}");
        let (overfitted, dataset) = stage.lora("MARA", 1, (40, 2e-2));
        let proof = stage.prove(overfitted, dataset).unwrap();
        assert!(!proof.faults().is_empty(), "{proof:?}");
        let asked = proof.adherence.unwrap();
        assert!((0.0..=1.0).contains(&asked.0) && (0.0..=1.0).contains(&proof.text_alone.unwrap()), "{proof:?}");
    }

    #[test]
    fn a_lora_with_a_value_that_is_no_number_is_refused_before_it_draws() {
        let mut stage = Stage::new();
        let (lora, dataset) = stage.lora("MARA", 1, (1, 1e-3));
        let bytes = stage.bench.runtime.block_on(stage.bench.artifacts.get_bytes(lora, 64 << 20)).unwrap();
        let mut bytes = bytes.to_vec();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        let poisoned = stage.bench.runtime.block_on(stage.bench.artifacts.put_bytes(bytes.into())).unwrap();
        let refused = stage.prove(poisoned, dataset).unwrap_err();
        assert!(refused.contains("holds a value that is not a number"), "{refused}");
    }
}
