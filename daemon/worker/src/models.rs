//! The pack's models: each is checked against its digest, loaded when a task first needs it, and kept.

use greenroom_diffusion::{ControlNet, Device, StableDiffusion};
use greenroom_domain::{Digest, ModelFile, ModelRole, ModelsUsed, Pack, Problem, ProblemKind};
use greenroom_identity::{
    AttributeClassifier, Compute, Detector, Embedder, FaceModels, FacePipeline, Impostors, Precision, init_runtime,
};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fault::Fault;

/// The models of one pack on one device.
pub(crate) struct Models {
    /// What pack.toml says.
    pub pack: Pack,
    folder: PathBuf,
    onnxruntime: Option<PathBuf>,
    threads: usize,
    precision: Precision,
    device: Device,
    faces: Option<FacePipeline>,
    classifier: Option<AttributeClassifier>,
    diffusion: Option<StableDiffusion>,
    control: Option<Arc<ControlNet>>,
    /// The LoRA that the generator wears, and its weight.
    worn: Option<(Digest, f32)>,
}

impl Models {
    /// Reads pack.toml; loads nothing yet.
    pub(crate) fn open(folder: &Path, onnxruntime: Option<PathBuf>, threads: usize) -> Result<Self, Problem> {
        let file = folder.join("pack.toml");
        let text = std::fs::read_to_string(&file).map_err(|e| broken(&file, e))?;
        let pack = Pack::parse(&text, &file.display().to_string())?;
        let folder = folder.to_owned();
        Ok(Self {
            pack,
            folder,
            onnxruntime,
            threads,
            precision: Precision::Exact,
            device: Device::Cpu,
            faces: None,
            classifier: None,
            diffusion: None,
            control: None,
            worn: None,
        })
    }

    /// The same with embeddings as exact as this.
    pub(crate) fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same with pictures computed on this device.
    pub(crate) fn on(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// What is loaded, by the names by which the scheduler knows it: the pack's digest and a role, and the LoRA that is worn.
    pub(crate) fn warm(&self) -> Vec<String> {
        let pack = self.pack.digest();
        let faces = self.faces.as_ref().map(|_| format!("{pack}/faces"));
        let generator = self.diffusion.as_ref().map(|_| format!("{pack}/generator"));
        let worn = self.worn.as_ref().filter(|_| generator.is_some()).map(|(lora, _)| lora.to_string());
        faces.into_iter().chain(generator).chain(worn).collect()
    }

    /// The face detector and the face embedder, for single pictures.
    pub(crate) fn faces(&mut self) -> Result<(&mut Detector, &mut Embedder), Fault> {
        Ok(self.face_pipeline()?.one())
    }

    /// The same on all threads, for videos.
    pub(crate) fn face_pipeline(&mut self) -> Result<&mut FacePipeline, Fault> {
        if self.faces.is_none() {
            let library = self.onnxruntime.as_deref().ok_or_else(|| {
                let remedy = "set GREENROOM_ONNXRUNTIME to libonnxruntime.so; `make demo` fetches it";
                Problem::new(ProblemKind::Unavailable, "load ONNX Runtime", "library", "no path is configured", remedy)
            })?;
            init_runtime(library)?;
            let how = &self.pack.identity;
            let models = FaceModels {
                detector: self.checked(ModelRole::Detector)?,
                detect_size: how.detect_size,
                detector_input: how.detector.clone(),
                embedder: self.checked(ModelRole::Embedder)?,
                embedder_input: how.embedder.clone(),
                squares: self.pack.attributes.clone(),
            };
            let compute = Compute { threads: self.threads, precision: self.precision };
            self.faces = Some(FacePipeline::open(models, compute)?);
        }
        self.faces.as_mut().ok_or_else(|| unreachable!("it was opened above"))
    }

    /// The generator, without any LoRA.
    pub(crate) fn diffusion(&mut self) -> Result<&mut StableDiffusion, Fault> {
        let worn = self.worn.take();
        let model = self.generator()?;
        if worn.is_some() {
            model.set_adapters(&[])?;
        }
        Ok(model)
    }

    /// The generator with a LoRA, whose file is asked for unless the generator wears it already.
    pub(crate) fn diffusion_with(
        &mut self,
        lora: (Digest, f32),
        file: impl FnOnce() -> Result<PathBuf, Fault>,
    ) -> Result<&mut StableDiffusion, Fault> {
        if self.worn != Some(lora) {
            let model = self.diffusion()?;
            let read = greenroom_training::lora::File::read(&file()?, &model.sites())?;
            model.set_adapters(&[(&read.adapter, f64::from(lora.1))])?;
            self.worn = Some(lora);
        }
        self.generator()
    }

    /// The attribute classifier; none where the pack has none.
    pub(crate) fn classifier(&mut self) -> Result<Option<&mut AttributeClassifier>, Fault> {
        if self.classifier.is_none()
            && let Some(how) = self.pack.attributes.clone()
        {
            self.faces()?; // They load ONNX Runtime.
            let file = self.checked(ModelRole::Attributes)?;
            self.classifier = Some(AttributeClassifier::open(&file, &how, self.threads)?);
        }
        Ok(self.classifier.as_mut())
    }

    fn generator(&mut self) -> Result<&mut StableDiffusion, Fault> {
        if self.diffusion.is_none() {
            use ModelRole::{Index, IpAdapter, Scheduler, TextEncoder, Tokenizer, Unet, Vae};
            for role in [Index, Tokenizer, TextEncoder, Unet, Vae, Scheduler] {
                self.checked(role)?;
            }
            let adapter = self.pack.files(IpAdapter).next().is_some();
            let adapter = if adapter { Some(self.checked(IpAdapter)?) } else { None };
            self.diffusion = Some(StableDiffusion::open(&self.folder, adapter.as_deref(), &self.device)?);
        }
        self.diffusion.as_mut().ok_or_else(|| unreachable!("it was opened above"))
    }

    /// The generator's ControlNet.
    pub(crate) fn control(&mut self) -> Result<Arc<ControlNet>, Fault> {
        if let Some(control) = &self.control {
            return Ok(Arc::clone(control));
        }
        self.checked(ModelRole::Controlnet)?;
        let folder = self.pack.diffusion.control.as_ref().map(|control| self.folder.join(&control.folder));
        let folder = folder.ok_or_else(|| broken(&self.folder.join("pack.toml"), "it has no ControlNet"))?;
        let control = Arc::new(self.diffusion()?.open_control(&folder)?);
        self.control = Some(Arc::clone(&control));
        Ok(control)
    }

    /// The strangers that characters are calibrated against. Small and seldom needed: not kept.
    pub(crate) fn impostors(&self) -> Result<Impostors, Fault> {
        Ok(Impostors::open(&self.checked(ModelRole::Impostors)?, self.embedder_digest()?)?)
    }

    /// What goes into verdicts.
    pub(crate) fn used(&self) -> Result<ModelsUsed, Fault> {
        let digest = |role| Ok::<_, Fault>(self.only(role)?.sha256);
        Ok(ModelsUsed {
            pack: self.name(),
            detector: digest(ModelRole::Detector)?,
            embedder: digest(ModelRole::Embedder)?,
            calibration: self.pack.identity.calibration.name.clone(),
        })
    }

    /// SHA-256 of the generator's UNet, hex: what a LoRA was trained for.
    pub(crate) fn unet_digest(&self) -> Option<String> {
        Some(self.pack.files(ModelRole::Unet).next()?.sha256.to_string())
    }

    /// Pack name and version, `puppet 1`.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.pack.name, self.pack.version)
    }

    /// The digest of the embedder file, which profiles carry.
    pub(crate) fn embedder_digest(&self) -> Result<Digest, Fault> {
        Ok(self.only(ModelRole::Embedder)?.sha256)
    }

    fn only(&self, role: ModelRole) -> Result<&ModelFile, Fault> {
        self.pack.files(role).next().ok_or_else(|| {
            let cause = format!("it has no file for the role {role:?}");
            broken(&self.folder.join("pack.toml"), cause).into()
        })
    }

    /// Compares the digests of a role's files; answers the path of the first.
    fn checked(&self, role: ModelRole) -> Result<PathBuf, Fault> {
        for file in self.pack.files(role) {
            let path = self.folder.join(&file.file);
            let found = digest(&path).map_err(|e| broken(&path, e))?;
            if found != file.sha256 {
                let cause = format!("its SHA-256 is {found}, pack.toml says {}", file.sha256);
                return Err(broken(&path, cause).into());
            }
        }
        Ok(self.folder.join(&self.only(role)?.file))
    }
}

fn digest(path: &Path) -> std::io::Result<Digest> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

fn broken(path: &Path, cause: impl std::fmt::Display) -> Problem {
    let remedy = "restore the pack from its release";
    Problem::new(ProblemKind::Unavailable, "open pack", path.display().to_string(), cause, remedy)
}
