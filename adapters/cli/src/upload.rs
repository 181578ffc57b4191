//! Files to artifacts: hashed here first, and sent only where the farm lacks them.

use greenroom_domain::{Digest, Problem, ProblemKind};
use greenroom_proto::v1::{FindMissingRequest, WriteArtifactRequest};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
};
use tokio_stream::StreamExt as _;
use tokio_util::io::ReaderStream;

use crate::connection::Farm;

/// Bytes in one message.
const CHUNK: usize = 256 << 10;

/// A file on this machine whose digest is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalFile {
    /// Where.
    pub(crate) path: PathBuf,
    /// Of its bytes.
    pub(crate) digest: Digest,
    /// Its length.
    pub(crate) bytes: u64,
}

impl LocalFile {
    /// Reads a file once, for its digest. `step` is what a failure will be told as.
    pub(crate) fn hash(path: &Path, step: &str) -> Result<Self, Problem> {
        let (digest, bytes) = hash(path).map_err(|error| {
            Problem::invalid(step, path.display().to_string(), error, "name a file that can be read")
        })?;
        Ok(Self { path: path.to_owned(), digest, bytes })
    }

    /// The file's own name.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The digest and length of a file.
pub(crate) fn hash(path: &Path) -> std::io::Result<(Digest, u64)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut buffer, mut bytes) = (Sha256::new(), vec![0; CHUNK], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((Digest::from_bytes(hasher.finalize().into()), bytes));
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Those that the farm lacks, each once.
pub(crate) async fn missing(farm: &Farm, files: &[LocalFile]) -> Result<Vec<LocalFile>, Problem> {
    let digests = files.iter().map(|file| file.digest.to_string()).collect::<BTreeSet<_>>().into_iter().collect();
    let answer = match farm.artifacts().find_missing(FindMissingRequest { digests }).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Err(farm.problem(status).await),
    };
    let mut wanted = answer.digests.into_iter().collect::<BTreeSet<_>>();
    Ok(files.iter().filter(|file| wanted.remove(&file.digest.to_string())).cloned().collect())
}

/// Sends one file; `sent` hears how many bytes went out since it last heard.
pub(crate) async fn send(
    farm: &Farm,
    file: &LocalFile,
    mut sent: impl FnMut(u64) + Send + 'static,
) -> Result<(), Problem> {
    let open = tokio::fs::File::open(&file.path).await;
    let reader = open.map_err(|error| changed(file, error.to_string()))?;
    // The digest goes ahead on its own, so that an empty file is a message too.
    let first = WriteArtifactRequest { digest: file.digest.to_string(), data: Vec::new() };
    // A file that cannot be read to its end arrives short, and the farm refuses it by its digest.
    let rest = ReaderStream::with_capacity(reader, CHUNK).map_while(Result::ok).map(move |data| {
        sent(data.len() as u64);
        WriteArtifactRequest { digest: String::new(), data: data.into() }
    });
    match farm.artifacts().write_artifact(tokio_stream::once(first).chain(rest)).await {
        Ok(answer) if answer.get_ref().size == file.bytes => Ok(()),
        Ok(answer) => Err(changed(file, format!("{} of {} bytes arrived", answer.get_ref().size, file.bytes))),
        Err(status) => Err(farm.problem(status).await),
    }
}

fn changed(file: &LocalFile, cause: String) -> Problem {
    let remedy = "leave the file as it is until it is sent, and try again";
    Problem::new(ProblemKind::Conflict, "send file", file.path.display().to_string(), cause, remedy)
}
