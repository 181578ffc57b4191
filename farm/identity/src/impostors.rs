//! The pack's fixed set of strangers: faces of many people whom no character may be taken for.

use greenroom_domain::{Digest, Problem};
use half::f16;
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};
use thiserror::Error;

use crate::Embedding;

/// Faces of strangers, embedded by one embedder.
#[derive(Clone, Debug, PartialEq)]
pub struct Impostors {
    /// The embedder file that embedded them.
    pub embedder: Digest,
    /// One or two of each person.
    pub faces: Vec<ImpostorFace>,
}

/// A stranger's face.
#[derive(Clone, Debug, PartialEq)]
pub struct ImpostorFace {
    /// What it looks like.
    pub embedding: Embedding,
    /// Head turn, −1 to 1.
    pub yaw: f32,
    /// The detector's score, 0 to 1.
    pub detection: f32,
}

/// Why a file of strangers cannot be used.
#[derive(Debug, Error)]
pub enum ImpostorsError {
    /// Missing, or unreadable.
    #[error("open impostors: {}: {cause}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the machine says.
        cause: std::io::Error,
    },
    /// No safetensors file of the expected tensors.
    #[error("open impostors: {}: {cause}", file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Its faces mean nothing beside this embedder's.
    #[error(
        "open impostors: {}: its faces were embedded by {found}, the pack's embedder is {embedder}",
        file.display()
    )]
    Embedder {
        /// The file.
        file: PathBuf,
        /// The embedder that its metadata names.
        found: String,
        /// The pack's.
        embedder: Digest,
    },
}

impl ImpostorsError {
    /// The same for a person: step, subject, cause and remedy apart.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let of = |file: &Path, cause: String, remedy: &str| {
            Problem::invalid("open impostors", file.display().to_string(), cause, remedy)
        };
        match self {
            Self::Open { file, cause } => of(file, cause.to_string(), "restore the pack from its release"),
            Self::Format { file, cause } => of(file, cause.clone(), "restore the pack from its release"),
            Self::Embedder { file, found, embedder } => {
                let cause = format!("its faces were embedded by {found}, the pack's embedder is {embedder}");
                of(file, cause, "make the file again with this embedder, as the pack's recipe says")
            }
        }
    }
}

/// A false accept rate of 0.1 % cannot be told from fewer.
const FEWEST: usize = 1000;

impl Impostors {
    /// Reads a safetensors file: `embedding` f16 (N, D) of unit length, `yaw` and `detection` f32 (N,), N at least 1000; the
    /// metadata's `embedder` is the SHA-256 of the embedder file.
    ///
    /// # Errors
    /// If it cannot be read, is no such file, or was made with another embedder.
    pub fn open(file: &Path, embedder: Digest) -> Result<Self, ImpostorsError> {
        let bytes = std::fs::read(file).map_err(|cause| ImpostorsError::Open { file: file.to_owned(), cause })?;
        let bad = |cause: String| ImpostorsError::Format { file: file.to_owned(), cause };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
        let found = header.metadata().as_ref().and_then(|said| said.get("embedder")).cloned().unwrap_or_default();
        if found != embedder.to_string() {
            return Err(ImpostorsError::Embedder { file: file.to_owned(), found, embedder });
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
        let faces = faces(&tensors).map_err(bad)?;
        if faces.len() < FEWEST {
            return Err(bad(format!("{} faces, {FEWEST} or more are needed", faces.len())));
        }
        Ok(Self { embedder, faces })
    }
}

fn faces(tensors: &SafeTensors<'_>) -> Result<Vec<ImpostorFace>, String> {
    let embeddings = tensors.tensor("embedding").map_err(|e| e.to_string())?;
    let &[count, length] = embeddings.shape() else { return Err("`embedding` is not of two dimensions".into()) };
    if embeddings.dtype() != Dtype::F16 {
        return Err(format!("`embedding` is {:?}, not F16", embeddings.dtype()));
    }
    let (yaw, detection) = (column(tensors, "yaw", count)?, column(tensors, "detection", count)?);
    let rows = embeddings.data().chunks_exact((length * 2).max(2));
    let face = |((row, yaw), detection): ((&[u8], f32), f32)| {
        let values = row.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect();
        let embedding = Embedding::try_new(values).map_err(|e| e.to_string())?;
        Ok(ImpostorFace { embedding, yaw, detection })
    };
    rows.zip(yaw).zip(detection).map(face).collect()
}

/// A tensor of so many finite numbers.
fn column(tensors: &SafeTensors<'_>, name: &str, count: usize) -> Result<Vec<f32>, String> {
    let tensor = tensors.tensor(name).map_err(|e| e.to_string())?;
    if tensor.dtype() != Dtype::F32 || tensor.shape() != [count] {
        return Err(format!("`{name}` is {:?} {:?}, not F32 [{count}]", tensor.dtype(), tensor.shape()));
    }
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let numbers: Vec<f32> = tensor.data().chunks_exact(4).map(number).collect();
    if numbers.iter().all(|n| n.is_finite()) { Ok(numbers) } else { Err(format!("`{name}` holds no number")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;
    use std::collections::HashMap;
    use tempfile::TempDir;

    /// A file of so many strangers, made with the embedder `e`.
    fn file(folder: &TempDir, count: usize, dtype: Dtype) -> PathBuf {
        let half: Vec<u8> = (0..count * 4).flat_map(|i| f16::from_f32(1.0 + i as f32 % 7.0).to_le_bytes()).collect();
        let float = vec![0_u8; count * 4];
        let bytes = if dtype == Dtype::F16 { half } else { vec![0; count * 16] };
        let tensors = [
            ("embedding", TensorView::new(dtype, vec![count, 4], &bytes).unwrap()),
            ("yaw", TensorView::new(Dtype::F32, vec![count], &float).unwrap()),
            ("detection", TensorView::new(Dtype::F32, vec![count], &float).unwrap()),
        ];
        let said = HashMap::from([("embedder".to_owned(), Digest::of(b"e").to_string())]);
        let path = folder.path().join("impostors.safetensors");
        std::fs::write(&path, safetensors::serialize(tensors, Some(said)).unwrap()).unwrap();
        path
    }

    #[test]
    fn faces_come_back_as_unit_vectors() {
        let folder = TempDir::new().unwrap();
        let read = Impostors::open(&file(&folder, 1000, Dtype::F16), Digest::of(b"e")).unwrap();
        assert_eq!(read.faces.len(), 1000);
        assert!(
            (read.faces[7].embedding.cosine(&read.faces[0].embedding).0 - 1.0).abs() < 1e-3,
            "four a row, seven apart"
        );
    }

    #[test]
    fn strangers_of_another_embedder_are_refused_with_a_remedy() {
        let folder = TempDir::new().unwrap();
        let refused = Impostors::open(&file(&folder, 1000, Dtype::F16), Digest::of(b"new")).unwrap_err();
        assert!(matches!(refused, ImpostorsError::Embedder { .. }), "{refused}");
        assert!(refused.problem().remedy.contains("recipe"), "{refused}");
    }

    #[test]
    fn a_file_that_is_none_or_holds_too_few_is_refused() {
        let folder = TempDir::new().unwrap();
        let cause = |path: &Path| Impostors::open(path, Digest::of(b"e")).unwrap_err().to_string();
        assert!(cause(&file(&folder, 999, Dtype::F16)).contains("999 faces, 1000 or more"));
        assert!(cause(&file(&folder, 1000, Dtype::F32)).contains("`embedding` is F32, not F16"));
        let path = file(&folder, 1000, Dtype::F16);
        std::fs::write(&path, b"no").unwrap();
        assert!(matches!(Impostors::open(&path, Digest::of(b"e")), Err(ImpostorsError::Format { .. })));
        assert!(cause(&folder.path().join("none")).starts_with("open impostors: "));
    }
}
