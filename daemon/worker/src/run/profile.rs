//! References → identity profile: exactly one face in each, measured and embedded.

use greenroom_domain::{Problem, ProfileSpec, TaskOutput};
use greenroom_identity::{Face, Patch, Profile, align, distinct, quality, usual};
use image::{RgbImage, imageops};

use super::{Bench, Progress, go_on};
use crate::fault::Fault;

/// Sides of the embedder's input and of the thumbnail, pixels.
const ALIGNED: u32 = 112;
const THUMBNAIL: u32 = 256;
/// The thumbnail shows so many times the face's box.
const MARGIN: f32 = 1.9;

pub(super) fn run(bench: &mut Bench, spec: &ProfileSpec, progress: &mut Progress<'_>) -> Result<TaskOutput, Fault> {
    let (embedder, pack) = (bench.models.embedder_digest()?, bench.models.name());
    let threshold = bench.models.pack.identity.detect_score;
    let smallest = bench.models.pack.identity.smallest_face;
    let (mut faces, mut portraits, mut patches, mut shown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, (name, digest)) in spec.references.iter().enumerate() {
        go_on(progress(number as f32 / spec.references.len() as f32, &format!("looking at {name}")))?;
        let picture = bench.picture(*digest, name)?;
        let (detector, embed) = bench.models.faces()?;
        let found = distinct(&detector.detect(&picture, threshold)?);
        let face = the_only(&found, name, &spec.character)?;
        if face.short_side() < smallest {
            let cause = format!("the face is {:.0} pixels wide; {smallest:.0} are needed", face.short_side());
            return Err(
                refused(&spec.character, name, &cause, "give a larger picture, or one nearer to the face").into()
            );
        }
        let aligned = align(&picture, &face.landmarks, ALIGNED);
        let measured = quality(&picture, face, &aligned);
        let embedding = embed.embed(std::slice::from_ref(&aligned))?.remove(0);
        portraits.push((measured.weight, portrait(&picture, face)));
        patches.push(Patch::of(&aligned));
        faces.push((embedding, measured));
        if let Some(classifier) = bench.models.classifier()? {
            shown.extend(classifier.classify(&picture, std::slice::from_ref(face))?);
        }
    }
    let (mut profile, qualities) = Profile::build(&spec.character, &pack, embedder, faces)?;
    profile.references.iter_mut().zip(patches).for_each(|(reference, patch)| reference.patch = Some(patch));
    if let Some(how) = &bench.models.pack.attributes {
        profile.usual = usual(&shown, how);
    }
    let best = portraits.into_iter().reduce(|best, next| if next.0 > best.0 { next } else { best });
    let thumbnail = bench.keep_png(&best.map(|(_, portrait)| portrait).unwrap_or_default())?;
    Ok(TaskOutput::Profile { profile: bench.keep_json(&profile)?, thumbnail, qualities })
}

fn the_only<'a>(found: &'a [Face], file: &str, character: &str) -> Result<&'a Face, Problem> {
    match found {
        [face] => Ok(face),
        [] => Err(refused(
            character,
            file,
            "no face was found",
            "give a picture that shows the face clearly, from the front",
        )),
        many => {
            let cause = format!("{} faces were found", many.len());
            Err(refused(character, file, &cause, "give a picture that shows this character alone"))
        }
    }
}

fn refused(character: &str, file: &str, cause: &str, remedy: &str) -> Problem {
    Problem::invalid(format!("profile character {character}"), file, cause, remedy)
}

/// A square around the face.
fn portrait(picture: &RgbImage, face: &Face) -> RgbImage {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let b = &face.bbox;
    let side = (MARGIN * (b.x1 - b.x0).max(b.y1 - b.y0)).min(width).min(height).max(1.0);
    let left = ((b.x0 + b.x1 - side) / 2.0).clamp(0.0, width - side);
    let top = ((b.y0 + b.y1 - side) / 2.0 - 0.05 * side).clamp(0.0, height - side);
    let cut = imageops::crop_imm(picture, left as u32, top as u32, side as u32, side as u32).to_image();
    imageops::resize(&cut, THUMBNAIL, THUMBNAIL, imageops::FilterType::Lanczos3)
}
