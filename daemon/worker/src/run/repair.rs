//! Rejected take → take with other faces: each face is cut out, made anew at the size that the model draws best, and put back
//! with a soft edge. A figure that is one too many is painted away likewise, from the caption of the empty place. Everything else
//! stays as it is, to the bit.
//!
//! What is wrong is made anew at the take's keyframes, always from the same noise, and moved along between them as the take's own
//! pictures are; so it does not flicker. Several noises are tried on one frame first, and the best of them is taken. All frames
//! of a face are made anew, also those that were good: a change in the middle of a take would be seen. The take is read frame by
//! frame: once to follow the face, once to repair it.

mod artist;
mod choice;
mod track;

use greenroom_diffusion::StepDone;
use greenroom_domain::{Keyframing, RepairSpec, TaskOutput};
use greenroom_media::{Inbetween, TakeWriter, VideoReader, keyframe_positions};
use image::RgbImage;
use std::path::Path;

use super::{Bench, Progress, go_on};
use crate::{clock::Timings, fault::Fault};
use artist::{Artist, Subject};
use track::{Run, Track};

/// Share of the work that following a face is.
const FOLLOWING: f32 = 0.1;
/// Share of the work that is done when a noise is chosen.
const CHOSEN: f32 = 0.3;

pub(super) fn run(
    bench: &mut Bench,
    spec: &RepairSpec,
    scratch: &Path,
    progress: &mut Progress<'_>,
) -> Result<TaskOutput, Fault> {
    let mut timings = Timings::default();
    let mut take = scratch.join("take.mkv");
    bench.fetch(spec.video, &take)?;
    let (mut keyframes, mut middle) = (0, RgbImage::default());
    let subjects = Subject::all(spec);
    let count = subjects.len() as f32;
    for (number, subject) in subjects.into_iter().enumerate() {
        let mut part = |fraction: f32, message: &str| {
            progress((number as f32 + fraction) / count, &format!("{}: {message}", subject.character()))
        };
        let runs = timings.of("faces", || follow(bench, subject, &take, &mut part))?;
        let seed = timings.of("choice", || choice::seed(bench, spec, (subject, number), (&take, &runs), &mut part))?;
        let artist = Artist::new(bench, spec, subject, seed)?;
        let next = scratch.join(format!("repaired-{number}.mkv"));
        let done = redraw(&artist, &runs, (&take, &next), &mut timings, &mut part)?;
        keyframes += done.0;
        middle = done.1;
        take = next;
    }
    let thumbnail = bench.keep_thumbnail(&middle)?;
    Ok(TaskOutput::Take { video: bench.keep(&take)?, thumbnail, keyframes, timings: timings.seconds() })
}

/// Finds the face in every frame, and the one beside it.
fn follow(
    bench: &mut Bench,
    subject: Subject<'_>,
    take: &Path,
    progress: &mut Progress<'_>,
) -> Result<Vec<Run>, Fault> {
    let threshold = bench.models.pack.identity.detect_score;
    let mut reader = VideoReader::open(take)?;
    let total = reader.info().frames.map_or(1, |frames| frames.0.max(1));
    let (mut track, mut beside) = (Track::default(), Track::default());
    while let Some((number, picture)) = reader.next_frame()? {
        go_on(progress(FOLLOWING * number as f32 / total as f32, "following the face"))?;
        let (detector, _) = bench.models.faces()?;
        let found: Vec<_> = detector.detect(&picture, threshold)?.into_iter().map(|found| found.bbox).collect();
        track.add(&found, subject.seen());
        beside.add(&found, subject.beside());
    }
    Ok(track.runs(beside))
}

/// Writes the take with the face made anew; gives how many pictures that took, and the middle frame.
fn redraw(
    artist: &Artist<'_>,
    runs: &[Run],
    (from, to): (&Path, &Path),
    timings: &mut Timings,
    progress: &mut Progress<'_>,
) -> Result<(u32, RgbImage), Fault> {
    let (mut ahead, mut copy) = (VideoReader::open(from)?, Copy::begin(from, to)?);
    let every = if let Keyframing::Chain { every, .. } = artist.spec.keyframes { every.0 } else { copy.total };
    let of_take = keyframe_positions(copy.total, every);
    let count = runs.iter().map(|run| run.keyframes(&of_take).len()).sum::<usize>();
    let mut made = 0;
    for run in runs {
        copy.until(run.frames.start)?;
        let mut between = Inbetween::new();
        for at in run.keyframes(&of_take) {
            let Some(frame) = frame(&mut ahead, at)? else { break };
            let message = format!("picture {} of {count}", made + 1);
            let mut step = |done: StepDone| {
                let part = (made as f32 + done.step as f32 / done.of as f32) / count as f32;
                progress(CHOSEN + (1.0 - CHOSEN) * part, &message)
            };
            let face = timings.of("keyframes", || artist.paint(&frame, &run.at(at), &mut step))?;
            made += 1;
            timings.of("frames", || {
                let mut faces = between.push(at, face)?;
                faces.try_for_each(|face| copy.with(artist, run, &face))
            })?;
        }
        if let Some(face) = between.finish() {
            timings.of("frames", || copy.with(artist, run, &face))?;
        }
    }
    copy.until(u64::MAX)?;
    copy.writer.finish()?;
    Ok((made as u32, copy.middle))
}

/// Reads on to the frame of a number.
fn frame(reader: &mut VideoReader, number: u64) -> Result<Option<RgbImage>, Fault> {
    while let Some((at, picture)) = reader.next_frame()? {
        if at == number {
            return Ok(Some(picture));
        }
    }
    Ok(None)
}

/// The repaired take as it grows beside the old one.
struct Copy {
    reader: VideoReader,
    writer: TakeWriter,
    total: u64,
    at: u64,
    middle: RgbImage,
}

impl Copy {
    fn begin(from: &Path, to: &Path) -> Result<Self, Fault> {
        let reader = VideoReader::open(from)?;
        let info = reader.info();
        let (writer, total) = (TakeWriter::create(to, info.size, info.fps)?, info.frames.map_or(0, |frames| frames.0));
        Ok(Self { reader, writer, total, at: 0, middle: RgbImage::default() })
    }

    /// Copies up to a frame, which is not copied yet.
    fn until(&mut self, frame: u64) -> Result<(), Fault> {
        while self.at < frame && self.next(|_, _| {})? {}
        Ok(())
    }

    /// Copies the next frame with the new picture in it.
    fn with(&mut self, artist: &Artist<'_>, run: &Run, face: &RgbImage) -> Result<(), Fault> {
        self.next(|at, picture| artist.put_back(picture, &run.at(at), face, run.share(at))).map(|_| ())
    }

    fn next(&mut self, change: impl FnOnce(u64, &mut RgbImage)) -> Result<bool, Fault> {
        let Some((at, mut picture)) = self.reader.next_frame()? else { return Ok(false) };
        change(at, &mut picture);
        self.writer.write(&picture)?;
        if at == self.total / 2 {
            self.middle = picture;
        }
        self.at = at + 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::validate::tests::{Stage, go};
    use greenroom_domain::{Digest, FaceRepair, FigureRemoval, Frames, IdentityPrompt, Prompt, Seed, Verdict};

    /// A repair of a take, in few steps.
    fn spec(stage: &Stage, video: Digest, faces: Vec<FaceRepair>, figures: Vec<FigureRemoval>) -> RepairSpec {
        let pack = &stage.bench.models.pack;
        let how = &pack.diffusion.repair;
        RepairSpec {
            pack: pack.digest(),
            shot: "1-1".parse().unwrap(),
            take: 2,
            of: 1,
            video,
            faces,
            figures,
            seed: Seed(1),
            keyframes: Keyframing::Chain { every: Frames(12), strength: 0.5 },
            crop: how.crop,
            strength: how.strength,
            candidates: 2,
            steps: 6,
            guidance: pack.diffusion.guidance,
        }
    }

    fn caption(positive: &str) -> Prompt {
        Prompt { positive: positive.into(), ..Prompt::default() }
    }

    fn frames(stage: &Stage, take: Digest) -> Vec<RgbImage> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("take.mkv");
        stage.bench.fetch(take, &file).unwrap();
        let mut reader = VideoReader::open(&file).unwrap();
        std::iter::from_fn(|| reader.next_frame().unwrap()).map(|(_, frame)| frame).collect()
    }

    #[test]
    fn the_face_becomes_hers_and_everything_else_stays_to_the_bit() {
        let mut stage = Stage::new();
        let old = stage.film(|_| [None, Some("cast/tobin/1.png")]);
        let before = stage.judge(old, &["MARA"]);
        let (character, seen) = before.mendable().faces.remove(0);
        let (mara, scale) = (&stage.cast[0], stage.bench.models.pack.diffusion.repair.identity_scale);
        let identity = Some(IdentityPrompt { character: mara.character.clone(), profile: mara.profile, scale });
        let prompt = caption("close shot of a young woman");
        let face = FaceRepair { character: character.into(), prompt, identity, lora: None, seen };
        let (spec, scratch) = (spec(&stage, old, vec![face], vec![]), tempfile::tempdir().unwrap());
        let made = run(&mut stage.bench, &spec, scratch.path(), &mut go).unwrap();
        let TaskOutput::Take { video, keyframes, .. } = made else { panic!("{made:?}") };
        assert_eq!(keyframes, 3);
        let face = spec.faces[0].seen[0].bbox;
        let (olds, news) = (frames(&stage, old), frames(&stage, video));
        assert_eq!(olds.len(), news.len());
        for (old, new) in olds.iter().zip(&news) {
            let changed = old.enumerate_pixels().filter(|(x, y, pixel)| *pixel != new.get_pixel(*x, *y));
            let changed: Vec<(f32, f32)> = changed.map(|(x, y, _)| (x as f32, y as f32)).collect();
            let half = spec.crop / 2.0 * (face.x1 - face.x0).max(face.y1 - face.y0);
            let (x, y) = ((face.x0 + face.x1) / 2.0, (face.y0 + face.y1) / 2.0);
            assert!(changed.iter().all(|(px, py)| (px - x).abs() < half && (py - y).abs() < half));
            let inside = |p: &&(f32, f32)| (face.x0..face.x1).contains(&p.0) && (face.y0..face.y1).contains(&p.1);
            let share = changed.iter().filter(inside).count() as f32 / ((face.x1 - face.x0) * (face.y1 - face.y0));
            assert!(share > 0.8, "{share} of the face has changed");
        }
        let cosine = |verdict: &Verdict| verdict.characters.iter().find(|c| c.expected).unwrap().cosine.unwrap().0;
        let (was, is) = (cosine(&before), cosine(&stage.judge(video, &["MARA"])));
        assert!(is > was + 0.1, "{was} → {is}");
    }

    #[test]
    fn a_double_is_gone_and_whoever_stays_is_untouched() {
        let mut stage = Stage::new();
        let old = stage.film(|_| [Some("moving/mara"), Some("moving/mara")]);
        let before = stage.judge(old, &["MARA"]);
        let (character, seen, beside) = before.mendable().figures.remove(0);
        let (prompt, stays) = (caption("wide shot, laboratory, day"), beside[0].bbox);
        let figure = FigureRemoval { character: character.into(), prompt, seen, beside };
        let (spec, scratch) = (spec(&stage, old, vec![], vec![figure]), tempfile::tempdir().unwrap());
        let made = run(&mut stage.bench, &spec, scratch.path(), &mut go).unwrap();
        let TaskOutput::Take { video, .. } = made else { panic!("{made:?}") };
        let verdict = stage.judge(video, &["MARA"]);
        assert!(verdict.decision.is_accept(), "{verdict}");
        let (x, y) = ((stays.x0 as u32, stays.x1 as u32), (stays.y0 as u32, stays.y1 as u32));
        for (old, new) in frames(&stage, old).iter().zip(&frames(&stage, video)) {
            let mut face = (x.0..x.1).flat_map(|x| (y.0..y.1).map(move |y| (x, y)));
            assert!(face.all(|(x, y)| old.get_pixel(x, y) == new.get_pixel(x, y)));
        }
    }
}
