//! Shot → take: keyframes, the frames between them, the camera move.

use greenroom_diffusion::{IdentityTokens, Latent, Request, Start};
use greenroom_domain::{GenerateSpec, Keyframing, Pixels, TaskOutput};
use greenroom_media::{Inbetween, TakeWriter, camera_frame, keyframe_positions};
use image::{RgbImage, imageops};
use std::{ops::ControlFlow, path::Path};

use super::{Bench, Progress};
use crate::{clock::Timings, fault::Fault};

/// Width of a take's thumbnail, pixels.
const THUMBNAIL: u32 = 384;

pub(super) fn run(
    bench: &mut Bench,
    spec: &GenerateSpec,
    scratch: &Path,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let identity = match &spec.identity {
        Some(who) => Some(IdentityTokens {
            embedding: bench.profile(who.profile)?.centroid.as_slice().to_vec(),
            scale: who.scale,
        }),
        None => None,
    };
    let native = nearest_shape(&bench.models.pack.diffusion.native_sizes, spec.size);
    let total = spec.duration.0;
    let positions = match spec.keyframes {
        Keyframing::Still => vec![0],
        Keyframing::Chain { every, .. } => keyframe_positions(total, every.0),
    };
    let file = scratch.join("take.mkv");
    let mut take = Take { writer: TakeWriter::create(&file, spec.size, spec.fps)?, spec, at: 0, middle: None };
    let mut between = Inbetween::new();
    let mut last: Option<Latent> = None;
    for (number, &at) in positions.iter().enumerate() {
        let request = Request {
            prompt: spec.prompt.positive.clone(),
            negative: spec.prompt.negative.clone(),
            seed: spec.seed.derive("keyframe", number as u32).0,
            width: native.width,
            height: native.height,
            steps: spec.steps,
            sampler: None,
            guidance: spec.guidance,
            start: last.take().map(|latent| Start { latent, strength: strength(spec) }),
            identity: identity.clone(),
            people: Vec::new(),
            control: None,
        };
        let mut step = |done: greenroom_diffusion::StepDone| -> ControlFlow<()> {
            let part = (number as f32 + done.step as f32 / done.of as f32) / positions.len() as f32;
            progress(part, &format!("keyframe {} of {}", number + 1, positions.len()))
        };
        let diffusion = bench.models.diffusion()?;
        let made = timings.of("keyframes", || diffusion.generate(&request, &mut step))?;
        last = Some(made.latent);
        timings.of("frames", || {
            for frame in between.push(at, made.picture)? {
                take.add(&frame)?;
            }
            Ok::<_, Fault>(())
        })?;
    }
    // The last keyframe stands until the end; a still is its only one.
    if let Some(picture) = between.finish() {
        timings.of("frames", || (take.at..total).try_for_each(|_| take.add(&picture)))?;
    }
    let thumbnail = bench.keep_png(&take.thumbnail())?;
    take.writer.finish()?;
    Ok(TaskOutput::Take {
        video: bench.keep(&file)?,
        thumbnail,
        keyframes: positions.len() as u32,
        timings: timings.seconds(),
    })
}

/// The take as it grows.
struct Take<'a> {
    writer: TakeWriter,
    spec: &'a GenerateSpec,
    at: u64,
    middle: Option<RgbImage>,
}

impl Take<'_> {
    fn add(&mut self, picture: &RgbImage) -> Result<(), Fault> {
        let total = self.spec.duration.0;
        let frame = camera_frame(picture, self.spec.camera, self.at, total, self.spec.size);
        self.writer.write(&frame)?;
        if self.at == total / 2 {
            self.middle = Some(frame);
        }
        self.at += 1;
        Ok(())
    }

    fn thumbnail(&mut self) -> RgbImage {
        let frame = self.middle.take().unwrap_or_default();
        let height = (THUMBNAIL * frame.height()).checked_div(frame.width()).unwrap_or(0).max(1);
        imageops::resize(&frame, THUMBNAIL, height, imageops::FilterType::Triangle)
    }
}

const fn strength(spec: &GenerateSpec) -> f32 {
    match spec.keyframes {
        Keyframing::Chain { strength, .. } => strength,
        Keyframing::Still => 1.0,
    }
}

/// The size that the model was trained at whose shape is nearest to what is asked.
fn nearest_shape(sizes: &[(u32, u32)], asked: Pixels) -> Pixels {
    let shape = |width: u32, height: u32| (f64::from(width) / f64::from(height)).ln();
    let far = |&(width, height): &(u32, u32)| (shape(width, height) - shape(asked.width, asked.height)).abs();
    let nearest = sizes.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)));
    let (width, height) = nearest.unwrap_or((asked.width, asked.height));
    Pixels { width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_project_uses_the_wide_native_size() {
        let sizes = [(192, 112), (128, 128)];
        let native = |width, height| nearest_shape(&sizes, Pixels { width, height }).width;
        assert_eq!((native(768, 448), native(1920, 1080), native(512, 512)), (192, 192, 128));
    }
}
