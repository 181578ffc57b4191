//! Take → verdict: decode, sample, detect, align, embed, and let the gate judge.

use greenroom_domain::{Frames, TaskOutput, ValidateSpec};
use greenroom_identity::{JudgeInput, SeenFace, align, distinct, judge};
use greenroom_media::{VideoReader, sample_indices};
use image::RgbImage;
use std::path::Path;

use super::{Bench, Progress, go_on};
use crate::{clock::Timings, fault::Fault};

/// Side of the embedder's input, pixels.
const ALIGNED: u32 = 112;

pub(super) fn run(
    bench: &mut Bench,
    spec: &ValidateSpec,
    scratch: &Path,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let take = scratch.join("take.mkv");
    bench.fetch(spec.take, &take)?;
    let cast = spec.cast.iter().map(|c| Ok((c.character.clone(), bench.profile(c.profile)?)));
    let cast = cast.collect::<Result<Vec<_>, Fault>>()?;

    let wanted = sample_indices(length(&take)?, spec.samples);
    let mut reader = VideoReader::open(&take)?;
    let mut frames = Vec::with_capacity(wanted.len());
    while let Some((number, picture)) = timings.of("decode", || reader.next_frame())? {
        if wanted.binary_search(&number).is_err() {
            continue;
        }
        let part = frames.len() as f32 / wanted.len() as f32;
        go_on(progress(part, &format!("frame {} of {}", frames.len() + 1, wanted.len())))?;
        frames.push((number, timings.of("faces", || look(bench, number, &picture))?));
    }
    let verdict = judge(&JudgeInput {
        frames: &frames,
        cast: &cast,
        expected: &spec.expected,
        gate: spec.gate,
        calibration: &bench.models.pack.identity.calibration,
        models: bench.models.used()?,
    });
    Ok(TaskOutput::Verdict { verdict, timings: timings.seconds() })
}

/// Frames in the take: what the header says, or counted.
fn length(take: &Path) -> Result<Frames, Fault> {
    let mut reader = VideoReader::open(take)?;
    if let Some(frames) = reader.info().frames {
        return Ok(frames);
    }
    let mut count = 0;
    while reader.next_frame()?.is_some() {
        count += 1;
    }
    Ok(Frames(count))
}

fn look(bench: &mut Bench, frame: u64, picture: &RgbImage) -> Result<Vec<SeenFace>, Fault> {
    let identity = &bench.models.pack.identity;
    let (threshold, smallest) = (identity.detect_score, identity.smallest_face);
    let (detector, embedder) = bench.models.faces()?;
    let mut seen = Vec::new();
    for face in distinct(&detector.detect(picture, threshold)?) {
        let embedding = if face.short_side() >= smallest {
            let aligned = align(picture, &face.landmarks, ALIGNED);
            Some(embedder.embed(&[aligned])?.remove(0))
        } else {
            None
        };
        seen.push(SeenFace { frame, bbox: face.bbox, detection: face.score, yaw: face.yaw(), embedding });
    }
    Ok(seen)
}
