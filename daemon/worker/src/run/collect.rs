//! References and accepted takes → pictures that a LoRA is trained on: cut around the face, without strangers and doubles.

use greenroom_domain::{Box2, CollectSpec, LoraDataset, LoraOrigin, LoraPicture, TaskOutput};
use greenroom_identity::{Face, Profile, align, distinct};
use greenroom_media::VideoReader;
use greenroom_training::dataset::{Crop, Face as Around, Kind, Origin, Picture, sift};
use greenroom_training::recipe::Recipe;
use image::RgbImage;
use std::path::Path;

use super::{Bench, Progress, go_on};
use crate::fault::Fault;

/// Side of the embedder's input, pixels.
const ALIGNED: u32 = 112;

pub(super) fn run(
    bench: &mut Bench,
    spec: &CollectSpec,
    scratch: &Path,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    let profile = bench.profile(spec.profile)?;
    let total = (spec.references.len() + spec.takes.len()).max(1) as f32;
    // Each is cut out as soon as it is decoded: whole pictures are large, and there may be many.
    let (mut pictures, mut refused) = (Vec::new(), Vec::new());
    let mut add = |found: Result<Picture, String>, origin: LoraOrigin| match found {
        Ok(picture) => pictures.push((picture, origin)),
        Err(reason) => refused.push((origin, reason)),
    };
    for (number, (name, digest)) in spec.references.iter().enumerate() {
        go_on(progress(number as f32 / total, &format!("looking at {name}")))?;
        let picture = bench.picture(*digest, name)?;
        let found = cut(bench, spec, &profile, &picture, &spec.caption, None)?;
        add(found, LoraOrigin::Reference { name: name.clone(), digest: *digest });
    }
    for (number, take) in spec.takes.iter().enumerate() {
        go_on(progress((spec.references.len() + number) as f32 / total, &format!("take {}", number + 1)))?;
        let file = scratch.join("take.mkv");
        bench.fetch(take.take, &file)?;
        let mut reader = VideoReader::open(&file)?;
        while let Some((at, picture)) = reader.next_frame()? {
            if let Some(seen) = take.faces.iter().find(|face| face.frame == at) {
                let found = cut(bench, spec, &profile, &picture, &take.caption, Some(&seen.bbox))?;
                add(found, LoraOrigin::Take { take: take.take, frame: at });
            }
        }
    }
    let (kept, left_out) = sift(pictures);
    refused.extend(left_out);
    let mut dataset = LoraDataset { character: spec.character.clone(), pictures: vec![], refused };
    for (Picture { image, caption, .. }, origin) in kept {
        dataset.pictures.push(LoraPicture { picture: bench.keep_png(&image)?, caption, origin });
    }
    Ok(TaskOutput::Dataset {
        dataset: bench.keep_json(&dataset)?,
        pictures: dataset.pictures.iter().map(|picture| picture.picture).collect(),
        generated: dataset.pictures.iter().filter(|picture| picture.origin.is_generated()).count() as u32,
        refused: dataset.refused.len() as u32,
    })
}

/// The part of a picture around the face, or why it is not to be trained on. `seen` is where a verdict saw the character; none
/// where the picture is a reference.
fn cut(
    bench: &mut Bench,
    spec: &CollectSpec,
    profile: &Profile,
    picture: &RgbImage,
    caption: &str,
    seen: Option<&Box2>,
) -> Result<Result<Picture, String>, Fault> {
    let threshold = bench.models.pack.identity.detect_score;
    let (detector, embedder) = bench.models.faces()?;
    let faces = distinct(&detector.detect(picture, threshold)?);
    let Some(face) = nearest(&faces, seen) else { return Ok(Err("no face was found".into())) };
    let embedding = embedder.embed(&[align(picture, &face.landmarks, ALIGNED)])?.remove(0);
    let cosine = profile.cosine(&embedding, face.yaw());
    if cosine.0 < spec.outlier.0 {
        let asked = spec.outlier.0;
        return Ok(Err(format!("it looks like somebody else: cosine {:.2}, {asked:.2} is asked", cosine.0)));
    }
    let around = Around { x0: face.bbox.x0, y0: face.bbox.y0, x1: face.bbox.x1, y1: face.bbox.y1 };
    let recipe = Recipe { resolution: spec.resolution, bucket_step: step(spec.resolution), ..Recipe::default() };
    let image = Crop::choose(picture.dimensions(), Some(around), &recipe).cut(picture);
    let origin = if seen.is_some() { Origin::Generated } else { Origin::Real };
    let caption = caption.to_owned();
    Ok(Ok(Picture { image, caption, origin, kind: Kind::Character, face: None, identity: None, views: vec![] }))
}

/// Sides of training pictures are multiples of this.
pub(super) const fn step(resolution: u32) -> u32 {
    if resolution.is_multiple_of(64) && resolution >= 512 { 64 } else { 16 }
}

/// The largest face, or the one nearest to where it was seen.
fn nearest<'a>(faces: &'a [Face], seen: Option<&Box2>) -> Option<&'a Face> {
    let centre = |b: &Box2| ((b.x0 + b.x1) / 2.0, (b.y0 + b.y1) / 2.0);
    let rank = |face: &&Face| match seen {
        None => face.short_side(),
        Some(seen) => {
            let ((a, b), (x, y)) = (centre(&face.bbox), centre(seen));
            -(a - x).hypot(b - y)
        }
    };
    faces.iter().max_by(|a, b| rank(a).total_cmp(&rank(b)))
}
