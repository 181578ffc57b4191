//! Asks greenroom-worker what model files are for: this program links no model library.

use greenroom_domain::{OnnxKind, Problem, ProblemKind};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

use crate::environment::Environment;

const STEP: &str = "look at models";

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Models(Vec<OnnxKind>),
    Problem(Problem),
}

/// Every ONNX file of a folder, by name, with what it is for.
pub(crate) async fn look(folder: &Path, environment: &Environment) -> Result<Vec<(PathBuf, OnnxKind)>, Problem> {
    let files = files(folder)?;
    let program = environment.worker.clone().or_else(|| environment.program("greenroom-worker")).ok_or_else(|| {
        let cause = "it is neither beside greenroom nor on the PATH";
        let remedy = "install greenroom-worker, or set GREENROOM_WORKER to its program";
        Problem::new(ProblemKind::Unavailable, STEP, "greenroom-worker", cause, remedy)
    })?;
    let failed = |cause: String| {
        let remedy = "set GREENROOM_WORKER to a greenroom-worker of this version";
        Problem::new(ProblemKind::Unavailable, STEP, program.display().to_string(), cause, remedy)
    };
    let mut command = Command::new(&program);
    command.arg("inspect").args(&files).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| failed(error.to_string()))?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Answer::Models(kinds)) if kinds.len() == files.len() => Ok(files.into_iter().zip(kinds).collect()),
        Ok(Answer::Problem(problem)) => Err(problem),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
            Err(failed(format!("it ended ({}) without an answer and said: {last}", output.status)))
        }
    }
}

/// The ONNX files of a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let subject = folder.display().to_string();
    let refused = |error: std::io::Error| {
        let remedy = "name a folder that holds .onnx files, such as ~/.insightface/models/buffalo_l";
        Problem::new(ProblemKind::NotFound, STEP, subject.clone(), error, remedy)
    };
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in folder.read_dir().map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        if path.is_dir() {
            folders.push(path);
        } else if is_model(&path) {
            files.push(path);
        }
    }
    files.sort();
    if !files.is_empty() {
        return Ok(files);
    }
    // Archives unpack to antelopev2/antelopev2.
    folders.sort();
    let inner = folders.iter().find(|inner| has_models(inner));
    let remedy = match inner {
        Some(inner) => format!("name the folder {}, which has some", inner.display()),
        None => "name a folder that holds .onnx files, such as ~/.insightface/models/buffalo_l".into(),
    };
    Err(Problem::new(ProblemKind::Invalid, STEP, subject, "there is no .onnx file in it", remedy))
}

fn has_models(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| is_model(&entry.path())))
}

fn is_model(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    /// A worker that says this, and what came of it.
    async fn told(said: &str) -> Result<Vec<(PathBuf, OnnxKind)>, Problem> {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = folder(&["b.onnx", "a.ONNX", "notes.txt", "worker"]);
        let worker = dir.path().join("worker");
        fs::write(&worker, format!("#!/bin/sh\n{said}\n")).unwrap();
        fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
        look(dir.path(), &Environment { worker: Some(worker), ..Environment::default() }).await
    }

    #[tokio::test]
    async fn files_and_answers_come_together_by_name() {
        let said = r#"[ "$1 $#" = "inspect 3" ] && echo '{"models":[{"kind":"detector","input":null,"landmarks":true},{"kind":"other","what":"x"}]}'"#;
        let found = told(said).await.unwrap();
        let names: Vec<_> = found.iter().map(|(file, _)| file.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.ONNX", "b.onnx"]);
        assert_eq!(found[0].1, OnnxKind::Detector { input: None, landmarks: true });
    }

    #[tokio::test]
    async fn a_worker_that_cannot_look_says_why_in_its_own_words_or_is_quoted() {
        let problem =
            r#"{"problem":{"kind":"unavailable","step":"load ONNX Runtime","subject":"l","cause":"c","remedy":"r"}}"#;
        let said = told(&format!("echo '{problem}'; exit 1")).await.unwrap_err();
        assert_eq!((said.to_string().as_str(), said.remedy.as_str()), ("load ONNX Runtime: l: c", "r"));
        let said = told("echo 'error: unexpected argument' >&2; exit 2").await.unwrap_err();
        let cause = "it ended (exit status: 2) without an answer and said: error: unexpected argument";
        assert_eq!(said.cause, cause);
    }

    #[tokio::test]
    async fn a_folder_without_models_is_told_and_one_inside_it_is_offered() {
        let empty = folder(&["readme.md"]);
        let said = look(empty.path(), &Environment::default()).await.unwrap_err();
        assert_eq!(said.cause, "there is no .onnx file in it");
        let nested = folder(&["antelopev2/a.onnx"]);
        let said = look(nested.path(), &Environment::default()).await.unwrap_err();
        assert_eq!(
            said.remedy,
            format!("name the folder {}, which has some", nested.path().join("antelopev2").display())
        );
        let said = look(&empty.path().join("nowhere"), &Environment::default()).await.unwrap_err();
        assert!(said.cause.contains("No such file"), "{said}");
    }
}
