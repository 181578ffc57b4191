//! Packs on this machine: where they lie, what is in them, and how one is made from face models that somebody has.

mod choose;
mod compose;
mod look;
mod make;

pub(crate) use choose::{Chosen, choose};
pub(crate) use compose::FaceModels;
pub(crate) use look::look;
pub(crate) use make::make;

use greenroom_domain::{Digest, Pack, Problem, ProblemKind};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::environment::Environment;

/// A pack's folder with what its pack.toml says.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// Where.
    pub(crate) path: PathBuf,
    /// As it was written.
    pub(crate) text: String,
    /// As it was read.
    pub(crate) pack: Pack,
}

impl Folder {
    /// Reads pack.toml and nothing else.
    pub(crate) fn open(path: &Path) -> Result<Self, Problem> {
        let file = path.join("pack.toml");
        let text = fs::read_to_string(&file).map_err(|error| {
            let remedy = "name the folder of a pack; `greenroom pack list` names those of this machine";
            Problem::new(ProblemKind::NotFound, "read pack", file.display().to_string(), error, remedy)
        })?;
        let pack = Pack::parse(&text, &file.display().to_string())?;
        Ok(Self { path: path.to_owned(), text, pack })
    }
}

/// The folder that packs are added to where none is named.
pub(crate) fn home(environment: &Environment) -> Result<PathBuf, Problem> {
    let home = environment.data_home.as_ref().map(|home| home.join("greenroom/packs"));
    home.ok_or_else(|| {
        let (cause, remedy) = ("neither XDG_DATA_HOME nor HOME is set", "name a folder with --into, or set HOME");
        Problem::new(ProblemKind::Unavailable, "find packs", "the folder of packs", cause, remedy)
    })
}

/// SHA-256 and size of a file.
pub(crate) fn digest(file: &Path) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let size = io::copy(&mut fs::File::open(file)?, &mut hasher)?;
    Ok((Digest::from_bytes(hasher.finalize().into()), size))
}
