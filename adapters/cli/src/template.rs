//! Job templates of Open Job Description: sent as they are; what is in them is the farm's to read.

use clap::Args;
use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

use crate::{command::steps, connection::Farm, names::ProjectName, output::Output, upload::LocalFile};

/// What a template is filled in with.
#[derive(Args, Debug)]
#[command(next_help_heading = "Job templates")]
pub(crate) struct TemplateArgs {
    /// A parameter of the template; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    parameter: Vec<(String, String)>,
    /// A file of parameters (YAML or JSON); --parameter goes before it
    #[arg(long, value_name = "FILE")]
    parameters: Vec<PathBuf>,
    /// An environment template around every session; several are entered in this order
    #[arg(long, value_name = "FILE")]
    environment: Vec<PathBuf>,
    /// Run it anew even where an equal template was pushed before
    #[arg(long)]
    again: bool,
}

/// Whether a file is a template rather than a script.
pub(crate) fn is_template(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

impl TemplateArgs {
    /// Sends the template and what it is filled in with. Answers with the job, whether it is new, and what there is to know.
    pub(crate) async fn push(
        &self,
        farm: &Farm,
        output: &Output,
        project: &ProjectName,
        template: &Path,
    ) -> Result<(v1::Job, bool, Vec<String>), Problem> {
        let file = LocalFile::hash(template, "read template")?;
        let around = self.environment.iter().map(|path| LocalFile::hash(path, "read environment template"));
        let around = around.collect::<Result<Vec<_>, _>>()?;
        let files: Vec<_> = [file.clone()].into_iter().chain(around.iter().cloned()).collect();
        steps::send(farm, output, &files).await?;
        let given = self.parameter.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let folder = absolute(template.parent().unwrap_or(Path::new("")))?;
        let request = v1::PushTemplateRequest {
            parent: project.to_string(),
            file_name: file.name(),
            template_digest: file.digest.to_string(),
            environments: around
                .iter()
                .map(|file| v1::NamedArtifact { name: file.name(), digest: file.digest.to_string() })
                .collect(),
            parameters_json: Value::Object(given.collect::<Map<_, _>>()).to_string(),
            parameter_files: self.parameters.iter().map(|path| text(path)).collect::<Result<_, _>>()?,
            template_folder: folder,
            working_folder: absolute(Path::new(""))?,
            again: if self.again { crate::environment::now().as_millis().to_string() } else { String::new() },
        };
        let answer = match farm.jobs().push_template(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(farm.problem(status).await),
        };
        let lost = || steps::lost("push template", &file.name(), &answer.missing_digests);
        Ok((answer.job.clone().ok_or_else(lost)?, answer.created, answer.notes))
    }

    /// A script takes nothing of this.
    pub(crate) fn refuse(&self, script: &Path) -> Result<(), Problem> {
        let given = [
            ("--parameter", !self.parameter.is_empty()),
            ("--parameters", !self.parameters.is_empty()),
            ("--environment", !self.environment.is_empty()),
            ("--again", self.again),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => {
                let cause = format!("{flag} is for job templates (.yaml, .yml, .json), and this is a script");
                Err(Problem::invalid("push script", script.display().to_string(), cause, "leave it out"))
            }
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

fn text(path: &Path) -> Result<v1::TextFile, Problem> {
    let subject = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problem::invalid("read parameters", &subject, error, "name a file that can be read"))?;
    Ok(v1::TextFile { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text })
}

/// Where paths begin on this machine.
fn absolute(folder: &Path) -> Result<String, Problem> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let absolute = std::path::absolute(folder).map_err(|error| {
        let remedy = "change to a folder that exists";
        Problem::new(ProblemKind::Unavailable, "push template", folder.display().to_string(), error, remedy)
    })?;
    // The folder itself ends in no dot.
    Ok(absolute.components().collect::<PathBuf>().display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_told_from_scripts_by_their_names() {
        let told =
            ["a.yaml", "a.YML", "b/a.json", "a.fountain", "a.toml", "yaml"].map(|name| is_template(Path::new(name)));
        assert_eq!(told, [true, true, true, false, false, false]);
    }

    #[test]
    fn a_parameter_may_hold_more_of_the_sign_that_ends_its_name() {
        assert_eq!(pair("Args=a=b"), Ok(("Args".into(), "a=b".into())));
        assert!(pair("=b").is_err() && pair("Frames").is_err());
    }
}
