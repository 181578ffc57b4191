//! Giving bytes back, hashed on their way.

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use greenroom_domain::Digest;
use object_store::{GetResultPayload, ObjectStoreExt};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use crate::{ArtifactError, ArtifactStore, Result, key};

/// An artifact's bytes in order. The last item is [`ArtifactError::Corrupt`] if they were not the ones that were put, so
/// nothing may be built on them before the stream has ended.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Bytes read from a file at once.
pub(crate) const CHUNK: usize = 256 * 1024;

impl ArtifactStore {
    /// The artifact's bytes.
    ///
    /// # Errors
    /// If it is not here or cannot be opened; the stream itself, if it cannot be read on or is damaged.
    pub async fn get(&self, digest: Digest) -> Result<ByteStream> {
        const STEP: &str = "read artifact";
        let found = self.objects.get(&key(digest)).await.map_err(|e| ArtifactError::of(digest, STEP, e))?;
        let bytes = match found.payload {
            GetResultPayload::File(file, path) => {
                let chunks = ReaderStream::with_capacity(tokio::fs::File::from_std(file), CHUNK);
                chunks.map_err(move |e| ArtifactError::file(STEP, &path, e)).boxed()
            }
            GetResultPayload::Stream(chunks) => {
                chunks.map_err(|source| ArtifactError::Store { step: STEP, source }).boxed()
            }
        };
        Ok(verified(digest, bytes))
    }

    /// The artifact's bytes in memory, at most `limit` of them.
    ///
    /// # Errors
    /// If it is not here, is larger, cannot be read, or is damaged.
    pub async fn get_bytes(&self, digest: Digest, limit: u64) -> Result<Bytes> {
        let size = self.size(digest).await?;
        if size > limit {
            return Err(ArtifactError::TooLarge { digest, size, limit });
        }
        let mut all = BytesMut::with_capacity(size as usize);
        let mut bytes = self.get(digest).await?;
        while let Some(chunk) = bytes.try_next().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Copies the artifact to a file, over one that is there. The file appears whole and verified, or not at all.
    ///
    /// # Errors
    /// If it is not here, cannot be read, is damaged, or the file cannot be written.
    pub async fn fetch_to(&self, digest: Digest, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |e| ArtifactError::file("write file", path, e);
        let mut bytes = self.get(digest).await?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (file, unnamed) = beside(folder).map_err(failed)?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        while let Some(chunk) = bytes.try_next().await? {
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.sync_all().await.map_err(failed)?;
        unnamed.persist(path).map_err(|e| failed(e.error))
    }
}

/// A new file that is removed unless it gets a name, with the permissions that any new file gets.
fn beside(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".greenroom-");
    #[cfg(unix)]
    {
        use std::{fs::Permissions, os::unix::fs::PermissionsExt};
        builder.permissions(Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// The same bytes, and an error at the end if they are not the digest's.
fn verified(digest: Digest, bytes: ByteStream) -> ByteStream {
    let step = move |(mut bytes, mut hasher): (ByteStream, Sha256)| async move {
        if let Some(chunk) = bytes.try_next().await? {
            hasher.update(&chunk);
            return Ok(Some((chunk, (bytes, hasher))));
        }
        let found = Digest::from_bytes(hasher.finalize().into());
        if found == digest { Ok(None) } else { Err(ArtifactError::Corrupt { digest, found }) }
    };
    stream::try_unfold((bytes, Sha256::new()), step).boxed()
}
