//! Artifacts in memory, on a disk that can be full.

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::world::World;

/// Artifacts in memory, under a world's weather.
#[derive(Default)]
pub(super) struct Shelf {
    objects: InMemory,
    world: Mutex<Weak<World>>,
}

impl Shelf {
    /// From here on this world's weather counts.
    pub(super) fn under(&self, world: &Arc<World>) {
        *self.world.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(world);
    }

    fn room(&self) -> Result<()> {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let full = world.and_then(|world| Some((world.weather(|weather| weather.is_full())?, world.clone())));
        let Some((fault, world)) = full else { return Ok(()) };
        world.fired(fault);
        Err(Error::Generic { store: "memory", source: std::io::Error::from(std::io::ErrorKind::StorageFull).into() })
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl ObjectStore for Shelf {
    async fn put_opts(&self, to: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.room()?;
        self.objects.put_opts(to, bytes, options).await
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.room()?;
        self.objects.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(from, options).await
    }

    fn delete_stream(&self, those: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(those)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
