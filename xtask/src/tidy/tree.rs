//! The dependency tree, as small as the rules need it.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata};

/// Every package of the workspace and below it, and who depends on whom.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) packages: Vec<Package>,
}

/// One package at one version. Dependencies are indices into [`Tree::packages`].
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// A member of the workspace.
    pub(crate) ours: bool,
    pub(crate) manifest: PathBuf,
    pub(crate) description: Option<String>,
    pub(crate) licence: Option<String>,
    /// Linked into what is shipped, or run while it is built.
    pub(crate) needs: Vec<usize>,
    /// Linked into tests only.
    pub(crate) tested_with: Vec<usize>,
}

impl Tree {
    pub(crate) fn from_metadata(metadata: &Metadata) -> anyhow::Result<Self> {
        let resolve = metadata.resolve.as_ref().context("cargo metadata gave no dependency graph")?;
        let index: BTreeMap<_, _> = metadata.packages.iter().enumerate().map(|(i, package)| (&package.id, i)).collect();
        let mut packages: Vec<_> = metadata
            .packages
            .iter()
            .map(|package| Package {
                name: package.name.to_string(),
                ours: metadata.workspace_members.contains(&package.id),
                manifest: package.manifest_path.clone().into(),
                description: package.description.clone(),
                licence: package.license.clone(),
                ..Package::default()
            })
            .collect();
        for node in &resolve.nodes {
            let package = &mut packages[index[&node.id]];
            for dependency in &node.deps {
                let only_tests = dependency.dep_kinds.iter().all(|info| info.kind == DependencyKind::Development);
                let list = if only_tests { &mut package.tested_with } else { &mut package.needs };
                list.push(index[&dependency.pkg]);
            }
        }
        Ok(Self { packages })
    }

    /// The workspace's own packages.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (usize, &Package)> {
        self.packages.iter().enumerate().filter(|(_, package)| package.ours)
    }

    /// The names on the shortest way from a package to another one that `wanted` accepts, both ends included. Follows what
    /// ships, not what only tests link.
    pub(crate) fn way(&self, from: usize, wanted: impl Fn(&Package) -> bool) -> Option<Vec<String>> {
        let mut came_from = BTreeMap::from([(from, from)]);
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            if at != from && wanted(&self.packages[at]) {
                return Some(self.names_back(at, from, &came_from));
            }
            for &next in &self.packages[at].needs {
                came_from.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    at
                });
            }
        }
        None
    }

    fn names_back(&self, mut at: usize, from: usize, came_from: &BTreeMap<usize, usize>) -> Vec<String> {
        let mut names = vec![self.packages[at].name.clone()];
        while at != from {
            at = came_from[&at];
            names.push(self.packages[at].name.clone());
        }
        names.reverse();
        names
    }
}

/// Trees for the rules' own tests.
#[cfg(test)]
pub(crate) mod made_up {
    use super::{Package, Tree};

    /// One package per line: `name`, or `name: what it needs, by name`. Ours are those that `ours` accepts.
    pub(crate) fn tree(lines: &[&str], ours: impl Fn(&str) -> bool) -> Tree {
        let split: Vec<_> = lines.iter().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
        let position = |name: &str| split.iter().position(|(other, _)| *other == name).unwrap();
        let package = |(name, needs): &(&str, &str)| Package {
            name: (*name).to_owned(),
            ours: ours(name),
            description: Some("What it is.".to_owned()),
            licence: Some("MIT".to_owned()),
            needs: needs.split(' ').filter(|need| !need.is_empty()).map(position).collect(),
            ..Package::default()
        };
        Tree { packages: split.iter().map(package).collect() }
    }
}
