//! The rules of the house that the compiler cannot check.
//!
//! Each rule is a function from what the workspace is to a list of faults; only this module reads the workspace.

mod arrows;
mod files;
mod licences;
mod tree;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;

use tree::Tree;

/// Every fault of the workspace at `root`, one sentence each; none where all is tidy.
///
/// # Errors
///
/// Where `cargo metadata`, `git ls-files` or `deny.toml` cannot be read.
pub(crate) fn faults(root: &Path) -> anyhow::Result<Vec<String>> {
    let tree = read_tree(root)?;
    let policy = licences::Policy::read(&root.join("deny.toml"))?;
    let mut faults = arrows::faults(&tree);
    faults.extend(licences::faults(&tree, &policy));
    faults.extend(files::manifest_faults(&tree));
    faults.extend(files::file_faults(root, &listed_files(root)?));
    Ok(faults)
}

fn read_tree(root: &Path) -> anyhow::Result<Tree> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec!["--locked".into()])
        .exec()
        .context("read the workspace with cargo metadata")?;
    Tree::from_metadata(&metadata)
}

/// Tracked files, and those that would be tracked by `git add --all`.
fn listed_files(root: &Path) -> anyhow::Result<Vec<String>> {
    let listing = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("run git ls-files")?;
    ensure!(listing.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listing.stderr).trim());
    let names = String::from_utf8(listing.stdout).context("read git ls-files: a file name is not UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_workspace_is_read_with_its_edges() {
        let tree = read_tree(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
        let daemon = tree.packages.iter().position(|package| package.name == "greenroomd").unwrap();
        let way = tree.way(daemon, |package| package.name == "serde").unwrap();
        assert!(tree.packages[daemon].ours);
        assert_eq!(way.first().map(String::as_str), Some("greenroomd"));
        assert_eq!(way.last().map(String::as_str), Some("serde"));
    }
}
