//! What a worker can do, a file per task kind.

mod assemble;
mod calibrate;
mod collect;
mod command;
mod convert;
#[cfg(test)]
mod doors;
mod generate;
mod looks;
mod profile;
mod prove;
mod repair;
mod room;
mod train;
mod validate;

use bytes::Bytes;
use greenroom_artifacts::ArtifactStore;
use greenroom_diffusion::StableDiffusion;
use greenroom_domain::{CharacterCalibration, Digest, LoraDataset, LoraPrompt, Problem, ProblemKind, Spec, TaskOutput};
use greenroom_identity::Profile;
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};
use std::{
    io::Cursor,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::{fault::Fault, models::Models, session::Session, task_log::TaskLog};

pub(crate) use room::Patience;

/// What tasks work with. One task at a time uses it.
pub(crate) struct Bench {
    /// The pack's models.
    pub models: Models,
    /// The farm's artifacts.
    pub artifacts: ArtifactStore,
    /// Where the artifact store's futures run.
    pub runtime: Handle,
    /// Parent of the tasks' scratch folders.
    pub scratch: PathBuf,
    /// A picture for whoever watches.
    pub preview: Preview,
    /// What the task says.
    pub log: TaskLog,
    /// How commands run; none where they do not.
    pub commands: Option<Commands>,
    /// What the next command task finds open.
    pub session: Option<Session>,
    /// Who is asked while a task waits.
    pub patience: Patience,
}

/// The newest picture made on the way that nobody was shown yet (JPEG). It goes with the next word of progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preview(Arc<Mutex<Vec<u8>>>);

impl Preview {
    /// Takes it out; empty where there is none.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows a picture, made smaller where it is large.
    fn show(&self, picture: &RgbImage) -> Result<(), Fault> {
        let shown = if picture.width() > THUMBNAIL { thumbnail(picture) } else { picture.clone() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = jpeg(&shown, 85)?;
        Ok(())
    }
}

/// How commands run.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    /// As which user.
    pub user: String,
    /// Where they get their working folders.
    pub scratch: PathBuf,
}

/// Tells how far a task is (0 to 1) and with what; answers whether to go on.
pub(crate) type Progress<'a> = dyn FnMut(f32, &str) -> ControlFlow<()> + 'a;

/// Runs one task.
pub(crate) fn run(bench: &mut Bench, spec: Spec, progress: &mut Progress<'_>) -> Result<TaskOutput, Fault> {
    std::fs::create_dir_all(&bench.scratch)?;
    let scratch = TempDir::new_in(&bench.scratch)?;
    match spec {
        Spec::Profile(spec) => profile::run(bench, &spec, progress),
        Spec::Calibrate(spec) => calibrate::run(bench, &spec, progress),
        Spec::Generate(spec) => generate::run(bench, &spec, scratch.path(), progress),
        Spec::Repair(spec) => repair::run(bench, &spec, scratch.path(), progress),
        Spec::Validate(spec) => validate::run(bench, &spec, scratch.path(), progress),
        Spec::Assemble(spec) => assemble::run(bench, &spec, scratch.path(), progress),
        Spec::Collect(spec) => collect::run(bench, &spec, scratch.path(), progress),
        Spec::Train(spec) => train::run(bench, &spec, progress),
        Spec::Convert(spec) => convert::run(bench, &spec, progress),
        Spec::Prove(spec) => prove::run(bench, &spec, progress),
        Spec::Command(spec) => command::run(bench, &spec, scratch.path(), progress),
        Spec::Breakdown { .. } => {
            let cause = "breakdowns are the control plane's own work";
            Err(Problem::new(ProblemKind::Internal, "run task", "breakdown", cause, "report this as a bug").into())
        }
    }
}

/// Ends the session that waits for the next task of its step.
pub(crate) fn end_session(bench: &mut Bench) {
    if let Some(session) = bench.session.take() {
        session.close();
    }
}

/// Width of a take's thumbnail, pixels.
const THUMBNAIL: u32 = 384;

/// A reference picture of more bytes is refused.
const PICTURE_LIMIT: u64 = 64 << 20;

/// A profile of more bytes is none.
const PROFILE_LIMIT: u64 = 16 << 20;

/// A list of training pictures of more bytes is none.
const DATASET_LIMIT: u64 = 16 << 20;

/// A calibration of more bytes is none.
const CALIBRATION_LIMIT: u64 = 1 << 20;

impl Bench {
    fn picture(&self, digest: Digest, name: &str) -> Result<RgbImage, Fault> {
        let bytes = self.runtime.block_on(self.artifacts.get_bytes(digest, PICTURE_LIMIT))?;
        Ok(greenroom_media::load_picture(&bytes, name)?)
    }

    fn profile(&self, digest: Digest) -> Result<Profile, Fault> {
        let bytes = self.runtime.block_on(self.artifacts.get_bytes(digest, PROFILE_LIMIT))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let remedy = "create the character again";
            Problem::new(ProblemKind::Internal, "read profile", digest.to_string(), e, remedy).into()
        })
    }

    /// The generator with this LoRA and no other.
    fn generator(&mut self, lora: Option<&LoraPrompt>) -> Result<&mut StableDiffusion, Fault> {
        let Some(lora) = lora else { return self.models.diffusion() };
        let file = self.scratch.join(format!("{}.safetensors", lora.lora));
        let (artifacts, runtime) = (&self.artifacts, &self.runtime);
        let fetch = || {
            runtime.block_on(artifacts.fetch_to(lora.lora, &file))?;
            Ok(file.clone())
        };
        let worn = self.models.diffusion_with((lora.lora, lora.weight), fetch).map(|_| ());
        // It lies in memory now.
        let _ = std::fs::remove_file(&file);
        worn?;
        self.models.diffusion_with((lora.lora, lora.weight), || Ok(file))
    }

    fn dataset(&self, digest: Digest) -> Result<LoraDataset, Fault> {
        let bytes = self.runtime.block_on(self.artifacts.get_bytes(digest, DATASET_LIMIT))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let remedy = "train again";
            Problem::new(ProblemKind::Internal, "read dataset", digest.to_string(), e, remedy).into()
        })
    }

    fn calibration(&self, digest: Digest) -> Result<CharacterCalibration, Fault> {
        let bytes = self.runtime.block_on(self.artifacts.get_bytes(digest, CALIBRATION_LIMIT))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let remedy = "create the character again";
            Problem::new(ProblemKind::Internal, "read calibration", digest.to_string(), e, remedy).into()
        })
    }

    /// Copies an artifact to a scratch file, checking its digest.
    fn fetch(&self, digest: Digest, path: &Path) -> Result<(), Fault> {
        Ok(self.runtime.block_on(self.artifacts.fetch_to(digest, path))?)
    }

    fn keep(&self, path: &Path) -> Result<Digest, Fault> {
        self.put(async || self.artifacts.put_file(path).await)
    }

    fn keep_png(&self, picture: &RgbImage) -> Result<Digest, Fault> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png)?;
        self.keep_bytes(bytes.into_inner())
    }

    /// Keeps a frame as a take's thumbnail.
    fn keep_thumbnail(&self, frame: &RgbImage) -> Result<Digest, Fault> {
        self.keep_png(&thumbnail(frame))
    }

    fn keep_jpeg(&self, picture: &RgbImage, quality: u8) -> Result<Digest, Fault> {
        self.keep_bytes(jpeg(picture, quality)?)
    }

    /// Keeps bytes as they are.
    pub(crate) fn keep_bytes(&self, bytes: Vec<u8>) -> Result<Digest, Fault> {
        let bytes = Bytes::from(bytes);
        self.put(async || self.artifacts.put_bytes(bytes.clone()).await)
    }

    fn keep_json<T: serde::Serialize>(&self, value: &T) -> Result<Digest, Fault> {
        self.keep_bytes(serde_json::to_vec(value).map_err(std::io::Error::from)?)
    }
}

/// As wide as takes' thumbnails are.
fn thumbnail(picture: &RgbImage) -> RgbImage {
    let height = (THUMBNAIL * picture.height()).checked_div(picture.width()).unwrap_or(0).max(1);
    imageops::resize(picture, THUMBNAIL, height, imageops::FilterType::Triangle)
}

fn jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture)?;
    Ok(bytes)
}

/// Goes on, or ends the task as cancelled.
pub(crate) fn go_on(flow: ControlFlow<()>) -> Result<(), Fault> {
    if flow.is_break() { Err(Fault::cancelled()) } else { Ok(()) }
}
