//! A worker's bench without a daemon: tasks are run as a worker runs them.

use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{CastMember, Digest, ProfileSpec, Seed, ShotKey, Spec, TaskOutput, ValidateSpec, Verdict};
use greenroom_media::VideoReader;
use image::RgbImage;
use std::{collections::BTreeMap, ops::ControlFlow, path::PathBuf};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::task_log::TaskLog;
use crate::{
    Args, Fault,
    models::Models,
    run::{self, Bench, Patience, Preview},
};

/// Which shot tasks are told to be of; it is for messages only.
pub(crate) const SHOT: ShotKey = ShotKey { scene: 1, shot: 1 };

/// The bench and what it stands on.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    runtime: Runtime,
    folder: TempDir,
}

impl Stage {
    pub(crate) fn open(args: &Args) -> Result<Self, Fault> {
        let (runtime, folder) = (Runtime::new()?, TempDir::with_prefix("greenroom-measure-")?);
        let models = Models::open(&args.pack, Some(args.onnxruntime.clone()), args.threads)?;
        let artifacts = ArtifactStore::local(folder.path().join("artifacts"))?;
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
        Ok(Self { bench, runtime, folder })
    }

    pub(crate) fn run(&mut self, spec: Spec) -> Result<TaskOutput, Fault> {
        run::run(&mut self.bench, spec, &mut |_, _| ControlFlow::Continue(())).map_err(|fault| fault.0.into())
    }

    /// Runs a task that makes a take.
    pub(crate) fn film(&mut self, spec: Spec) -> Result<Digest, Fault> {
        match self.run(spec)? {
            TaskOutput::Take { video, .. } => Ok(video),
            other => Err(format!("a take was asked for, {other:?} came").into()),
        }
    }

    /// What the gate says of a take in which one character is expected.
    pub(crate) fn judge(&mut self, take: Digest, who: &CastMember, gate: f32) -> Result<Verdict, Fault> {
        let spec = ValidateSpec {
            pack: self.bench.models.pack.digest(),
            shot: SHOT,
            take,
            cast: vec![who.clone()],
            expected: vec![who.character.clone()],
            gate,
            samples: 16,
            captions: BTreeMap::new(),
            anchors: BTreeMap::new(),
        };
        match self.run(Spec::Validate(spec))? {
            TaskOutput::Verdict { verdict, .. } => Ok(verdict),
            other => Err(format!("a verdict was asked for, {other:?} came").into()),
        }
    }

    /// Profiles a character.
    pub(crate) fn profile(&mut self, identity: u64, references: &[PathBuf]) -> Result<CastMember, Fault> {
        let character = identity.to_string();
        let keep = |file: &PathBuf| {
            let bytes = std::fs::read(file)?;
            Ok((file.display().to_string(), self.runtime.block_on(self.bench.artifacts.put_bytes(bytes.into()))?))
        };
        let references = references.iter().map(keep).collect::<Result<_, Fault>>()?;
        let spec = ProfileSpec { pack: self.bench.models.pack.digest(), character: character.clone(), references };
        match self.run(Spec::Profile(spec))? {
            TaskOutput::Profile { profile, .. } => Ok(CastMember { character, profile, calibration: None, lora: None }),
            other => Err(format!("a profile was asked for, {other:?} came").into()),
        }
    }

    /// The first frame of a take.
    pub(crate) fn first_frame(&self, take: Digest) -> Result<RgbImage, Fault> {
        let file = self.folder.path().join("frame.mkv");
        self.runtime.block_on(self.bench.artifacts.fetch_to(take, &file))?;
        let frame = VideoReader::open(&file)?.next_frame()?.ok_or("a take has no frame")?;
        Ok(frame.1)
    }
}

/// The seed of one of several tries.
pub(crate) fn seed(what: &str, try_: u32) -> Seed {
    Seed(1).derive(what, try_)
}
