//! Take → verdict: decode, sample, detect, align, embed, let the gate judge, and look at what a score cannot tell.

use greenroom_domain::{Calibration, CastMember, TaskOutput, ValidateSpec};
use greenroom_identity::{FoundFace, JudgeInput, SeenFace, Wanted, distinct_frames, judge, repeats};
use greenroom_media::{Sampling, VideoSampler};
use image::RgbImage;
use std::{collections::BTreeMap, path::Path};

use super::{Bench, Progress, go_on, looks::Witness};
use crate::{clock::Timings, fault::Fault};

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

    let curves = curves(bench, &spec.cast)?;

    let scoring = bench.models.pack.identity.scoring.clone();
    let sampling =
        Sampling { fewest: spec.samples, per_second: scoring.samples_per_second, most: scoring.most_samples };
    let mut sampler = timings.of("decode", || VideoSampler::open(&take, &sampling))?;
    let fps = sampler.info().fps;
    let wanted = Wanted {
        score: bench.models.pack.identity.detect_score,
        embedded_from: bench.models.pack.identity.smallest_face,
    };
    let mut witness = Witness::default();
    let (mut numbers, mut cuts) = (Vec::new(), Vec::new());
    let mut decoding = Timings::default();
    let found = {
        let next = || -> Result<Option<RgbImage>, Fault> {
            let Some(sample) = decoding.of("decode", || sampler.next_sample())? else { return Ok(None) };
            let part = sampler.part(&sample);
            go_on(progress(part, &format!("frame {}, {:.0} % of the take", sample.number + 1, part * 100.0)))?;
            if sample.after_cut {
                cuts.push(sample.number);
            }
            witness.keep(sample.number, &sample.picture);
            numbers.push(sample.number);
            Ok(Some(sample.picture))
        };
        let pipeline = bench.models.face_pipeline()?;
        timings.of("faces", || pipeline.look(wanted, next))?
    };
    timings.apart("faces", decoding);
    let found = numbers.into_iter().zip(found);
    let frames: Vec<_> = found.map(|(frame, found)| (frame, seen(frame, found, &mut witness))).collect();
    let repeated = repeats(&frames, witness.glimpses(), &scoring.copies);
    let (frames, cuts) = distinct_frames(frames, &cuts, &repeated);
    let mut verdict = judge(&JudgeInput {
        frames: &frames,
        cuts: &cuts,
        fps,
        cast: &cast,
        expected: &spec.expected,
        gate: spec.gate,
        calibration: &bench.models.pack.identity.calibration,
        curves: &curves,
        scoring: &scoring,
        models: bench.models.used()?,
    });
    verdict.looks.repeats = repeated;
    timings.of("looks", || witness.testify(bench, spec, &cast, fps, &mut verdict))?;
    Ok(TaskOutput::Verdict { verdict, timings: timings.seconds() })
}

/// By name the curves of those who were calibrated, with this pack's embedder: one of another reads other cosines.
fn curves(bench: &Bench, cast: &[CastMember]) -> Result<BTreeMap<String, Calibration>, Fault> {
    let embedder = bench.models.embedder_digest()?;
    let mut curves = BTreeMap::new();
    for member in cast {
        let Some(used) = &member.calibration else { continue };
        let own = bench.calibration(used.calibration)?;
        if own.embedder == embedder {
            let curve = Calibration { name: own.title(used.number), ..own.curve };
            curves.insert(member.character.clone(), curve);
        }
    }
    Ok(curves)
}

fn seen(frame: u64, found: Vec<FoundFace>, witness: &mut Witness) -> Vec<SeenFace> {
    let seen = |FoundFace { face, embedding, patch, square }| {
        witness.saw(frame, &face, patch, square);
        SeenFace { frame, bbox: face.bbox, detection: face.score, yaw: face.yaw(), embedding }
    };
    found.into_iter().map(seen).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        models::Models,
        run::{Patience, Preview, profile},
        task_log::TaskLog,
    };
    use greenroom_artifacts::ArtifactStore;
    use greenroom_domain::{Decision, Digest, Fps, Pixels, ProfileSpec, Reason, Verdict};
    use greenroom_media::TakeWriter;
    use image::{Rgb, imageops};
    use std::{ops::ControlFlow, path::PathBuf};
    use tempfile::TempDir;
    use tokio::runtime::Runtime;

    /// Room for two of the fixture's pictures, side by side.
    const SIZE: Pixels = Pixels { width: 768, height: 384 };
    const FRAMES: u64 = 24;

    fn fixture(file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hidden-lab").join(file)
    }

    #[expect(clippy::disallowed_methods, reason = "where the library lies is the machine's to say")]
    fn library() -> PathBuf {
        let cache = || match std::env::var_os("GREENROOM_CACHE") {
            Some(cache) => PathBuf::from(cache),
            None => PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/greenroom"),
        };
        std::env::var_os("GREENROOM_ONNXRUNTIME")
            .map_or_else(|| cache().join("onnxruntime/libonnxruntime.so"), PathBuf::from)
    }

    /// A worker's bench with the shipped pack, and MARA and TOBIN profiled on it.
    pub(in crate::run) struct Stage {
        pub(in crate::run) bench: Bench,
        pub(in crate::run) cast: Vec<CastMember>,
        runtime: Runtime,
        folder: TempDir,
    }

    pub(in crate::run) fn go(_: f32, _: &str) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    impl Stage {
        pub(in crate::run) fn new() -> Self {
            let (runtime, folder) = (Runtime::new().unwrap(), TempDir::new().unwrap());
            let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet");
            let models = Models::open(&pack, Some(library()), 1).unwrap();
            let artifacts = ArtifactStore::local(folder.path().join("artifacts")).unwrap();
            let scratch = folder.path().join("scratch");
            let (handle, preview) = (runtime.handle().clone(), Preview::default());
            let bench = Bench {
                models,
                artifacts,
                runtime: handle,
                scratch,
                preview,
                log: TaskLog::default(),
                commands: None,
                session: None,
                patience: Patience::default(),
            };
            let mut stage = Self { bench, cast: Vec::new(), runtime, folder };
            stage.cast = [("MARA", "mara"), ("TOBIN", "tobin")].map(|(name, cast)| stage.member(name, cast)).into();
            stage
        }

        fn member(&mut self, name: &str, folder: &str) -> CastMember {
            let references = self.references(folder);
            let spec = ProfileSpec { pack: self.bench.models.pack.digest(), character: name.into(), references };
            match profile::run(&mut self.bench, &spec, &mut go) {
                Ok(TaskOutput::Profile { profile, .. }) => {
                    CastMember { character: name.into(), profile, calibration: None, lora: None }
                }
                other => panic!("{other:?}"),
            }
        }

        /// Three of a character's pictures.
        pub(in crate::run) fn references(&self, folder: &str) -> Vec<(String, Digest)> {
            let reference = |number| {
                let file = format!("{number}.png");
                let bytes = std::fs::read(fixture(&format!("cast/{folder}/{file}"))).unwrap();
                (file, self.runtime.block_on(self.bench.artifacts.put_bytes(bytes.into())).unwrap())
            };
            [1, 2, 3].map(reference).into()
        }

        /// Films a second: for each frame who is on the left and on the right, in a folder of pictures that go over into each
        /// other, or in one picture that stays.
        pub(in crate::run) fn film(&self, shown: impl Fn(u64) -> [Option<&'static str>; 2]) -> Digest {
            let path = self.folder.path().join("film.mkv");
            let mut writer = TakeWriter::create(&path, SIZE, Fps::FILM).unwrap();
            for number in 0..FRAMES {
                let mut frame = RgbImage::from_pixel(SIZE.width, SIZE.height, Rgb([90; 3]));
                for (file, x) in shown(number).into_iter().zip([0, 384]) {
                    if let Some(file) = file {
                        imageops::replace(&mut frame, &picture(file, number), x, 0);
                    }
                }
                writer.write(&frame).unwrap();
            }
            writer.finish().unwrap();
            self.runtime.block_on(self.bench.artifacts.put_file(&path)).unwrap()
        }

        pub(in crate::run) fn judge(&mut self, take: Digest, expected: &[&str]) -> Verdict {
            let spec = ValidateSpec {
                pack: self.bench.models.pack.digest(),
                shot: "1-1".parse().unwrap(),
                take,
                cast: self.cast.clone(),
                expected: expected.iter().map(|name| (*name).to_owned()).collect(),
                gate: 0.75,
                samples: 8,
                captions: [("MARA".to_owned(), "close shot, green turtleneck, studio".to_owned())].into(),
                anchors: Default::default(),
            };
            let scratch = TempDir::new().unwrap();
            match run(&mut self.bench, &spec, scratch.path(), &mut go) {
                Ok(TaskOutput::Verdict { verdict, .. }) => verdict,
                other => panic!("{other:?}"),
            }
        }
    }

    /// A file, or what a folder of six shows in a frame.
    fn picture(file: &str, frame: u64) -> RgbImage {
        let open = |file: &str| image::open(fixture(file)).unwrap().to_rgb8();
        if file.ends_with(".png") {
            return open(file);
        }
        let (at, part) = (frame * 5 / FRAMES, (frame * 5 % FRAMES) as f32 / FRAMES as f32);
        let [mut from, to] = [1, 2].map(|n| open(&format!("{file}/{}.png", at + n)));
        from.iter_mut()
            .zip(to.iter())
            .for_each(|(a, b)| *a = (f32::from(*a) * (1.0 - part) + f32::from(*b) * part) as u8);
        from
    }

    const MARA: Option<&str> = Some("moving/mara");
    const TOBIN: Option<&str> = Some("moving/tobin");

    #[test]
    fn two_who_change_places_at_a_cut_keep_their_names() {
        let mut stage = Stage::new();
        let take = stage.film(|frame| if frame < 12 { [MARA, TOBIN] } else { [TOBIN, MARA] });
        let verdict = stage.judge(take, &["MARA", "TOBIN"]);
        assert!(verdict.decision.is_accept(), "{verdict}");
        assert!([11, 12].iter().all(|cut| verdict.frames.iter().any(|f| f.frame == *cut)), "both sides of the cut");
        for frame in &verdict.frames {
            let mara = frame.faces.iter().find(|f| f.character.as_deref() == Some("MARA")).unwrap();
            assert_eq!(mara.bbox.x0 < 384.0, frame.frame < 12, "frame {}", frame.frame);
        }
    }

    #[test]
    fn a_double_that_walks_in_is_named_with_its_frame_and_a_stranger_is_reported() {
        let mut stage = Stage::new();
        let with = |second: &'static str| move |frame| [MARA, if frame < 12 { None } else { Some(second) }];
        let doubled = stage.film(with("cast/mara/2.png"));
        let reasons = stage.judge(doubled, &["MARA"]).decision.reasons().to_vec();
        let [Reason::SecondFace { character, frame }] = reasons.as_slice() else { panic!("{reasons:?}") };
        assert!(character == "MARA" && *frame >= 12, "{reasons:?}");
        let joined = stage.film(with("strangers/1.png"));
        let verdict = stage.judge(joined, &["MARA"]);
        assert_eq!(verdict.decision, Decision::Accept);
        let [stranger] = verdict.strangers.as_slice() else { panic!("{:?}", verdict.strangers) };
        assert_eq!((stranger.first, stranger.last), (12, 23));
    }

    fn reasons(stage: &mut Stage, shown: impl Fn(u64) -> [Option<&'static str>; 2]) -> Vec<Reason> {
        let take = stage.film(shown);
        stage.judge(take, &["MARA"]).decision.reasons().to_vec()
    }

    #[test]
    fn a_still_of_a_reference_is_a_copy_and_frozen_and_one_that_is_none_is_frozen() {
        let mut stage = Stage::new();
        let found = reasons(&mut stage, |_| [Some("cast/mara/2.png"), None]);
        let [Reason::CopyOfReference { reference: 2, .. }, Reason::Frozen { first: 0, last: 23, .. }] =
            found.as_slice()
        else {
            panic!("{found:?}")
        };
        let found = reasons(&mut stage, |_| [Some("moving/mara/5.png"), None]);
        assert_eq!(found, [Reason::Frozen { character: "MARA".into(), first: 0, last: 23 }]);
    }

    #[test]
    fn a_take_tells_how_she_looks_and_shows_its_frames() {
        let mut stage = Stage::new();
        let take = stage.film(|_| [MARA, None]);
        let verdict = stage.judge(take, &["MARA"]);
        let [style] = verdict.looks.styles.as_slice() else { panic!("{:?}", verdict.looks) };
        let score = |name: &str| style.anchors.iter().find(|a| a.attribute == name).and_then(|a| a.score).unwrap();
        assert!(score("hair_colour") > 0.8 && score("garment") > 0.8 && style.score.unwrap() > 0.7, "{style:?}");
        let strip = stage.runtime.block_on(stage.bench.artifacts.get_bytes(verdict.looks.strip.unwrap(), 1 << 20));
        let strip = image::load_from_memory(&strip.unwrap()).unwrap();
        assert_eq!((strip.width(), strip.height()), (verdict.frames.len() as u32 * (288 + 4) - 4, 144 + 22));
    }
}
