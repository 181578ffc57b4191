//! How large what is shipped is.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::{Figure, farm};

const PROGRAMS: [&str; 3] = ["greenroom", "greenroomd", "greenroom-worker"];

pub(super) fn figures(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = vec![pack_size(&root.join("packaging/packs/puppet"))?];
    for program in PROGRAMS {
        let path = farm::program(root, program)?;
        let size = fs::metadata(&path).with_context(|| format!("measure {}", path.display()))?.len();
        figures.push(Figure::mebibytes(format!("{program}.size"), size));
    }
    Ok(figures)
}

/// The part of `pack.toml` that names files.
#[derive(Deserialize)]
struct Pack {
    model: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    file: String,
}

fn pack_size(folder: &Path) -> anyhow::Result<Figure> {
    let manifest = folder.join("pack.toml");
    let text = fs::read_to_string(&manifest).with_context(|| format!("read {}", manifest.display()))?;
    let pack: Pack = toml::from_str(&text).with_context(|| format!("parse {}", manifest.display()))?;
    let mut bytes = 0;
    for model in &pack.model {
        let path = folder.join(&model.file);
        bytes += fs::metadata(&path).with_context(|| format!("measure {}", path.display()))?.len();
    }
    Ok(Figure::mebibytes("pack.size", bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_as_large_as_the_files_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pack.toml"), "[[model]]\nfile = 'a'\n[[model]]\nfile = 'b'\n").unwrap();
        for file in ["a", "b", "not-named"] {
            fs::write(folder.path().join(file), vec![0; 1 << 20]).unwrap();
        }
        assert_eq!(pack_size(folder.path()).unwrap(), Figure::mebibytes("pack.size", 2 << 20));
    }

    #[test]
    fn a_pack_that_lacks_a_file_gives_no_figure() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pack.toml"), "[[model]]\nfile = 'lost'\n").unwrap();
        assert!(pack_size(folder.path()).unwrap_err().to_string().contains("lost"));
    }
}
