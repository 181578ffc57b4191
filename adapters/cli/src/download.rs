//! Artifacts to files: written aside, verified, then renamed, so that a file is whole or not there.

use greenroom_domain::{Digest, Problem, ProblemKind};
use greenroom_proto::v1::{ReadArtifactRequest, Report};
use sha2::{Digest as _, Sha256};
use std::{
    io,
    path::{Component, Path, PathBuf},
};
use tokio::io::AsyncWriteExt as _;

use crate::{connection::Farm, failure::Failure, upload};

/// Writes everything a job made below `out` and answers with the paths, in the order a person wants them. Files that are
/// there already with the right bytes are left alone. `at` hears each path before it is written.
pub(crate) async fn save_report(
    farm: &Farm,
    report: &Report,
    out: &Path,
    at: impl Fn(&Path),
) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for file in &report.files {
        files.push((inside(out, &file.path)?, digest(&file.path, &file.digest)?));
    }
    for (path, digest) in &files {
        at(path);
        save(farm, digest, path).await?;
    }
    let mut paths = files.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    for (name, text) in [("report.html", &report.html), ("report.json", &report.json)] {
        let path = out.join(name);
        write(&path, text.as_bytes()).await?;
        paths.push(path);
    }
    Ok(paths)
}

/// Writes one artifact to a file, unless the file has those bytes already.
pub(crate) async fn save(farm: &Farm, digest: &Digest, path: &Path) -> Result<(), Problem> {
    if upload::hash(path).is_ok_and(|(there, _)| there == *digest) {
        return Ok(());
    }
    let part = aside(path);
    let result = match fetch(farm, digest, path, &part).await {
        Ok(()) => tokio::fs::rename(&part, path).await.map_err(|error| unwritable(path, &error)),
        Err(problem) => Err(problem),
    };
    if result.is_err() {
        // What is left aside is worth nothing, and the first problem is the one to tell.
        let _ = tokio::fs::remove_file(&part).await;
    }
    result
}

/// Writes bytes to a file: aside, then renamed.
pub(crate) async fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let part = aside(path);
    make_folder(path).await?;
    tokio::fs::write(&part, bytes).await.map_err(|error| unwritable(path, &error))?;
    tokio::fs::rename(&part, path).await.map_err(|error| unwritable(path, &error))
}

async fn fetch(farm: &Farm, digest: &Digest, path: &Path, part: &Path) -> Result<(), Problem> {
    make_folder(path).await?;
    let request = ReadArtifactRequest { digest: digest.to_string() };
    let mut stream = match farm.artifacts().read_artifact(request).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Err(farm.problem(status).await),
    };
    let mut file = tokio::fs::File::create(part).await.map_err(|error| unwritable(path, &error))?;
    let mut hasher = Sha256::new();
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => {
                hasher.update(&chunk.data);
                file.write_all(&chunk.data).await.map_err(|error| unwritable(path, &error))?;
            }
            Ok(None) => break,
            Err(status) => return Err(farm.problem(status).await),
        }
    }
    file.flush().await.map_err(|error| unwritable(path, &error))?;
    let arrived = Digest::from_bytes(hasher.finalize().into());
    if arrived == *digest {
        return Ok(());
    }
    let cause = format!("the bytes that arrived have the digest {arrived}, not {digest}");
    let remedy = "pull again; if it stays, the daemon's artifact store is damaged";
    Err(Problem::new(ProblemKind::Internal, "save file", path.display().to_string(), cause, remedy))
}

/// A relative path of the report, below `out` and nowhere else.
fn inside(out: &Path, relative: &str) -> Result<PathBuf, Problem> {
    let path = Path::new(relative);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    if stays && !relative.is_empty() {
        return Ok(out.join(path));
    }
    let remedy = "call a daemon that you trust; nothing was written";
    let cause = "the report names a file outside of the folder";
    Err(Problem::new(ProblemKind::Denied, "save file", relative, cause, remedy))
}

fn digest(subject: &str, text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|error| {
        Problem::new(
            ProblemKind::Internal,
            "save file",
            subject,
            error,
            "install the same version of greenroom and greenroomd",
        )
    })
}

fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}

async fn make_folder(path: &Path) -> Result<(), Problem> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tokio::fs::create_dir_all(folder).await.map_err(|error| unwritable(folder, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Problem {
    let remedy = "name a folder that can be written and has room";
    Problem::new(ProblemKind::Unavailable, "save file", path.display().to_string(), error, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_cannot_write_outside_of_its_folder() {
        let out = Path::new("out");
        assert_eq!(inside(out, "clips/1-2.mp4"), Ok(PathBuf::from("out/clips/1-2.mp4")));
        for path in ["/etc/passwd", "../episode.mp4", "clips/../../x", ".", ""] {
            let problem = inside(out, path).unwrap_err();
            assert_eq!(
                problem.to_string(),
                format!("save file: {path}: the report names a file outside of the folder")
            );
        }
    }
}
