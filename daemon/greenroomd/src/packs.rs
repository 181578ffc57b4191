//! Opens the pack that this farm works with, and checks that its files are what pack.toml says.

use greenroom_domain::{Digest, Pack, Problem, ProblemKind};
use std::path::Path;

/// Reads pack.toml and compares the size of every file. Digests are compared by the workers, which read the files anyway.
pub(crate) fn open(folder: &Path) -> Result<(Pack, Digest), Problem> {
    let file = folder.join("pack.toml");
    let text = std::fs::read_to_string(&file).map_err(|e| missing(&file, &e.to_string()))?;
    let pack = Pack::parse(&text, &file.display().to_string())?;
    for model in &pack.model {
        let path = folder.join(&model.file);
        let found = std::fs::metadata(&path).map_err(|e| missing(&path, &e.to_string()))?;
        if found.len() != model.size {
            let cause = format!("the file has {} bytes, pack.toml says {}", found.len(), model.size);
            return Err(missing(&path, &cause));
        }
    }
    let digest = pack.digest();
    Ok((pack, digest))
}

fn missing(path: &Path, cause: &str) -> Problem {
    let remedy = "restore the pack from its release, or point --pack at a complete one";
    Problem::new(ProblemKind::Unavailable, "open pack", path.display().to_string(), cause, remedy)
}
