//! What people bring to the two doors of the farm, pictures and videos: judged, or refused with one problem.

use super::*;
use greenroom_domain::{Decision, Fps, Pixels, ProfileSpec, ValidateSpec};
use greenroom_media::TakeWriter;
use image::{ImageFormat, Rgb, imageops};
use tokio::runtime::Runtime;

#[expect(clippy::disallowed_methods, reason = "where the library lies is the machine's to say")]
fn library() -> PathBuf {
    let cache = || match std::env::var_os("GREENROOM_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/greenroom"),
    };
    std::env::var_os("GREENROOM_ONNXRUNTIME")
        .map_or_else(|| cache().join("onnxruntime/libonnxruntime.so"), PathBuf::from)
}

/// A bench with the shipped pack, and the folder of its artifacts.
struct Door {
    bench: Bench,
    runtime: Runtime,
    folder: TempDir,
}

impl Door {
    fn open() -> Self {
        let (runtime, folder) = (Runtime::new().unwrap(), TempDir::new().unwrap());
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/packs/puppet");
        let models = Models::open(&pack, Some(library()), 2).unwrap();
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
        Self { bench, runtime, folder }
    }

    fn bring(&self, bytes: Vec<u8>) -> Digest {
        self.runtime.block_on(self.bench.artifacts.put_bytes(bytes.into())).unwrap()
    }

    /// Profiles MARA by one picture.
    fn reference(&mut self, name: &str, bytes: Vec<u8>) -> Result<TaskOutput, Fault> {
        let references = vec![(name.to_owned(), self.bring(bytes))];
        let spec = ProfileSpec { pack: self.bench.models.pack.digest(), character: "MARA".into(), references };
        run(&mut self.bench, Spec::Profile(spec), &mut |_, _| ControlFlow::Continue(()))
    }

    /// Validates a video in which MARA is expected, whom nobody knows.
    fn video(&mut self, bytes: Vec<u8>) -> Result<TaskOutput, Fault> {
        let spec = ValidateSpec {
            pack: self.bench.models.pack.digest(),
            shot: "1-1".parse().unwrap(),
            take: self.bring(bytes),
            cast: Vec::new(),
            expected: vec!["MARA".into()],
            gate: 0.75,
            samples: 8,
            captions: Default::default(),
            anchors: Default::default(),
        };
        run(&mut self.bench, Spec::Validate(spec), &mut |_, _| ControlFlow::Continue(()))
    }

    /// A take that shows one picture.
    fn film(&self, picture: &RgbImage, frames: usize) -> Vec<u8> {
        let file = self.folder.path().join("film.mkv");
        let size = Pixels { width: picture.width(), height: picture.height() };
        let mut writer = TakeWriter::create(&file, size, Fps::FILM).unwrap();
        (0..frames).for_each(|_| writer.write(picture).unwrap());
        writer.finish().unwrap();
        std::fs::read(file).unwrap()
    }
}

fn mara() -> RgbImage {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hidden-lab/cast/mara/1.png");
    image::open(file).unwrap().to_rgb8()
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn a_black_video_and_a_single_frame_are_judged_and_no_error() {
    let mut door = Door::open();
    for (picture, frames) in [(RgbImage::new(384, 384), 12), (RgbImage::new(384, 384), 1), (mara(), 1)] {
        let film = door.film(&picture, frames);
        let Ok(TaskOutput::Verdict { verdict, .. }) = door.video(film) else { panic!("no verdict on {frames} frames") };
        assert!(matches!(verdict.decision, Decision::Unscored { .. }), "{verdict}");
        assert!(!verdict.frames.is_empty());
    }
}

#[test]
fn a_video_that_is_none_is_one_problem_for_good() {
    let mut door = Door::open();
    let whole = door.film(&mara(), 12);
    let half = whole[..whole.len() / 2].to_vec();
    for bytes in [Vec::new(), b"RIFF".to_vec(), half] {
        let Err(Fault(error)) = door.video(bytes) else { panic!("it was judged") };
        assert!(
            !error.retry && error.problem.step == "read video" && error.problem.subject.ends_with("take.mkv"),
            "{error:?}"
        );
        assert!(error.problem.remedy.starts_with("make the file again"), "{error:?}");
    }
}

#[test]
fn references_that_show_no_face_or_are_no_picture_are_one_problem_each() {
    let mut door = Door::open();
    let png = encoded(&mara(), ImageFormat::Png);
    let twice = imageops::resize(&mara(), 300, 300, imageops::FilterType::Triangle);
    let mut two = RgbImage::from_pixel(620, 310, Rgb([90; 3]));
    imageops::replace(&mut two, &twice, 0, 5);
    imageops::replace(&mut two, &twice, 315, 5);
    let cases = [
        ("black.png", encoded(&RgbImage::new(300, 300), ImageFormat::Png), "no face was found"),
        ("two.png", encoded(&two, ImageFormat::Png), "2 faces were found"),
        ("half.png", png[..png.len() / 2].to_vec(), "the file is cut off"),
        ("nothing.png", Vec::new(), "the file is empty"),
        ("moving.gif", b"GIF89a\x01\0\x01\0\0\0\0".to_vec(), "a GIF picture; only PNG, JPEG and WebP are read"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0".to_vec(), "a HEIC picture; only PNG, JPEG and WebP are read"),
    ];
    for (name, bytes, cause) in cases {
        let Err(Fault(error)) = door.reference(name, bytes) else { panic!("{name} was profiled") };
        let problem = &error.problem;
        assert_eq!((problem.subject.as_str(), problem.cause.as_str(), error.retry), (name, cause, false));
        assert!(!problem.step.is_empty() && problem.remedy.starts_with("give ") || problem.remedy.starts_with("save "));
    }
    assert!(door.reference("mara.jpg", encoded(&mara(), ImageFormat::Jpeg)).is_ok());
}
