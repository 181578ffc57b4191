//! Rejected take → take with other faces: each face is cut out, made anew at the size that the model draws best, and put back
//! with a soft edge. Everything else stays as it is, to the bit.
//!
//! A face is made anew at the take's keyframes, always from the same noise, and moved along between them as the take's own
//! pictures are; so it does not flicker. All of its frames are, also those that were good: a change in the middle of a take
//! would be seen. The take is read frame by frame: once to follow the face, once to repair it.

mod track;

use greenroom_diffusion::{Inpaint, Request, StableDiffusion, Start, StepDone};
use greenroom_domain::{Box2, FaceRepair, Keyframing, Pixels, RepairSpec, TaskOutput};
use greenroom_media::{Inbetween, Oval, TakeWriter, VideoReader, Window, keyframe_positions};
use image::{GrayImage, Luma, RgbImage};
use std::path::Path;

use super::{Bench, Progress, generate, go_on};
use crate::{clock::Timings, fault::Fault};
use track::{Run, Track};

/// The oval that is made anew, in halves of the face's box: from the brow to the chin a box holds neither forehead nor ears,
/// and a new face in an old outline shows a seam.
const OVAL: (f32, f32) = (1.25, 1.35);
/// The oval's centre lies higher than the box's by this share of the box's height, for the forehead.
const RAISED: f32 = 0.08;
/// The soft edge ends at so many radii of the oval.
const EDGE: f32 = 1.3;
/// Share of the work that following the face is.
const FOLLOWING: f32 = 0.15;

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
    for (number, face) in spec.faces.iter().enumerate() {
        let mut part = |fraction: f32, message: &str| {
            progress((number as f32 + fraction) / spec.faces.len() as f32, &format!("{}: {message}", face.character))
        };
        let runs = timings.of("faces", || follow(bench, face, &take, &mut part))?;
        let artist = Artist::new(bench, spec, face, number)?;
        let next = scratch.join(format!("repaired-{number}.mkv"));
        let done = redraw(&artist, &runs, (&take, &next), &mut timings, &mut part)?;
        keyframes += done.0;
        middle = done.1;
        take = next;
    }
    let thumbnail = bench.keep_thumbnail(&middle)?;
    Ok(TaskOutput::Take { video: bench.keep(&take)?, thumbnail, keyframes, timings: timings.seconds() })
}

/// Finds the face in every frame.
fn follow(bench: &mut Bench, face: &FaceRepair, take: &Path, progress: &mut Progress<'_>) -> Result<Vec<Run>, Fault> {
    let threshold = bench.models.pack.identity.detect_score;
    let mut reader = VideoReader::open(take)?;
    let total = reader.info().frames.map_or(1, |frames| frames.0.max(1));
    let mut track = Track::default();
    while let Some((number, picture)) = reader.next_frame()? {
        go_on(progress(FOLLOWING * number as f32 / total as f32, "following the face"))?;
        let (detector, _) = bench.models.faces()?;
        track.add(detector.detect(&picture, threshold)?.into_iter().map(|found| found.bbox), &face.seen);
    }
    Ok(track.runs())
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
            let message = format!("face {} of {count}", made + 1);
            let mut step = |done: StepDone| {
                let part = (made as f32 + done.step as f32 / done.of as f32) / count as f32;
                progress(FOLLOWING + (1.0 - FOLLOWING) * part, &message)
            };
            let face = timings.of("keyframes", || artist.paint(&frame, &run.face(at), &mut step))?;
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

    /// Copies the next frame with another face.
    fn with(&mut self, artist: &Artist<'_>, run: &Run, face: &RgbImage) -> Result<(), Fault> {
        self.next(|at, picture| artist.put_back(picture, &run.face(at), face, run.share(at))).map(|_| ())
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

/// Makes faces anew.
struct Artist<'a> {
    spec: &'a RepairSpec,
    diffusion: &'a StableDiffusion,
    /// Without a start: that is each picture's own.
    request: Request,
}

impl<'a> Artist<'a> {
    fn new(bench: &'a mut Bench, spec: &'a RepairSpec, face: &FaceRepair, number: usize) -> Result<Self, Fault> {
        let identity = face.identity.as_ref().map(|who| generate::tokens(bench, who)).transpose()?.flatten();
        let Pixels { width, height } =
            generate::nearest_shape(&bench.models.pack.diffusion.native_sizes, Pixels { width: 1, height: 1 });
        let (size, seed) = (width.min(height), spec.seed.derive("face", number as u32).0);
        let request = Request {
            negative: face.prompt.negative.clone(),
            guidance: spec.guidance,
            identity,
            ..Request::new(&face.prompt.positive, seed, (size, size), spec.steps)
        };
        Ok(Self { spec, request, diffusion: bench.models.diffusion()? })
    }

    /// The square around a face, made anew.
    fn paint(
        &self,
        frame: &RgbImage,
        face: &Box2,
        step: &mut dyn FnMut(StepDone) -> std::ops::ControlFlow<()>,
    ) -> Result<RgbImage, Fault> {
        let (window, oval) = self.place(face, frame.dimensions());
        let size = self.request.width;
        let picture = window.cut(frame, size);
        let inside = |pixel: u32| (pixel as f32 + 0.5) / size as f32;
        let mask = GrayImage::from_fn(size, size, |x, y| {
            Luma([if oval.distance(inside(x), inside(y)) <= 1.0 { u8::MAX } else { 0 }])
        });
        let start = Start { latent: self.diffusion.encode(&picture)?, strength: self.spec.strength };
        let inpaint = Some(Inpaint { picture, mask });
        let request = Request { start: Some(start), inpaint, ..self.request.clone() };
        Ok(self.diffusion.generate(&request, step)?.picture)
    }

    fn put_back(&self, frame: &mut RgbImage, face: &Box2, painted: &RgbImage, share: f32) {
        let (window, oval) = self.place(face, frame.dimensions());
        window.paste(frame, painted, &oval, share);
    }

    /// What is cut out around a face, and what of it is made anew.
    fn place(&self, face: &Box2, size: (u32, u32)) -> (Window, Oval) {
        let (width, height) = (face.x1 - face.x0, face.y1 - face.y0);
        let centre = ((face.x0 + face.x1) / 2.0, (face.y0 + face.y1) / 2.0 - RAISED * height);
        let side = f64::from(self.spec.crop * width.max(height));
        let window = Window::inside((f64::from(centre.0), f64::from(centre.1)), side, size);
        let share = |length: f32| length / window.side as f32;
        let oval = Oval {
            centre: (share(centre.0 - window.left as f32), share(centre.1 - window.top as f32)),
            radii: (share(OVAL.0 * width / 2.0), share(OVAL.1 * height / 2.0)),
            edge: EDGE,
        };
        (window, oval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::validate::tests::{Stage, go};
    use greenroom_domain::{Digest, Frames, IdentityPrompt, Prompt, Seed, Verdict};

    const PORTRAIT: &str = "close shot of a young woman";

    /// A repair of a take in which TOBIN stands where MARA is expected.
    fn spec(stage: &Stage, video: Digest, verdict: &Verdict) -> RepairSpec {
        let pack = &stage.bench.models.pack;
        let how = &pack.diffusion.repair;
        let mara = &stage.cast[0];
        let identity =
            IdentityPrompt { character: mara.character.clone(), profile: mara.profile, scale: how.identity_scale };
        let (character, seen) = verdict.wrong_faces().remove(0);
        let prompt = Prompt { positive: PORTRAIT.into(), ..Prompt::default() };
        RepairSpec {
            pack: pack.digest(),
            shot: "1-1".parse().unwrap(),
            take: 2,
            of: 1,
            video,
            faces: vec![FaceRepair { character: character.into(), prompt, identity: Some(identity), seen }],
            seed: Seed(1),
            keyframes: Keyframing::Chain { every: Frames(12), strength: 0.5 },
            crop: how.crop,
            strength: how.strength,
            steps: 6,
            guidance: pack.diffusion.guidance,
        }
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
        let (spec, scratch) = (spec(&stage, old, &before), tempfile::tempdir().unwrap());
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
}
