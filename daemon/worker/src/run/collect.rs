//! References and accepted takes → pictures that a LoRA is trained on: cut around the face, without strangers and doubles.

use greenroom_domain::{Box2, CollectSpec, LoraDataset, LoraOrigin, LoraPicture, TaskOutput};
use greenroom_identity::{Face, align, distinct};
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
    let mut found: Vec<(Candidate, LoraOrigin)> = Vec::new();
    for (number, (name, digest)) in spec.references.iter().enumerate() {
        go_on(progress(number as f32 / total, &format!("looking at {name}")))?;
        let origin = LoraOrigin::Reference { name: name.clone(), digest: *digest };
        let picture = bench.picture(*digest, name)?;
        found.push((Candidate::new(picture, &spec.caption, None), origin));
    }
    for (number, take) in spec.takes.iter().enumerate() {
        go_on(progress((spec.references.len() + number) as f32 / total, &format!("take {}", number + 1)))?;
        let file = scratch.join("take.mkv");
        bench.fetch(take.take, &file)?;
        let mut reader = VideoReader::open(&file)?;
        while let Some((at, picture)) = reader.next_frame()? {
            if let Some(seen) = take.faces.iter().find(|face| face.frame == at) {
                let origin = LoraOrigin::Take { take: take.take, frame: at };
                found.push((Candidate::new(picture, &take.caption, Some(seen.bbox)), origin));
            }
        }
    }
    let mut refused = Vec::new();
    let (mut pictures, mut origins) = (Vec::new(), Vec::new());
    for (candidate, origin) in found {
        match candidate.cut(bench, spec, &profile)? {
            Ok(picture) => {
                pictures.push(picture);
                origins.push(origin);
            }
            Err(reason) => refused.push((origin, reason)),
        }
    }
    // What is sifted out is told apart by its place in the order, which sifting keeps.
    let numbered = pictures.into_iter().enumerate().map(|(n, p)| Picture { identity: Some(vec![n as f32]), ..p });
    let (kept, left_out) = sift(numbered, &mut |_| None);
    let number = |picture: &Picture| picture.identity.as_ref().map_or(0, |n| n[0] as usize);
    refused.extend(left_out.iter().map(|(picture, reason)| (origins[number(picture)].clone(), reason.clone())));
    let mut dataset = LoraDataset { character: spec.character.clone(), pictures: vec![], refused };
    for picture in &kept {
        let (origin, caption) = (origins[number(picture)].clone(), picture.caption.clone());
        dataset.pictures.push(LoraPicture { picture: bench.keep_png(&picture.image)?, caption, origin });
    }
    Ok(TaskOutput::Dataset {
        dataset: bench.keep_json(&dataset)?,
        pictures: dataset.pictures.iter().map(|picture| picture.picture).collect(),
        generated: dataset.pictures.iter().filter(|picture| picture.origin.is_generated()).count() as u32,
        refused: dataset.refused.len() as u32,
    })
}

/// A picture that may be trained on.
struct Candidate {
    picture: RgbImage,
    caption: String,
    /// Where a verdict saw the character; none where it is a reference.
    seen: Option<Box2>,
}

impl Candidate {
    fn new(picture: RgbImage, caption: &str, seen: Option<Box2>) -> Self {
        Self { picture, caption: caption.to_owned(), seen }
    }

    /// The part around the face; or why it is not to be trained on.
    fn cut(
        self,
        bench: &mut Bench,
        spec: &CollectSpec,
        profile: &greenroom_identity::Profile,
    ) -> Result<Result<Picture, String>, Fault> {
        let threshold = bench.models.pack.identity.detect_score;
        let (detector, embedder) = bench.models.faces()?;
        let faces = distinct(&detector.detect(&self.picture, threshold)?);
        let Some(face) = nearest(&faces, self.seen.as_ref()) else { return Ok(Err("no face was found".into())) };
        let embedding = embedder.embed(&[align(&self.picture, &face.landmarks, ALIGNED)])?.remove(0);
        let cosine = profile.cosine(&embedding, face.yaw());
        if cosine.0 < spec.outlier.0 {
            return Ok(Err(format!(
                "it looks like somebody else: cosine {:.2}, {:.2} is asked",
                cosine.0, spec.outlier.0
            )));
        }
        let box_ = Around { x0: face.bbox.x0, y0: face.bbox.y0, x1: face.bbox.x1, y1: face.bbox.y1 };
        let recipe = Recipe { resolution: spec.resolution, bucket_step: step(spec.resolution), ..Recipe::default() };
        let crop = Crop::choose(self.picture.dimensions(), Some(box_), &recipe);
        let origin = if self.seen.is_some() { Origin::Generated } else { Origin::Real };
        let (image, caption) = (crop.cut(&self.picture), self.caption);
        Ok(Ok(Picture { image, caption, origin, kind: Kind::Character, face: None, identity: None }))
    }
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
