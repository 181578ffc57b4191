//! Take → verdict: decode, sample, detect, align, embed, and let the gate judge.

use greenroom_domain::{TaskOutput, ValidateSpec};
use greenroom_identity::{JudgeInput, SeenFace, align, distinct, judge};
use greenroom_media::{Sampling, VideoSampler};
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

    let scoring = bench.models.pack.identity.scoring.clone();
    let sampling =
        Sampling { fewest: spec.samples, per_second: scoring.samples_per_second, most: scoring.most_samples };
    let mut sampler = timings.of("decode", || VideoSampler::open(&take, &sampling))?;
    let fps = sampler.info().fps;
    let (mut frames, mut cuts) = (Vec::new(), Vec::new());
    while let Some(sample) = timings.of("decode", || sampler.next_sample())? {
        let part = sampler.part(&sample);
        go_on(progress(part, &format!("frame {}, {:.0} % of the take", sample.number + 1, part * 100.0)))?;
        if sample.after_cut {
            cuts.push(sample.number);
        }
        frames.push((sample.number, timings.of("faces", || look(bench, sample.number, &sample.picture))?));
    }
    let verdict = judge(&JudgeInput {
        frames: &frames,
        cuts: &cuts,
        fps,
        cast: &cast,
        expected: &spec.expected,
        gate: spec.gate,
        calibration: &bench.models.pack.identity.calibration,
        scoring: &scoring,
        models: bench.models.used()?,
    });
    Ok(TaskOutput::Verdict { verdict, timings: timings.seconds() })
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
