//! safetensors files: read whole and checked, written aside, synced and renamed.

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The largest file that is read: no adapter or checkpoint comes near, and a hostile length must not fill the memory.
const LARGEST: u64 = 8 << 30;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is absent or unreadable.
    #[error("cannot read {}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is cut short, or its header lies.
    #[error("{}: not a whole safetensors file: {problem}", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor holds no floats.
    #[error("{}: tensor `{tensor}` is of type {found}; F32, F16, BF16 and F64 are read", file.display())]
    TensorType {
        /// Which file.
        file: PathBuf,
        /// Which tensor.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// It cannot be written; what was there before is as it was.
    #[error("cannot write {}; what was there before is kept", file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The tensors and the header of a file.
#[derive(Debug)]
pub(crate) struct Tensors {
    /// f32, by name.
    pub(crate) tensors: BTreeMap<String, Tensor>,
    /// The header's texts.
    pub(crate) header: BTreeMap<String, String>,
}

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single.
    F32,
    /// Half, as adapters are mostly stored.
    #[default]
    F16,
    /// The half with the range of single.
    Bf16,
}

/// Reads a file and checks its header against its length.
pub(crate) fn read(path: &Path) -> Result<Tensors, FileError> {
    let read = |source| FileError::Read { file: path.into(), source };
    let length = std::fs::metadata(path).map_err(read)?.len();
    let damaged = |problem: String| FileError::Damaged { file: path.into(), problem };
    if length > LARGEST {
        return Err(damaged(format!("it has {length} bytes, more than any adapter")));
    }
    let bytes = std::fs::read(path).map_err(read)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let (_, metadata): (usize, Metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let header = metadata.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F64 => DType::F64,
            other => {
                let found = format!("{other:?}");
                return Err(FileError::TensorType { file: path.into(), tensor: name.into(), found });
            }
        };
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)
            .and_then(|t| t.to_dtype(DType::F32))
            .map_err(|e| damaged(format!("tensor `{name}`: {e}")))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(Tensors { tensors, header })
}

/// The bytes of a file: tensors in the order of their names, so that equal contents are equal bytes.
pub(crate) fn bytes(
    tensors: &BTreeMap<String, Tensor>,
    header: &BTreeMap<String, String>,
    precision: Precision,
) -> candle_core::Result<Vec<u8>> {
    let (dtype, name) = match precision {
        Precision::F32 => (DType::F32, "F32"),
        Precision::F16 => (DType::F16, "F16"),
        Precision::Bf16 => (DType::BF16, "BF16"),
    };
    let (mut head, mut body) = (serde_json::Map::new(), Vec::new());
    head.insert("__metadata__".into(), serde_json::json!(header));
    for (key, tensor) in tensors {
        let start = body.len();
        let flat = tensor.to_device(&Device::Cpu)?.to_dtype(dtype)?.flatten_all()?;
        match precision {
            Precision::F32 => flat.to_vec1::<f32>()?.iter().for_each(|v| body.extend(v.to_le_bytes())),
            Precision::F16 => flat.to_vec1::<half::f16>()?.iter().for_each(|v| body.extend(v.to_le_bytes())),
            Precision::Bf16 => flat.to_vec1::<half::bf16>()?.iter().for_each(|v| body.extend(v.to_le_bytes())),
        }
        let entry = serde_json::json!({ "dtype": name, "shape": tensor.dims(), "data_offsets": [start, body.len()] });
        head.insert(key.clone(), entry);
    }
    let mut head = serde_json::Value::Object(head).to_string().into_bytes();
    head.resize(head.len().next_multiple_of(8), b' ');
    let mut out = (head.len() as u64).to_le_bytes().to_vec();
    out.extend(head);
    out.extend(body);
    Ok(out)
}

/// Writes beside the file, syncs and renames: whoever is cut off anywhere finds the old file or the new one, whole.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let aside = path.with_extension("part");
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let run = || {
        let mut file = std::fs::File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&aside, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    run().map_err(|source| {
        // Whether it is there or not, only the half-written file goes.
        let _ = std::fs::remove_file(&aside);
        FileError::Write { file: path.into(), source }
    })
}
