//! Immutable bytes named by their SHA-256.
//!
//! An artifact lies at `aa/bb/<64 hexadecimal digits>`, where Git LFS keeps an object of that id, so that publishing copies
//! no bytes. Bytes get their name only once all of them are written, flushed and hashed; until then they lie under
//! `temporary/`. Every read hashes what it reads, so damage on the disk is an error and never a picture.

mod error;
mod get;
mod place;
mod put;
mod remove;
mod sweep;

use greenroom_domain::Digest;
use object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path as Key};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use error::{ArtifactError, Result};
pub use get::ByteStream;
pub use place::Place;

/// Where artifacts are kept. Cheap to clone; clones share the place.
#[derive(Clone, Debug)]
pub struct ArtifactStore {
    objects: Arc<dyn ObjectStore>,
    /// The folder, where the objects are files of this machine.
    root: Option<PathBuf>,
}

impl ArtifactStore {
    /// Keeps artifacts in a folder, and makes the folder where there is none.
    ///
    /// # Errors
    /// If the folder cannot be made or opened.
    pub fn local(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        std::fs::create_dir_all(root).map_err(|e| ArtifactError::file("make artifact folder", root, e))?;
        let root = root.canonicalize().map_err(|e| ArtifactError::file("open artifact folder", root, e))?;
        let folder = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| ArtifactError::Store { step: "open artifact folder", source })?;
        Ok(Self { objects: Arc::new(folder.with_fsync(true)), root: Some(root) })
    }

    /// Keeps artifacts in any object store.
    #[must_use]
    pub fn remote(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, root: None }
    }

    /// Whether the artifact is here. Its bytes are not looked at.
    ///
    /// # Errors
    /// If the store cannot be asked.
    pub async fn has(&self, digest: Digest) -> Result<bool> {
        match self.size(digest).await {
            Ok(_) => Ok(true),
            Err(ArtifactError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The artifact's length in bytes.
    ///
    /// # Errors
    /// If it is not here, or the store cannot be asked.
    pub async fn size(&self, digest: Digest) -> Result<u64> {
        let head = self.objects.head(&key(digest)).await;
        head.map(|meta| meta.size).map_err(|e| ArtifactError::of(digest, "look up artifact", e))
    }

    /// The artifact's own file, where artifacts are files of this machine. For programs that can only read paths: nothing
    /// verifies what they read, and nobody may write there.
    #[must_use]
    pub fn local_path(&self, digest: Digest) -> Option<PathBuf> {
        let path = self.root.as_ref()?.join(key(digest).as_ref());
        path.is_file().then_some(path)
    }
}

/// `aa/bb/aabb…`
fn key(digest: Digest) -> Key {
    let hex = digest.to_string();
    Key::from_iter([&hex[..2], &hex[2..4], &hex[..]])
}
