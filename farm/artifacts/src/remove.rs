//! Taking bytes away for good, and seeing what is here.

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use greenroom_domain::Digest;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::{ArtifactError, ArtifactStore, Result, key};

impl ArtifactStore {
    /// Removes an artifact, and answers whether it was here. For forgetting a person, and for nothing else: whoever names the
    /// artifact afterwards finds nothing. What a disk keeps of the blocks, versions that a bucket keeps, and backups are
    /// out of its reach.
    ///
    /// # Errors
    /// If the store cannot be asked, or does not let go of it.
    pub async fn remove(&self, digest: Digest) -> Result<bool> {
        const STEP: &str = "remove artifact";
        // Asked first: a bucket answers the same to a deletion whether there was something or not.
        if !self.has(digest).await? {
            return Ok(false);
        }
        match self.objects.delete(&key(digest)).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(ArtifactError::Store { step: STEP, source }),
        }
    }

    /// Every artifact with its length, in no order. What has no name yet is left out.
    #[must_use]
    pub fn list(&self) -> BoxStream<'static, Result<(Digest, u64)>> {
        let failed = |source| ArtifactError::Store { step: "list artifacts", source };
        let named = |meta: object_store::ObjectMeta| {
            let digest = meta.location.filename()?.parse().ok()?;
            (key(digest) == meta.location).then_some((digest, meta.size))
        };
        self.objects.list(None).map_err(failed).try_filter_map(move |meta| std::future::ready(Ok(named(meta)))).boxed()
    }
}
