//! A small disk of its own, that can be full.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// A file system in memory with room for so much and no more. Goes when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// One of so many MiB; none where this user may not mount anything, which is said on standard error.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "whoever runs the story is to know why nothing was tried")]
    pub fn new(mib: u32) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(folder.path());
        match mount.output() {
            Ok(done) if done.status.success() => Some(Self { folder }),
            other => {
                let why = other.map_or_else(|e| e.to_string(), |done| String::from_utf8_lossy(&done.stderr).into());
                eprintln!("skipped: a small file system cannot be mounted here ({}); run it as root", why.trim());
                None
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room that is left. Answers how much that was, bytes.
    pub fn fill(&self) -> u64 {
        let mut file = File::create(self.filler()).unwrap();
        let mut taken = 0;
        for size in [1 << 20, 1 << 12, 1 << 6, 1] {
            let part = vec![0; size];
            loop {
                match file.write(&part) {
                    Ok(0) => break,
                    Ok(written) => taken += written as u64,
                    Err(error) => {
                        assert!(matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded), "{error}");
                        break;
                    }
                }
            }
        }
        taken
    }

    /// Gives it back.
    pub fn free(&self) {
        let _ = fs::remove_file(self.filler());
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still ends has files open there.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}
