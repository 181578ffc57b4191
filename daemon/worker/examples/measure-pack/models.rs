//! The pack's models, opened as a worker opens them.

use greenroom_diffusion::{ControlNet, Device, StableDiffusion};
use greenroom_domain::{CameraMove, Digest, ModelRole, ModelsUsed, Pack, Pixels};
use greenroom_identity::{
    AttributeClassifier, Detector, Embedder, Embedding, Face, Point, align, distinct, init_runtime,
};
use greenroom_media::camera_frame;
use image::RgbImage;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::Fault;

/// Height of a project's frames unless it asks for another, pixels.
const FRAME: u32 = 448;

/// What is measured.
pub(crate) struct Models {
    pub(crate) pack: Pack,
    pub(crate) classifier: Option<AttributeClassifier>,
    folder: PathBuf,
    detector: Detector,
    embedder: Embedder,
}

impl Models {
    /// Opens all but the generator, after every file's digest was found to be pack.toml's.
    pub(crate) fn open(folder: &Path, onnxruntime: &Path, threads: usize) -> Result<Self, Fault> {
        let file = folder.join("pack.toml");
        let text = std::fs::read_to_string(&file).map_err(|e| format!("open pack: {}: {e}", file.display()))?;
        let pack = Pack::parse(&text, &file.display().to_string())?;
        for model in &pack.model {
            let path = folder.join(&model.file);
            let bytes = std::fs::read(&path).map_err(|e| format!("open pack: {}: {e}", path.display()))?;
            if Digest::of(&bytes) != model.sha256 {
                return Err(format!("open pack: {}: its SHA-256 is not the one in pack.toml", path.display()).into());
            }
        }
        init_runtime(onnxruntime)?;
        let how = &pack.identity;
        let (detector, _) = only(&pack, folder, ModelRole::Detector)?;
        let detector = Detector::open(&detector, how.detect_size, &how.detector, threads)?;
        let (embedder, _) = only(&pack, folder, ModelRole::Embedder)?;
        let embedder = Embedder::open(&embedder, &how.embedder, threads)?;
        let classifier = match &pack.attributes {
            Some(how) => {
                let (file, _) = only(&pack, folder, ModelRole::Attributes)?;
                Some(AttributeClassifier::open(&file, how, threads)?)
            }
            None => None,
        };
        Ok(Self { pack, classifier, folder: folder.to_owned(), detector, embedder })
    }

    /// Opens the generator.
    pub(crate) fn diffusion(&self) -> Result<StableDiffusion, Fault> {
        let adapter = self.pack.files(ModelRole::IpAdapter).next().map(|file| self.folder.join(&file.file));
        Ok(StableDiffusion::open(&self.folder, adapter.as_deref(), &Device::Cpu)?)
    }

    /// Opens the generator's ControlNet; none where the pack has none.
    pub(crate) fn control(&self, diffusion: &StableDiffusion) -> Result<Option<Arc<ControlNet>>, Fault> {
        let folder = self.pack.diffusion.control.as_ref().map(|control| self.folder.join(&control.folder));
        Ok(folder.map(|folder| diffusion.open_control(&folder)).transpose()?.map(Arc::new))
    }

    /// Every face that the gate would look at, best first.
    pub(crate) fn find(&mut self, picture: &RgbImage) -> Result<Vec<Face>, Fault> {
        Ok(distinct(&self.detector.detect(picture, self.pack.identity.detect_score)?))
    }

    /// The face as the embedder sees it.
    pub(crate) fn aligned(&self, picture: &RgbImage, landmarks: &[Point; 5]) -> RgbImage {
        align(picture, landmarks, self.embedder.size())
    }

    pub(crate) fn embed(&mut self, aligned: RgbImage) -> Result<Embedding, Fault> {
        Ok(self.embedder.embed(&[aligned])?.remove(0))
    }

    /// What goes into verdicts.
    pub(crate) fn used(&self) -> Result<ModelsUsed, Fault> {
        let digest = |role| Ok::<_, Fault>(only(&self.pack, &self.folder, role)?.1);
        Ok(ModelsUsed {
            pack: format!("{} {}", self.pack.name, self.pack.version),
            detector: digest(ModelRole::Detector)?,
            embedder: digest(ModelRole::Embedder)?,
            calibration: self.pack.identity.calibration.name.clone(),
        })
    }
}

/// A picture as a frame of a take without a camera move, and how many times as large it is.
pub(crate) fn framed(picture: &RgbImage) -> (RgbImage, f32) {
    let scale = FRAME as f32 / picture.height() as f32;
    let size = Pixels { width: (picture.width() as f32 * scale).round() as u32, height: FRAME };
    (camera_frame(picture, CameraMove::Static, 0, 1, size), scale)
}

/// Path and digest of a role's file.
fn only(pack: &Pack, folder: &Path, role: ModelRole) -> Result<(PathBuf, Digest), Fault> {
    let file =
        pack.files(role).next().ok_or_else(|| format!("open pack: pack.toml has no file for the role {role:?}"))?;
    Ok((folder.join(&file.file), file.sha256))
}
