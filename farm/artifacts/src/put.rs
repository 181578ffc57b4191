//! Keeping bytes: write under a temporary name while hashing, then give them their name in one step.

use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};
use greenroom_domain::Digest;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path as Key};
use sha2::{Digest as _, Sha256};
use std::{path::Path, pin::pin};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::{ArtifactError, ArtifactStore, Result, get::CHUNK, key};

/// Folder of bytes that have no name yet.
pub(crate) const TEMPORARY: &str = "temporary";

/// Bytes sent at once: the smallest part that S3 takes, and the most that is held (with one chunk more).
const PART: usize = 5 * 1024 * 1024;

const STEP: &str = "write artifact";

impl ArtifactStore {
    /// Keeps bytes that are in memory.
    ///
    /// # Errors
    /// If they cannot be written.
    pub async fn put_bytes(&self, bytes: Bytes) -> Result<Digest> {
        self.put_stream(stream::iter([Ok::<_, ArtifactError>(bytes)]), None).await
    }

    /// Keeps a file's bytes, however many, holding few of them at a time.
    ///
    /// # Errors
    /// If the file cannot be read, or the bytes cannot be written.
    pub async fn put_file(&self, path: impl AsRef<Path>) -> Result<Digest> {
        let path = path.as_ref();
        let file = tokio::fs::File::open(path).await.map_err(|e| ArtifactError::file("read file", path, e))?;
        let chunks = ReaderStream::with_capacity(file, CHUNK);
        self.put(chunks.map_err(|e| ArtifactError::file("read file", path, e)), None).await
    }

    /// Keeps the bytes of a stream; where a digest is expected, only if they have it.
    ///
    /// # Errors
    /// If the stream breaks off, the digest is another, or the bytes cannot be written. Nothing is kept then.
    pub async fn put_stream<E>(
        &self,
        chunks: impl Stream<Item = std::result::Result<Bytes, E>> + Send,
        expected: Option<Digest>,
    ) -> Result<Digest>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.put(chunks.map_err(|e| ArtifactError::Source(e.into())), expected).await
    }

    async fn put(&self, chunks: impl Stream<Item = Result<Bytes>> + Send, expected: Option<Digest>) -> Result<Digest> {
        let temporary = unnamed();
        let digest = stage(&*self.objects, &temporary, chunks, expected).await?;
        // Over an equal artifact, should there be one: that keeps one file, and mends it if it was damaged.
        if let Err(source) = self.objects.rename(&temporary, &key(digest)).await {
            // The rename's failure is what the caller must hear of; a leftover is swept later.
            let _ = self.objects.delete(&temporary).await;
            return Err(ArtifactError::Store { step: STEP, source });
        }
        Ok(digest)
    }
}

#[expect(clippy::disallowed_methods, reason = "the name must be nobody else's, and nothing depends on it")]
fn unnamed() -> Key {
    Key::from_iter([TEMPORARY, &Uuid::now_v7().simple().to_string()])
}

/// Writes all bytes to a temporary place and flushes them, or leaves nothing there.
async fn stage(
    objects: &dyn ObjectStore,
    place: &Key,
    chunks: impl Stream<Item = Result<Bytes>> + Send,
    expected: Option<Digest>,
) -> Result<Digest> {
    let mut upload = None;
    let written = write(objects, place, chunks, expected, &mut upload).await;
    if let (Err(_), Some(mut upload)) = (&written, upload) {
        // The first failure is what the caller must hear of; a leftover is swept later.
        let _ = upload.abort().await;
    }
    written
}

async fn write(
    objects: &dyn ObjectStore,
    place: &Key,
    chunks: impl Stream<Item = Result<Bytes>> + Send,
    expected: Option<Digest>,
    upload: &mut Option<Box<dyn MultipartUpload>>,
) -> Result<Digest> {
    let failed = |source| ArtifactError::Store { step: STEP, source };
    let mut chunks = pin!(chunks);
    let mut hasher = Sha256::new();
    let (mut part, mut length) = (vec![], 0);
    while let Some(chunk) = chunks.try_next().await? {
        hasher.update(&chunk);
        length += chunk.len();
        part.push(chunk);
        if length >= PART {
            let payload: PutPayload = part.drain(..).collect();
            length = 0;
            if upload.is_none() {
                *upload = Some(objects.put_multipart(place).await.map_err(failed)?);
            }
            if let Some(upload) = upload {
                upload.put_part(payload).await.map_err(failed)?;
            }
        }
    }
    let found = Digest::from_bytes(hasher.finalize().into());
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(ArtifactError::WrongDigest { expected, found });
    }
    let rest: PutPayload = part.into_iter().collect();
    match upload {
        None => objects.put(place, rest).await.map(drop).map_err(failed)?,
        Some(upload) => {
            if length > 0 {
                upload.put_part(rest).await.map_err(failed)?;
            }
            upload.complete().await.map_err(failed)?;
        }
    }
    Ok(found)
}
