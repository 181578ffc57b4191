//! A real limit on a process's memory.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Where memory cgroups are made: (folder, file of the limit), of version 2 and of version 1.
const PLACES: [(&str, &str); 2] =
    [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];

/// A memory cgroup. It goes when this is dropped, if what was in it has ended.
#[derive(Debug)]
pub struct MemoryLimit(PathBuf);

impl MemoryLimit {
    /// Lets a process take so much more memory, and no more than that: the kernel kills it then. None where this machine lets the
    /// test make no memory cgroup.
    #[must_use]
    pub fn on(pid: u32, mib: u64) -> Option<Self> {
        PLACES.iter().find_map(|(place, file)| Self::make(Path::new(place), file, pid, mib).ok())
    }

    fn make(place: &Path, file: &str, pid: u32, mib: u64) -> io::Result<Self> {
        let folder = place.join(format!("greenroom-test-{pid}"));
        fs::create_dir(&folder)?;
        let limit = Self(folder);
        limit.write(file, mib << 20)?;
        limit.write("cgroup.procs", pid.into())?;
        Ok(limit)
    }

    /// Into a file that the kernel made: in a folder that is no cgroup there is none.
    fn write(&self, file: &str, number: u64) -> io::Result<()> {
        fs::File::options().write(true).open(self.0.join(file))?.write_all(number.to_string().as_bytes())
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
