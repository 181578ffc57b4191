//! LoRA → what it brings: equal prompts and seeds without it and with it, scored against references that it never saw.

use greenroom_diffusion::Request;
use greenroom_domain::{Calibration, LoraPrompt, LoraProof, Prompt, ProveSpec, TaskOutput};
use greenroom_identity::{Profile, align, distinct, quality};
use greenroom_training::{dataset::look_alike, proof::lower_bound};
use image::{RgbImage, imageops};

use super::{Bench, Progress, generate, go_on};
use crate::{clock::Timings, fault::Fault};

/// Side of the embedder's input, pixels.
const ALIGNED: u32 = 112;
/// Pictures are compared with each other at this size.
const SMALL: u32 = 32;

/// What was made with one LoRA: a picture and its IDR for each prompt and seed.
type Made = Vec<Vec<(RgbImage, f32)>>;

pub(super) fn run(bench: &mut Bench, spec: &ProveSpec, progress: &mut Progress<'_>) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let (profile, curve) = (profile(bench, spec)?, curve(bench, spec)?);
    let prompt = |number, lora| LoraPrompt { character: spec.character.clone(), number, lora, weight: 1.0 };
    let before = spec.against.as_ref().map(|used| prompt(used.number, used.lora));
    let mut make = |lora: Option<LoraPrompt>, from: f32, name: &str| {
        let mut part = |done: f32| progress(from + done / 2.0, name);
        timings.of("pictures", || pictures(bench, spec, lora.as_ref(), (&profile, &curve), &mut part))
    };
    let before = make(before, 0.0, "what is in force")?;
    let after = make(Some(prompt(0, spec.lora)), 0.5, "the new LoRA")?;
    let gains: Vec<Vec<f32>> =
        before.iter().zip(&after).map(|(b, a)| b.iter().zip(a).map(|(b, a)| a.1 - b.1).collect()).collect();
    let trained_on = bench.dataset(spec.dataset)?;
    let trained_on = trained_on.pictures.iter().map(|picture| bench.picture(picture.picture, "training picture"));
    let trained_on = trained_on.collect::<Result<Vec<_>, Fault>>()?;
    let copies = after.iter().flatten().filter(|made| trained_on.iter().any(|known| look_alike(&made.0, known)));
    let proof = LoraProof {
        against: spec.against.as_ref().map(|used| used.number),
        pictures: gains.iter().map(Vec::len).sum::<usize>() as u32,
        before: mean(before.iter().flatten().map(|made| made.1)),
        after: mean(after.iter().flatten().map(|made| made.1)),
        gain_lower: lower_bound(&gains, spec.seed.0),
        adherence: None,
        diversity: (diversity(&before), diversity(&after)),
        copies: copies.count() as u32,
    };
    let sheet = bench.keep_png(&sheet(&before, &after))?;
    Ok(TaskOutput::Proof { proof, sheet, timings: timings.seconds() })
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
    lora: Option<&LoraPrompt>,
    (profile, curve): (&Profile, &Calibration),
    part: &mut dyn FnMut(f32) -> std::ops::ControlFlow<()>,
) -> Result<Made, Fault> {
    let identity = generate::tokens(bench, &spec.identity)?;
    let (width, height) = bench.models.pack.diffusion.native_sizes[0];
    let total = spec.prompts.len() as u32 * spec.seeds;
    let mut made = Made::new();
    for (number, Prompt { positive, negative, .. }) in (0..).zip(&spec.prompts) {
        let mut row = Vec::new();
        for seed in 0..spec.seeds {
            go_on(part((number * spec.seeds + seed) as f32 / total as f32))?;
            let request = Request {
                negative: negative.clone(),
                guidance: spec.guidance,
                identity: identity.clone(),
                ..Request::new(
                    positive,
                    spec.seed.derive("prompt", number).derive("seed", seed).0,
                    (width, height),
                    spec.steps,
                )
            };
            let diffusion = bench.generator(lora)?;
            let picture = diffusion.generate(&request, &mut |_| std::ops::ControlFlow::Continue(()))?.picture;
            let idr = score(bench, &picture, profile, curve)?;
            row.push((picture, idr));
        }
        made.push(row);
    }
    Ok(made)
}

/// IDR of the picture's largest face; 0 without one. Pictures are small, so they are looked at as large as a take is.
fn score(bench: &mut Bench, picture: &RgbImage, profile: &Profile, curve: &Calibration) -> Result<f32, Fault> {
    let threshold = bench.models.pack.identity.detect_score;
    let large = imageops::resize(picture, picture.width() * 4, picture.height() * 4, imageops::FilterType::CatmullRom);
    let (detector, embedder) = bench.models.faces()?;
    let found = distinct(&detector.detect(&large, threshold)?);
    let Some(face) = found.iter().max_by(|a, b| a.short_side().total_cmp(&b.short_side())) else { return Ok(0.0) };
    let embedding = embedder.embed(&[align(&large, &face.landmarks, ALIGNED)])?.remove(0);
    Ok(curve.idr(profile.cosine(&embedding, face.yaw())).0)
}

/// Mean distance between pictures of one prompt, 0 to 1: the mean difference of their pixels at a small size.
fn diversity(made: &Made) -> f32 {
    let small = |picture: &RgbImage| imageops::resize(picture, SMALL, SMALL, imageops::FilterType::Triangle);
    let apart = |a: &RgbImage, b: &RgbImage| {
        mean(a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f32::from(a.abs_diff(*b)) / 255.0))
    };
    let pairs = made.iter().flat_map(|row| {
        let row: Vec<_> = row.iter().map(|(picture, _)| small(picture)).collect();
        (0..row.len())
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .map(|(a, b)| apart(&row[a], &row[b]))
            .collect::<Vec<_>>()
    });
    mean(pairs)
}

/// Of every prompt the pictures of its first seed, without above and with below.
fn sheet(before: &Made, after: &Made) -> RgbImage {
    let (width, height) = before.first().and_then(|row| row.first()).map_or((1, 1), |made| made.0.dimensions());
    let mut all = RgbImage::new(width * before.len().max(1) as u32, 2 * height);
    for (y, made) in [(0, before), (i64::from(height), after)] {
        for (n, first) in made.iter().filter_map(|row| row.first()).enumerate() {
            imageops::replace(&mut all, &first.0, i64::from(width) * n as i64, y);
        }
    }
    all
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + f64::from(value), count + 1));
    (sum / f64::from(count)) as f32
}
