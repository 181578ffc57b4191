//! Removing what crashes left behind.

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as Key};
use std::{io, path::Path, time::SystemTime};

use crate::{ArtifactError, ArtifactStore, Result, put::TEMPORARY};

const STEP: &str = "sweep artifacts";

impl ArtifactStore {
    /// Removes temporary bytes that nobody has written to since that moment, and answers how many there were. Take a moment
    /// so long ago that no put still runs; artifacts are never touched.
    ///
    /// # Errors
    /// If the temporary folder cannot be read, or a file in it cannot be removed.
    pub async fn sweep_temporary(&self, older_than: SystemTime) -> Result<usize> {
        match &self.root {
            Some(root) => {
                let folder = root.join(TEMPORARY);
                let swept = tokio::task::spawn_blocking(move || {
                    sweep_folder(&folder, older_than).map_err(|e| ArtifactError::file(STEP, &folder, e))
                });
                swept.await.map_err(|e| ArtifactError::Source(e.into()))?
            }
            None => sweep_objects(&*self.objects, older_than).await,
        }
    }
}

/// The folder itself is read: a listing of objects leaves out the files of uploads that never ended.
fn sweep_folder(folder: &Path, older_than: SystemTime) -> io::Result<usize> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut swept = 0;
    for entry in entries {
        match remove_old(&entry?, older_than) {
            Ok(removed) => swept += usize::from(removed),
            // It got its name, or another sweep was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(swept)
}

fn remove_old(entry: &std::fs::DirEntry, older_than: SystemTime) -> io::Result<bool> {
    let old = entry.metadata()?.modified()? < older_than;
    if old {
        std::fs::remove_file(entry.path())?;
    }
    Ok(old)
}

async fn sweep_objects(objects: &dyn ObjectStore, older_than: SystemTime) -> Result<usize> {
    let failed = |source| ArtifactError::Store { step: STEP, source };
    let found: Vec<_> = objects.list(Some(&Key::from(TEMPORARY))).try_collect().await.map_err(failed)?;
    let mut swept = 0;
    for object in found.into_iter().filter(|o| SystemTime::from(o.last_modified) < older_than) {
        objects.delete(&object.location).await.map_err(failed)?;
        swept += 1;
    }
    Ok(swept)
}
