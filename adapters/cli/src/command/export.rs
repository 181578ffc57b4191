//! `greenroom export`

use clap::Args;
use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use super::{Context, Ended};
use crate::{download, failure::Outcome, names::JobName};

/// Write a job as others can run it.
///
/// As a job template of Open Job Description: a job of commands as it was pushed; a film, a character and a LoRA as calls of this
/// command, so that any scheduler that reads templates can order them from a farm.
///
/// Parameters and environment templates that it was pushed with go beside FILE: NAME.parameters.json, NAME.environment-1.yaml.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// Which job
    job: JobName,
    /// As a job template 2023-09
    #[arg(long, required = true)]
    openjd: bool,
    /// File to write to [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    /// Asks and writes.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let (farm, output) = (context.farm().await?, &context.output);
        let exported = match farm.jobs().export_job(v1::ExportJobRequest { name: self.job.to_string() }).await {
            Ok(exported) => exported.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let parameters: Value = serde_json::from_str(&exported.parameters_json).unwrap_or_default();
        let given = parameters.as_object().is_some_and(|parameters| !parameters.is_empty());
        let Some(out) = &self.out else {
            let environments = exported.environments.iter();
            let environments: Value =
                environments.map(|file| json!({"name": file.name, "template": file.text})).collect();
            let document =
                json!({"template": exported.template, "parameters": parameters, "environments": environments});
            let lines: Vec<_> = exported.template.lines().map(str::to_owned).collect();
            if given || !exported.environments.is_empty() {
                output.note("it was pushed with parameters or environments; --out FILE or --json gives them too");
            }
            output.answer(&document, &lines);
            return Ok(Outcome::Complete);
        };
        let mut files = vec![(out.clone(), exported.template)];
        if given {
            files.push((beside(out, "parameters.json")?, format!("{parameters:#}\n")));
        }
        for (number, file) in exported.environments.into_iter().enumerate() {
            let extension = Path::new(&file.name).extension().and_then(|e| e.to_str()).unwrap_or("yaml");
            files.push((beside(out, &format!("environment-{}.{extension}", number + 1))?, file.text));
        }
        for (path, text) in &files {
            download::write(path, text.as_bytes()).await?;
        }
        let paths: Vec<_> = files.iter().map(|(path, _)| path.display().to_string()).collect();
        output.answer(&json!({"files": paths}), &paths);
        Ok(Outcome::Complete)
    }
}

/// `shot.yaml` → `shot.parameters.json`
fn beside(out: &Path, ending: &str) -> Result<PathBuf, Problem> {
    let stem = out.file_stem().ok_or_else(|| {
        let remedy = "name a file to write to";
        Problem::new(ProblemKind::Invalid, "export job", out.display().to_string(), "it names no file", remedy)
    })?;
    Ok(out.with_file_name(format!("{}.{ending}", stem.to_string_lossy())))
}
