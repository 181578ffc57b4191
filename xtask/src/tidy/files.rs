//! What each file and each package's manifest must keep to.

use std::fs;
use std::path::Path;

use super::tree::{Package, Tree};

/// A file past this is a table at best; logic is split by thought.
const MOST_LINES: usize = 1_000;

/// The bundled models fit; anything larger does not belong into git.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Marks of work that was left for later, in two halves so that this file does not carry them.
const LEFT_OVER: &[(&str, &str)] = &[("to", "do!("), ("unimpl", "emented!("), ("TO", "DO"), ("FIX", "ME")];

/// Packages of ours without a description or without the workspace's lints.
pub(crate) fn manifest_faults(tree: &Tree) -> Vec<String> {
    tree.ours().flat_map(|(_, package)| one_manifest(package)).collect()
}

/// Files that are too long, too large, or unfinished. `files` are paths relative to `root`; a deleted one is passed over.
pub(crate) fn file_faults(root: &Path, files: &[String]) -> Vec<String> {
    files.iter().flat_map(|file| one_file(root, file)).collect()
}

fn one_manifest(package: &Package) -> Vec<String> {
    let name = &package.name;
    let mut faults = Vec::new();
    if package.description.as_ref().is_none_or(|description| description.trim().is_empty()) {
        faults.push(format!("{name} has no description: say in one sentence what it is"));
    }
    let manifest = fs::read_to_string(&package.manifest).unwrap_or_default();
    let table: toml::Table = manifest.parse().unwrap_or_default();
    let inherits = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    if inherits != Some(true) {
        faults.push(format!("{name} leaves the lint table: add [lints] workspace = true"));
    }
    faults
}

fn one_file(root: &Path, file: &str) -> Vec<String> {
    let path = root.join(file);
    let Ok(size) = fs::metadata(&path).map(|metadata| metadata.len()) else { return Vec::new() };
    let mut faults = Vec::new();
    if size > MOST_BYTES {
        faults.push(format!("{file} has {size} bytes, over {MOST_BYTES}: keep it out of git"));
    }
    let generated = file.contains("/gen/");
    if file.ends_with(".rs") && !generated {
        let text = fs::read_to_string(&path).unwrap_or_default();
        faults.extend(text_faults(file, &text));
    }
    faults
}

fn text_faults(file: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let long =
        (lines > MOST_LINES).then(|| format!("{file} has {lines} lines, over {MOST_LINES}: split it by thought"));
    let left_over = text.lines().enumerate().filter_map(|(i, line)| {
        let mark = LEFT_OVER.iter().map(|(head, tail)| format!("{head}{tail}")).find(|mark| line.contains(mark))?;
        Some(format!("{file}:{} says {mark}: finish it or take it out", i + 1))
    });
    long.into_iter().chain(left_over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::made_up;

    #[test]
    fn a_file_of_a_thousand_lines_passes_and_one_more_does_not() {
        assert_eq!(text_faults("a.rs", &"line\n".repeat(1_000)), Vec::<String>::new());
        assert_eq!(
            text_faults("a.rs", &"line\n".repeat(1_001)),
            ["a.rs has 1001 lines, over 1000: split it by thought"]
        );
    }

    #[test]
    fn what_was_left_for_later_is_named_with_its_line() {
        let text = ["fn later() {", concat!("    to", "do!()"), "}"].join("\n");
        assert_eq!(text_faults("a.rs", &text), [concat!("a.rs:2 says to", "do!(: finish it or take it out")]);
    }

    #[test]
    fn a_large_file_is_found_and_a_deleted_one_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::File::create(folder.path().join("weights")).unwrap().set_len(MOST_BYTES + 1).unwrap();
        let files = ["weights".to_owned(), "deleted".to_owned()];
        assert_eq!(
            file_faults(folder.path(), &files),
            ["weights has 16777217 bytes, over 16777216: keep it out of git"]
        );
    }

    #[test]
    fn a_package_says_what_it_is_and_takes_the_lint_table() {
        let mut tree = made_up::tree(&["greenroom-new"], |_| true);
        tree.packages[0].description = None;
        let expected = [
            "greenroom-new has no description: say in one sentence what it is",
            "greenroom-new leaves the lint table: add [lints] workspace = true",
        ];
        assert_eq!(manifest_faults(&tree), expected);
    }
}
