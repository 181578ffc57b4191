//! Pictures → LoRA. A training that was cut off goes on where its last checkpoint was.

use greenroom_diffusion::Request;
use greenroom_domain::{
    Framing, LoraDataset, LoraPicture, LoraRecipe, Problem, ProblemKind, Seed, Spec, TaskOutput, TrainSpec,
};
use greenroom_training::{
    dataset::{Dataset, Kind, Origin, Picture, View},
    lora::{About, File, Naming, Precision},
    recipe::{Recipe, Schedule},
    train::Trainer,
};
use image::{RgbImage, imageops};
use std::time::Duration;

use super::{Bench, Progress, collect, generate};
use crate::{
    clock::{Every, Timings},
    fault::Fault,
};

/// So much of a training may be lost where its worker is.
const CHECKPOINT: Duration = Duration::from_secs(30);
/// Points of the curve that a report shows.
const POINTS: usize = 200;
/// Pictures on the way: before the first step, and after each of so many parts.
const SAMPLES: usize = 4;

pub(super) fn run(bench: &mut Bench, spec: &TrainSpec, progress: &mut Progress<'_>) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let dataset = bench.dataset(spec.dataset)?;
    let identity = generate::tokens(bench, &spec.identity)?;
    let (pictures, caption) = pictures(bench, spec, &dataset, identity.as_ref().map(|tokens| &tokens.embedding[..]))?;
    let scale = identity.as_ref().map(|tokens| spec.recipe.identity_scale.unwrap_or(tokens.scale));
    let recipe = recipe(&spec.recipe, scale, spec.seed);
    let kept = bench.scratch.join(format!("training-{}.safetensors", Spec::Train(spec.clone()).digest()));
    let (pack, base) = (bench.models.pack.licence.clone(), bench.models.unet_digest());
    let how = &bench.models.pack.diffusion;
    let (steps, guidance, size) = (how.steps, how.guidance, how.native_sizes[0]);
    let preview = bench.preview.clone();
    let model = bench.models.diffusion()?;
    let (sites, prediction) = (model.sites(), model.prediction());
    let data = timings.of("encode", || Dataset::build(model, &recipe, pictures, &mut |_| None))?;
    let (counts, data_digest) = (data.counts(), data.digest.clone());
    let sample = Request { guidance, identity, ..Request::new(caption, spec.seed.derive("sample", 0).0, size, steps) };
    let mut trainer = Trainer::new(model, recipe.clone(), data)?;
    if kept.is_file()
        && let Err(error) = trainer.resume(&kept)
    {
        tracing::warn!(%error, "a training begins anew");
    }
    let (mut due, mut samples) = (Every::new(CHECKPOINT), Vec::new());
    let part = recipe.steps.div_ceil(SAMPLES);
    while !trainer.is_done() {
        if trainer.steps_done().is_multiple_of(part) {
            let picture = timings.of("samples", || trainer.sample(&sample).map_err(Fault::from))?.picture;
            preview.show(&picture)?;
            samples.push(picture);
        }
        let done = timings.of("steps", || trainer.step().map_err(Fault::from))?;
        let message = format!("step {} of {}, loss {:.4}, epoch {}", done.step, done.of, done.loss, done.epoch + 1);
        let stop = progress(done.step as f32 / done.of as f32, &message).is_break();
        if stop || due.is_due() {
            timings.of("checkpoints", || trainer.checkpoint(&kept).map_err(Fault::from))?;
        }
        if stop {
            return Err(Fault::cancelled());
        }
    }
    samples.push(timings.of("samples", || trainer.sample(&sample).map_err(Fault::from))?.picture);
    let (adapter, curve) = (trainer.adapter()?, curve(trainer.losses()));
    drop(trainer);
    let about = About {
        title: format!("{} LoRA", spec.character),
        licence: Some(pack),
        base,
        dataset: Some(data_digest),
        steps: recipe.steps,
        pictures: counts,
        ..About::default()
    };
    let header = about.header(&recipe, &adapter, &sites, prediction);
    let bytes = File { adapter, header }.to_bytes(Naming::Kohya, Precision::F32, &sites)?;
    let lora = bench.keep_bytes(bytes)?;
    let samples = bench.keep_png(&row(&samples))?;
    let _ = std::fs::remove_file(&kept);
    Ok(TaskOutput::Lora { lora, curve, samples, timings: timings.seconds() })
}

/// The dataset's pictures, and a caption to draw samples by.
fn pictures(
    bench: &Bench,
    spec: &TrainSpec,
    dataset: &LoraDataset,
    identity: Option<&[f32]>,
) -> Result<(Vec<Picture>, String), Fault> {
    let read = |(number, picture): (usize, &LoraPicture)| {
        let origin = if picture.origin.is_generated() { Origin::Generated } else { Origin::Real };
        // Takes are frames already.
        let views = if origin == Origin::Real { views(bench, spec, number) } else { vec![] };
        let image = bench.picture(picture.picture, "training picture")?;
        let caption = picture.caption.clone();
        Ok(Picture {
            image,
            caption,
            origin,
            kind: Kind::Character,
            face: None,
            identity: identity.map(<[f32]>::to_vec),
            views,
        })
    };
    let pictures = dataset.pictures.iter().enumerate().map(read).collect::<Result<Vec<_>, Fault>>()?;
    let caption = pictures.first().map(|picture| picture.caption.clone()).ok_or_else(|| {
        let remedy = "give more references of the character";
        Problem::new(ProblemKind::Invalid, "train LoRA", &dataset.character, "there is no picture to train on", remedy)
    })?;
    Ok((pictures, caption))
}

/// The frames that a reference is set into, each at another place of its own.
fn views(bench: &Bench, spec: &TrainSpec, number: usize) -> Vec<View> {
    let frame = bench.models.pack.diffusion.native_sizes[0];
    let wanted = spec.recipe.views.list();
    let count = wanted.len();
    let view = |(n, (framing, height)): (usize, (Framing, f32))| {
        let caption = spec.captions.iter().find(|(other, _)| *other == framing)?.1.clone();
        // Steps of the golden ratio lie evenly, however many there are. Nobody stands at a frame's edge.
        let at = 0.3 + 0.4 * ((number * count + n) as f32 * 0.618_034).fract();
        Some(View { frame, height, at, caption })
    };
    wanted.into_iter().enumerate().filter_map(view).collect()
}

/// What the pack says, with what no pack has to say.
fn recipe(pack: &LoraRecipe, identity_scale: Option<f32>, seed: Seed) -> Recipe {
    Recipe {
        references: 1,
        rank: pack.rank as usize,
        alpha: f64::from(pack.alpha),
        steps: pack.steps as usize,
        resolution: pack.resolution,
        bucket_step: collect::step(pack.resolution),
        batch: pack.batch as usize,
        unet_rate: pack.learning_rate,
        text_rate: 0.0,
        caption_dropout: f64::from(pack.caption_dropout),
        convolutions: pack.convolutions,
        begin: f64::from(pack.begin),
        // What was learnt settles while the rate falls, so no average over the last steps is needed.
        schedule: Schedule::Cosine,
        average: 0.0,
        identity_scale,
        seed: seed.0,
        ..Recipe::default()
    }
}

/// A loss's curve in few points, each the mean of the steps up to it.
fn curve(losses: &[f32]) -> Vec<(u32, f32)> {
    let part = losses.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[f32]| chunk.iter().sum::<f32>() / chunk.len() as f32;
    let ends = losses.chunks(part).scan(0, |end, chunk| {
        *end += chunk.len() as u32;
        Some((*end, mean(chunk)))
    });
    ends.collect()
}

/// Pictures of one size side by side.
fn row(pictures: &[RgbImage]) -> RgbImage {
    let (width, height) = pictures.first().map_or((1, 1), RgbImage::dimensions);
    let mut all = RgbImage::new(width * pictures.len().max(1) as u32, height);
    for (n, picture) in pictures.iter().enumerate() {
        imageops::replace(&mut all, picture, i64::from(width) * n as i64, 0);
    }
    all
}
