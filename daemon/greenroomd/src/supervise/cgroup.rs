//! A cgroup (v2) for each worker, below the one that systemd gave the daemon (`Delegate=yes`): a limit on its memory, the whole
//! worker killed where it is passed and not some part of it, and a count of such kills.
//!
//! Files are written by hand: of the crates for cgroups the well-kept one brings D-Bus and both versions, for five files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::args::Memory;

/// The daemon itself goes here: the kernel wants processes in leaves only.
const OWN_LEAF: &str = "daemon";

/// Where workers' groups are made.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: PathBuf,
    limit: Option<Memory>,
}

/// One worker's group. It goes, with whatever is left in it, when this is dropped.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    limit: Option<Memory>,
}

impl Cgroups {
    /// Makes ready for workers' groups. Where that cannot be, it is said once, and workers run without.
    pub(super) fn open(limit: Option<Memory>) -> Option<Self> {
        match own_group().and_then(|root| Self::prepare(root, limit, std::process::id())) {
            Ok(cgroups) => {
                tracing::info!(cgroup = %cgroups.root.display(), "workers get cgroups of their own");
                Some(cgroups)
            }
            Err(cause) if limit.is_some() => {
                let remedy =
                    "start greenroomd by systemd with Delegate=yes (packaging/systemd), or leave memory_max out";
                tracing::warn!(remedy, "memory_max has no effect: {cause}");
                None
            }
            Err(cause) => {
                tracing::debug!("workers get no cgroups: {cause}");
                None
            }
        }
    }

    /// The daemon's own group becomes the root of its workers' groups.
    fn prepare(root: PathBuf, limit: Option<Memory>, pid: u32) -> Result<Self, String> {
        let read = |name: &str| fs::read_to_string(root.join(name)).map_err(|error| unusable(&root.join(name), &error));
        if !read("cgroup.controllers")?.split_whitespace().any(|name| name == "memory") {
            return Err(format!("{} has no memory controller", root.display()));
        }
        let members = read("cgroup.procs")?;
        if members.split_whitespace().any(|member| member != pid.to_string()) {
            return Err(format!("{} is not the daemon's alone", root.display()));
        }
        let leaf = root.join(OWN_LEAF);
        if let Err(error) = fs::create_dir(&leaf)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(unusable(&leaf, &error));
        }
        let write = |path: PathBuf, text: &str| fs::write(&path, text).map_err(|error| unusable(&path, &error));
        write(leaf.join("cgroup.procs"), &pid.to_string())?;
        write(root.join("cgroup.subtree_control"), "+memory")?;
        Ok(Self { root, limit })
    }

    /// A new group for a worker, with its limit.
    pub(super) fn group(&self, name: &str) -> Option<Group> {
        let path = self.root.join(format!("worker-{}", name.replace(['/', ':'], "-")));
        let group = Group::on(path, self.limit);
        match group.make() {
            Ok(()) => Some(group),
            Err(error) => {
                tracing::error!(cgroup = %group.path.display(), %error, "cannot make the worker's cgroup; it runs without a limit");
                None
            }
        }
    }
}

impl Group {
    pub(super) const fn on(path: PathBuf, limit: Option<Memory>) -> Self {
        Self { path, limit }
    }

    /// Where it is.
    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How much memory all of it may use.
    pub(super) const fn limit(&self) -> Option<Memory> {
        self.limit
    }

    /// Puts a worker in. What it starts later is in it too.
    pub(super) fn enter(&self, pid: Option<u32>) {
        let Some(pid) = pid else { return };
        if let Err(error) = fs::write(self.path.join("cgroup.procs"), pid.to_string()) {
            tracing::error!(cgroup = %self.path.display(), %error, "cannot put the worker into its cgroup");
        }
    }

    /// How often the kernel has killed in it for lack of memory.
    pub(super) fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    fn make(&self) -> io::Result<()> {
        // One that a killed daemon left counts what was.
        self.remove();
        fs::create_dir(&self.path)?;
        // Models are read as a whole: with half of a worker killed the other half would wait for it.
        fs::write(self.path.join("memory.oom.group"), "1")?;
        if let Some(limit) = self.limit {
            fs::write(self.path.join("memory.max"), (limit.mib() << 20).to_string())?;
            let swap = self.path.join("memory.swap.max");
            if swap.exists() {
                fs::write(swap, "0")?;
            }
        }
        Ok(())
    }

    fn remove(&self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        // What was just killed takes a moment to go; then the next worker of this name finds it empty.
        let _ = fs::remove_dir(&self.path);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The folder of the group that this process is in.
fn own_group() -> Result<PathBuf, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| unusable(Path::new(path), &error));
    place(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
}

/// The same from what the kernel tells of mounts and of the process.
fn place(mounts: &str, own: &str) -> Result<PathBuf, String> {
    let mounted = mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| fields.split(' ').nth(4)).flatten()
    });
    let mounted = mounted.ok_or("there is no cgroup v2 on this machine")?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).ok_or("the daemon is in no cgroup v2")?;
    let below = own.trim_start_matches('/');
    Ok(if below.is_empty() { PathBuf::from(mounted) } else { Path::new(mounted).join(below) })
}

fn unusable(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the files of a group that systemd delegated.
    fn delegated(controllers: &str, procs: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), controllers).unwrap();
        fs::write(root.path().join("cgroup.procs"), procs).unwrap();
        root
    }

    fn prepare(root: &tempfile::TempDir) -> Result<Cgroups, String> {
        Cgroups::prepare(root.path().to_owned(), "512MiB".parse().ok(), 42)
    }

    #[test]
    fn a_worker_gets_a_group_with_its_limit_below_the_daemons() {
        let root = delegated("cpu memory pids\n", "42\n");
        let cgroups = prepare(&root).unwrap();
        let text = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!((&text("daemon/cgroup.procs")[..], &text("cgroup.subtree_control")[..]), ("42", "+memory"));
        let group = cgroups.group("cuda:1:0").unwrap();
        group.enter(Some(43));
        assert_eq!(&text("worker-cuda-1-0/memory.max"), "536870912");
        assert_eq!(
            (&text("worker-cuda-1-0/memory.oom.group")[..], &text("worker-cuda-1-0/cgroup.procs")[..]),
            ("1", "43")
        );
        assert_eq!(group.kills(), 0);
        drop(group);
        assert_eq!(&text("worker-cuda-1-0/cgroup.kill"), "1", "nothing is left in it");
    }

    #[test]
    fn a_group_that_is_not_the_daemons_alone_is_left_as_it_is() {
        let shared = prepare(&delegated("memory\n", "1\n42\n")).unwrap_err();
        assert!(shared.ends_with("is not the daemon's alone"), "{shared}");
        let bare = prepare(&delegated("cpu pids\n", "42\n")).unwrap_err();
        assert!(bare.ends_with("has no memory controller"), "{bare}");
        let root = tempfile::tempdir().unwrap();
        assert!(prepare(&root).unwrap_err().contains("cgroup.controllers: No such file"));
    }

    #[test]
    fn the_daemons_group_is_found_where_the_kernel_says() {
        let mounts = "25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      31 25 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 none rw\n";
        let own = "4:memory:/x\n0::/system.slice/greenroomd.service\n";
        let found = place(mounts, own).unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/unified/system.slice/greenroomd.service"));
        assert_eq!(place(mounts, "0::/\n").unwrap(), Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(place("", own).unwrap_err(), "there is no cgroup v2 on this machine");
        assert!(place(mounts, "4:memory:/x\n").is_err());
    }
}
