//! Reads named tensors from a safetensors file, one at a time, as f32.

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::LoadError;
use crate::adapter::Hook;
use crate::linked::Recompute;

/// The longest header that is read, as in the safetensors format.
const LARGEST_HEADER: u64 = 100_000_000;

/// An open weight file. Only the tensor being read is in memory, and every tensor must be used in the end.
pub(crate) struct WeightFile {
    path: PathBuf,
    device: Device,
    file: RefCell<File>,
    data_start: u64,
    tensors: BTreeMap<String, TensorInfo>,
    used: RefCell<BTreeSet<String>>,
    hooks: RefCell<Vec<Arc<Hook>>>,
    recompute: Arc<Recompute>,
}

/// A name prefix in a weight file: `file.root().at("conv_in").get("weight", …)`.
#[derive(Clone)]
pub(crate) struct Weights<'a> {
    file: &'a WeightFile,
    prefix: String,
}

impl WeightFile {
    /// Opens `stem.safetensors` of a folder, or else `stem.fp16.safetensors`.
    pub(crate) fn in_folder(folder: &Path, stem: &str, device: &Device) -> Result<Self, LoadError> {
        let tried = vec![format!("{stem}.safetensors"), format!("{stem}.fp16.safetensors")];
        match tried.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
            Some(path) => Self::open(&path, device),
            None => Err(LoadError::NoWeights { folder: folder.into(), tried }),
        }
    }

    /// Opens a file and checks its header against its length.
    pub(crate) fn open(path: &Path, device: &Device) -> Result<Self, LoadError> {
        let read = |source| LoadError::Read { file: path.into(), source };
        let damaged = |problem: String| LoadError::Damaged { file: path.into(), problem };
        let mut file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        if length < 8 {
            return Err(damaged(format!("it has {length} bytes")));
        }
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(read)?;
        let header = u64::from_le_bytes(size);
        if header > LARGEST_HEADER || header + 8 > length {
            return Err(damaged(format!("its header should have {header} bytes, the file has {length}")));
        }
        let mut text = vec![0; header as usize];
        file.read_exact(&mut text).map_err(read)?;
        let metadata: Metadata =
            serde_json::from_slice(&text).map_err(|e| damaged(format!("its header cannot be read: {e}")))?;
        let (expected, found) = (metadata.data_len() as u64, length - header - 8);
        if expected != found {
            return Err(damaged(format!("its tensors should have {expected} bytes, {found} are there")));
        }
        Ok(Self {
            path: path.into(),
            device: device.clone(),
            file: RefCell::new(file),
            data_start: header + 8,
            tensors: metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect(),
            used: RefCell::default(),
            hooks: RefCell::default(),
            recompute: Arc::default(),
        })
    }

    /// The whole file, without a prefix.
    pub(crate) fn root(&self) -> Weights<'_> {
        Weights { file: self, prefix: String::new() }
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The places for adapters in all layers that were read, in their order.
    pub(crate) fn hooks(&self) -> Vec<Arc<Hook>> {
        self.hooks.borrow().clone()
    }

    /// Refuses tensors that nothing asked for, except those whose name ends in one of `ignored`.
    pub(crate) fn finish(self, ignored: &[&str]) -> Result<(), LoadError> {
        let used = self.used.into_inner();
        let left: Vec<_> = self
            .tensors
            .into_keys()
            .filter(|name| !used.contains(name) && !ignored.iter().any(|end| name.ends_with(end)))
            .collect();
        match left.first() {
            Some(first) => Err(LoadError::UnusedTensors { file: self.path, count: left.len(), first: first.clone() }),
            None => Ok(()),
        }
    }

    fn read(&self, name: &str, info: &TensorInfo) -> Result<Tensor, LoadError> {
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                let found = format!("{other:?}");
                return Err(LoadError::TensorType { file: self.path.clone(), tensor: name.into(), found });
            }
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| LoadError::Read { file: self.path.clone(), source })?;
        Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu)
            .and_then(|t| t.to_dtype(DType::F32)?.to_device(&self.device))
            .map_err(|source| LoadError::Device { file: self.path.clone(), source })
    }
}

impl Weights<'_> {
    /// Goes one name deeper.
    pub(crate) fn at(&self, name: impl Display) -> Self {
        Self { file: self.file, prefix: format!("{}{name}.", self.prefix) }
    }

    /// Whether the file has this tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.file.tensors.contains_key(&format!("{}{name}", self.prefix))
    }

    /// Reads a tensor that must have this shape.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        let tensor = format!("{}{name}", self.prefix);
        let file = self.file.path.clone();
        let Some(info) = self.file.tensors.get(&tensor) else {
            return Err(LoadError::MissingTensor { file, tensor, expected: shape.into() });
        };
        if info.shape != shape {
            return Err(LoadError::TensorShape { file, tensor, expected: shape.into(), found: info.shape.clone() });
        }
        let read = self.file.read(&tensor, info)?;
        self.file.used.borrow_mut().insert(tensor);
        Ok(read)
    }

    /// A place for adapters in the layer of this name, whose weight has this shape in files.
    pub(crate) fn hook(&self, shape: &[usize], weight: &Tensor) -> Arc<Hook> {
        let path = self.prefix.trim_end_matches('.').to_owned();
        let hook = Arc::new(Hook::new(path, shape.into(), weight.clone()));
        self.file.hooks.borrow_mut().push(hook.clone());
        hook
    }

    /// The switch that every block of this file asks whether to compute again what lies inside it.
    pub(crate) fn recompute(&self) -> Arc<Recompute> {
        self.file.recompute.clone()
    }

    /// An error of the device, about this file.
    pub(crate) fn device_error(&self, source: candle_core::Error) -> LoadError {
        LoadError::Device { file: self.file.path.clone(), source }
    }

    /// The shape of a tensor in the file, for sizes that no configuration tells.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.file.tensors.get(&format!("{}{name}", self.prefix)).map(|info| info.shape.as_slice())
    }
}
