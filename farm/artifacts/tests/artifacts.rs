//! What goes in comes out, once, or an error says why not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use greenroom_artifacts::{ArtifactError, ArtifactStore};
use greenroom_domain::Digest;
use object_store::memory::InMemory;
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// `sha256sum` of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn store() -> (TempDir, ArtifactStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = ArtifactStore::local(folder.path().join("artifacts")).unwrap();
    (folder, store)
}

/// Every file below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// Everything is older than this.
fn far_future() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000)
}

/// More than two parts, and nothing that repeats.
fn long() -> Bytes {
    (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[tokio::test]
async fn an_artifact_lies_where_git_lfs_looks_for_it() {
    let (folder, store) = store();
    let digest = store.put_bytes(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(digest.to_string(), ABC);
    let path = folder.path().canonicalize().unwrap().join("artifacts/ba/78").join(ABC);
    assert_eq!(store.local_path(digest), Some(path.clone()));
    assert_eq!(std::fs::read(path).unwrap(), b"abc");
    assert_eq!(store.size(digest).await.unwrap(), 3);
    assert!(store.has(digest).await.unwrap());
}

#[tokio::test]
async fn long_files_and_empty_ones_come_back_as_they_were() {
    let (folder, store) = store();
    for bytes in [long(), Bytes::new()] {
        let (source, copy) = (folder.path().join("source"), folder.path().join("copy"));
        std::fs::write(&source, &bytes).unwrap();
        let digest = store.put_file(&source).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        store.fetch_to(digest, &copy).await.unwrap();
        assert_eq!(std::fs::read(&copy).unwrap(), bytes);
        assert_eq!(store.get_bytes(digest, bytes.len() as u64).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn the_same_bytes_at_once_are_one_file() {
    let (folder, store) = store();
    let bytes = Bytes::from_static(&[7; 100_000]);
    let puts = (0..16).map(|_| store.put_bytes(bytes.clone()));
    let digests = futures::future::try_join_all(puts).await.unwrap();
    assert!(digests.iter().all(|d| *d == Digest::of(&bytes)));
    assert_eq!(files(&folder.path().join("artifacts")), [store.local_path(digests[0]).unwrap()]);
}

#[tokio::test]
async fn bytes_with_another_digest_are_not_kept() {
    let (folder, store) = store();
    for bytes in [Bytes::from_static(b"abd"), long()] {
        let found = Digest::of(&bytes);
        let chunks =
            stream::iter(bytes.chunks(1 << 20).map(|c| io::Result::Ok(Bytes::copy_from_slice(c))).collect::<Vec<_>>());
        let error = store.put_stream(chunks, Some(ABC.parse().unwrap())).await.unwrap_err();
        assert_eq!(error.to_string(), format!("bytes announced as {ABC} have the digest {found}"));
        assert!(!store.has(found).await.unwrap());
    }
    assert_eq!(files(&folder.path().join("artifacts")), [] as [PathBuf; 0]);
    let right = stream::iter([io::Result::Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))]);
    assert_eq!(store.put_stream(right, Some(ABC.parse().unwrap())).await.unwrap().to_string(), ABC);
}

#[tokio::test]
async fn a_stream_that_breaks_off_leaves_nothing() {
    let (folder, store) = store();
    let broken = stream::iter([Ok(long()), Err(io::Error::other("connection lost"))]);
    let error = store.put_stream(broken, None).await.unwrap_err();
    assert_eq!(error.to_string(), "the bytes to keep broke off: connection lost");
    assert_eq!(files(&folder.path().join("artifacts")), [] as [PathBuf; 0]);
    let error = store.put_file(folder.path().join("missing.png")).await.unwrap_err();
    assert!(error.to_string().starts_with("read file: "), "{error}");
}

#[tokio::test]
async fn damage_on_the_disk_is_found_and_mended_by_the_next_put() {
    let (folder, store) = store();
    let digest = store.put_bytes(long()).await.unwrap();
    let path = store.local_path(digest).unwrap();
    let mut bytes = long().to_vec();
    bytes[7_000_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let copy = folder.path().join("copy.mkv");
    assert!(matches!(store.fetch_to(digest, &copy).await, Err(ArtifactError::Corrupt { .. })));
    assert!(matches!(store.get_bytes(digest, u64::MAX).await, Err(ArtifactError::Corrupt { .. })));
    let read: Result<Vec<_>, _> = store.get(digest).await.unwrap().try_collect().await;
    assert!(matches!(read, Err(ArtifactError::Corrupt { .. })));
    assert_eq!(files(folder.path()).len(), 1, "neither the copy nor a part of it is left behind");
    store.put_bytes(long()).await.unwrap();
    store.fetch_to(digest, &copy).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_or_too_large_is_said() {
    let (folder, store) = store();
    let digest = Digest::of(b"nobody put this");
    let errors = [
        store.get(digest).await.err(),
        store.get_bytes(digest, 10).await.err(),
        store.size(digest).await.err(),
        store.fetch_to(digest, folder.path().join("copy")).await.err(),
    ];
    assert!(errors.iter().all(|e| matches!(e, Some(ArtifactError::Missing { .. }))), "{errors:?}");
    assert!(!store.has(digest).await.unwrap());
    assert_eq!(store.local_path(digest), None);
    let abc = store.put_bytes(Bytes::from_static(b"abc")).await.unwrap();
    let error = store.get_bytes(abc, 2).await.unwrap_err().to_string();
    assert_eq!(error, format!("artifact {ABC} has 3 bytes, more than the 2 that are allowed here"));
}

#[tokio::test]
async fn what_a_crash_left_is_swept_and_nothing_else() {
    let (folder, store) = store();
    let kept = store.put_bytes(Bytes::from_static(b"abc")).await.unwrap();
    // A put that never ends, as a process that is killed leaves it: some parts written, no name.
    let endless = stream::iter([io::Result::Ok(long())]).chain(stream::pending());
    let mut put = Box::pin(store.put_stream(endless, None));
    let temporary = folder.path().join("artifacts/temporary");
    while !temporary.exists() || files(&temporary).iter().all(|f| f.metadata().unwrap().len() == 0) {
        assert!(futures::poll!(&mut put).is_pending());
        tokio::task::yield_now().await;
    }
    std::mem::forget(put);
    assert_eq!(store.sweep_temporary(SystemTime::UNIX_EPOCH).await.unwrap(), 0, "it may be in use");
    assert_eq!(store.sweep_temporary(far_future()).await.unwrap(), 1);
    assert_eq!(files(&folder.path().join("artifacts")), [store.local_path(kept).unwrap()]);
}

#[tokio::test]
async fn what_is_removed_is_gone_and_nothing_else() {
    let (folder, local) = store();
    let remote = ArtifactStore::remote(Arc::new(InMemory::new()));
    for store in [&local, &remote] {
        let [gone, kept] = [&b"abc"[..], b"def"].map(|bytes| store.put_bytes(Bytes::from_static(bytes)));
        let (gone, kept) = (gone.await.unwrap(), kept.await.unwrap());
        let mut both: Vec<_> = store.list().try_collect().await.unwrap();
        both.sort_unstable();
        assert_eq!(both, BTreeSet::from([(gone, 3), (kept, 3)]).into_iter().collect::<Vec<_>>());
        assert!(store.remove(gone).await.unwrap());
        assert!(!store.has(gone).await.unwrap());
        assert!(!store.remove(gone).await.unwrap(), "it was removed before");
        assert_eq!(store.list().try_collect::<Vec<_>>().await.unwrap(), [(kept, 3)]);
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[tokio::test]
async fn another_object_store_keeps_the_same_promises() {
    let objects = Arc::new(InMemory::new());
    let store = ArtifactStore::remote(Arc::clone(&objects) as _);
    let digest = store.put_bytes(long()).await.unwrap();
    assert_eq!(store.get_bytes(digest, u64::MAX).await.unwrap(), long());
    assert_eq!(store.local_path(digest), None);
    let left: object_store::path::Path = "temporary/left".into();
    object_store::ObjectStoreExt::put(&*objects, &left, "half".into()).await.unwrap();
    assert_eq!(store.sweep_temporary(SystemTime::UNIX_EPOCH).await.unwrap(), 0);
    assert_eq!(store.sweep_temporary(far_future()).await.unwrap(), 1);
    assert!(store.has(digest).await.unwrap());
}
