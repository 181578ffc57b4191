//! Shot → take: keyframes, the frames between them, the camera move.

use greenroom_diffusion::{Control, IdentityTokens, Latent, Person, Region, Request, Start};
use greenroom_domain::{
    Digest, GenerateSpec, IdentityPrompt, Keyframing, ModelRole, PersonCaption, Pixels, TaskOutput,
};
use greenroom_media::{Inbetween, TakeWriter, camera_frame, keyframe_positions};
use image::{DynamicImage, RgbImage, imageops};
use std::{ops::ControlFlow, path::Path};

use super::{Bench, Progress};
use crate::{clock::Timings, fault::Fault};

pub(super) fn run(
    bench: &mut Bench,
    spec: &GenerateSpec,
    scratch: &Path,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let identity = spec.identity.as_ref().map(|who| tokens(bench, who)).transpose()?.flatten();
    let people = people(spec, &mut |who| tokens(bench, who))?;
    let native = nearest_shape(&bench.models.pack.diffusion.native_sizes, spec.size);
    let total = spec.duration.0;
    let control = spec.control.map(|picture| control(bench, picture, native)).transpose()?;
    let positions = match spec.keyframes {
        Keyframing::Still => vec![0],
        Keyframing::Chain { every, .. } => keyframe_positions(total, every.0),
    };
    let file = scratch.join("take.mkv");
    let mut take = Take { writer: TakeWriter::create(&file, spec.size, spec.fps)?, spec, at: 0, middle: None };
    let mut between = Inbetween::new();
    let mut last: Option<Latent> = None;
    for (number, &at) in positions.iter().enumerate() {
        let (prompt, seed) = (spec.prompt.positive.clone(), spec.seed.derive("keyframe", number as u32).0);
        let request = Request {
            negative: spec.prompt.negative.clone(),
            guidance: spec.guidance,
            start: last.take().map(|latent| Start { latent, strength: strength(spec) }),
            identity: identity.clone(),
            people: people.clone(),
            control: control.clone(),
            ..Request::new(prompt, seed, (native.width, native.height), spec.steps)
        };
        let mut step = |done: greenroom_diffusion::StepDone| -> ControlFlow<()> {
            let part = (number as f32 + done.step as f32 / done.of as f32) / positions.len() as f32;
            progress(part, &format!("keyframe {} of {}", number + 1, positions.len()))
        };
        let diffusion = bench.generator(spec.lora.as_ref())?;
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
    let thumbnail = bench.keep_thumbnail(&take.middle.take().unwrap_or_default())?;
    take.writer.finish()?;
    Ok(TaskOutput::Take {
        video: bench.keep(&file)?,
        thumbnail,
        keyframes: positions.len() as u32,
        timings: timings.seconds(),
    })
}

/// The picture to keep to, cut about its middle to the shape of what is made.
fn control(bench: &mut Bench, picture: Digest, native: Pixels) -> Result<Control, Fault> {
    let picture = bench.picture(picture, "control picture")?;
    let shape = DynamicImage::from(picture).resize_to_fill(native.width, native.height, imageops::FilterType::Triangle);
    Ok(Control { net: bench.models.control()?, picture: shape.to_rgb8(), scale: 1.0 })
}

/// None where the pack has no IP-Adapter: then the caption alone says who it is.
pub(super) fn tokens(bench: &Bench, who: &IdentityPrompt) -> Result<Option<IdentityTokens>, Fault> {
    if bench.models.pack.files(ModelRole::IpAdapter).next().is_none() {
        return Ok(None);
    }
    let embedding = bench.profile(who.profile)?.centroid.as_slice().to_vec();
    Ok(Some(IdentityTokens { embedding, scale: who.scale }))
}

/// Where several are to be seen, each in a strip of the frame, from left to right.
fn people(
    spec: &GenerateSpec,
    tokens: &mut dyn FnMut(&IdentityPrompt) -> Result<Option<IdentityTokens>, Fault>,
) -> Result<Vec<Person>, Fault> {
    let captions = &spec.prompt.people;
    let person = |(number, caption): (usize, &PersonCaption)| {
        let identity = spec.people.iter().find(|who| who.character == caption.character);
        Ok(Person {
            prompt: caption.positive.clone(),
            identity: identity.map(&mut *tokens).transpose()?.flatten(),
            region: Region::strip(number, captions.len()),
        })
    };
    captions.iter().enumerate().map(person).collect()
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
}

const fn strength(spec: &GenerateSpec) -> f32 {
    match spec.keyframes {
        Keyframing::Chain { strength, .. } => strength,
        Keyframing::Still => 1.0,
    }
}

/// The size that the model was trained at whose shape is nearest to what is asked.
pub(super) fn nearest_shape(sizes: &[(u32, u32)], asked: Pixels) -> Pixels {
    let shape = |width: u32, height: u32| (f64::from(width) / f64::from(height)).ln();
    let far = |&(width, height): &(u32, u32)| (shape(width, height) - shape(asked.width, asked.height)).abs();
    let nearest = sizes.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)));
    let (width, height) = nearest.unwrap_or((asked.width, asked.height));
    Pixels { width, height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_domain::{CameraMove, Fps, Frames, Prompt, Seed, ShotKey};

    fn spec(prompt: Prompt, people: Vec<IdentityPrompt>) -> GenerateSpec {
        GenerateSpec {
            pack: Digest::of(b"pack"),
            shot: ShotKey { scene: 1, shot: 1 },
            take: 1,
            prompt,
            identity: None,
            people,
            seed: Seed(1),
            size: Pixels { width: 192, height: 112 },
            fps: Fps::FILM,
            duration: Frames(1),
            keyframes: Keyframing::Still,
            camera: CameraMove::Static,
            steps: 1,
            guidance: 1.0,
            control: None,
            lora: None,
        }
    }

    #[test]
    fn two_characters_stand_side_by_side_each_with_a_face_and_a_stranger_without() {
        let captions = ["MARA", "A STRANGER", "TOBIN"];
        let caption = |name: &str| PersonCaption { character: name.into(), positive: format!("shot of {name}") };
        let who = |name: &str, face: u8| IdentityPrompt {
            character: name.into(),
            profile: Digest::of(&[face]),
            scale: f32::from(face),
        };
        let prompt = Prompt { people: captions.map(caption).into(), ..Prompt::default() };
        let mut tokens =
            |who: &IdentityPrompt| Ok(Some(IdentityTokens { embedding: vec![who.scale], scale: who.scale }));
        let people = people(&spec(prompt, vec![who("TOBIN", 2), who("MARA", 1)]), &mut tokens).unwrap();
        let seen: Vec<_> = people.iter().map(|p| (p.prompt.as_str(), p.identity.as_ref().map(|i| i.scale))).collect();
        assert_eq!(seen, [("shot of MARA", Some(1.0)), ("shot of A STRANGER", None), ("shot of TOBIN", Some(2.0))]);
        let strips: Vec<_> = people.iter().map(|p| (p.region.x0, p.region.x1, p.region.y1 - p.region.y0)).collect();
        let third = |n: u8| f32::from(n) / 3.0;
        assert_eq!(strips, [(0.0, third(1), 1.0), (third(1), third(2), 1.0), (third(2), 1.0, 1.0)]);
    }

    #[test]
    fn a_wide_project_uses_the_wide_native_size() {
        let sizes = [(192, 112), (128, 128)];
        let native = |width, height| nearest_shape(&sizes, Pixels { width, height }).width;
        assert_eq!((native(768, 448), native(1920, 1080), native(512, 512)), (192, 192, 128));
    }
}
