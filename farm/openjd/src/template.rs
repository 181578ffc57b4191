//! A template with its parameters, read and checked: a job.

use greenroom_domain::{CommandStep, PathFormat, Problem};
use openjd_model::{
    CallerLimits, DataFlow, DocumentType, JobParameterInputValues, JobParameterType, JobParameterValues, ModelProfile,
    ObjectType, PathParameterOptions, ValidationContext, job, template as parsed,
};
use std::collections::BTreeMap;

use crate::{fault, space};

/// A template of more bytes was not written by a person.
const LONGEST: usize = 4 << 20;

/// What a template may declare.
const EXTENSIONS: [&str; 5] = ["TASK_CHUNKING", "REDACTED_ENV_VARS", "FEATURE_BUNDLE_1", "EXPR", "WRAP_ACTIONS"];

/// What a job is made from.
#[derive(Clone, Copy, Debug)]
pub struct Documents<'a> {
    /// The template's file name, for messages; `.json` is read as JSON, anything else as YAML.
    pub file: &'a str,
    /// The template.
    pub template: &'a str,
    /// Environment templates, (file name, text), the outermost first.
    pub environments: &'a [(String, String)],
    /// Parameters that were given.
    pub parameters: &'a BTreeMap<String, serde_json::Value>,
    /// Where the template lay.
    pub template_folder: &'a str,
    /// Where it was pushed from.
    pub working_folder: &'a str,
}

/// A job that a template and its parameters make.
#[derive(Debug)]
pub struct Template {
    pub(crate) file: String,
    pub(crate) job: job::Job,
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "sessions alone use it"))]
    pub(crate) values: JobParameterValues,
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "sessions alone use it"))]
    pub(crate) environments: Vec<job::Environment>,
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "sessions alone use it"))]
    pub(crate) profile: ModelProfile,
    pub(crate) paths: Vec<Path>,
}

/// A PATH parameter.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) name: String,
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "sessions alone use it"))]
    pub(crate) value: String,
    pub(crate) output: Option<Output>,
}

/// What a PATH parameter is for, where commands write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A folder that begins empty.
    Folder,
    /// One file.
    File,
    /// What is there already, changed in place.
    InPlace,
}

impl Template {
    /// Reads a template, fills in its parameters, and checks both.
    ///
    /// # Errors
    /// One problem that names the file: what is written wrong, an extension that is unknown or not declared, a parameter that is
    /// missing or does not fit, a circle of steps.
    pub fn read(documents: Documents<'_>) -> Result<Self, Problem> {
        let Documents { file, .. } = documents;
        let limits = CallerLimits { max_template_size: Some(LONGEST), ..CallerLimits::default() };
        let parse = |file: &str, text: &str| {
            let json = file.to_ascii_lowercase().ends_with(".json");
            let kind = if json { DocumentType::Json } else { DocumentType::Yaml };
            openjd_model::template::parse::document_string_to_object(text, kind, &limits)
                .map_err(|e| fault::template(file, &e))
        };
        let template = openjd_model::decode_job_template(parse(file, documents.template)?, Some(&EXTENSIONS), &limits)
            .map_err(|e| fault::template(file, &e))?;
        let mut around = Vec::new();
        for (file, text) in documents.environments {
            let read = openjd_model::decode_environment_template(parse(file, text)?, Some(&EXTENSIONS));
            around.push(read.map_err(|e| fault::template(file, &e))?);
        }
        let (values, paths) = fill(&documents, &template, &around)?;
        let profile = profile(&template, &around);
        let context = ValidationContext::from_profile(profile.clone()).with_caller_limits(limits);
        let job = openjd_model::create_job(&template, &values, &context).map_err(|e| fault::template(file, &e))?;
        let symbols = openjd_model::build_symbol_table(&values).map_err(|e| fault::template(file, &e))?;
        let environments = around
            .iter()
            .map(|around| openjd_model::convert_environment_with_symtab(&around.environment, Some(&symbols)))
            .collect();
        Ok(Self { file: file.to_owned(), job, values, environments, profile, paths })
    }

    /// The job's name.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.job.name
    }

    /// Its steps with their tasks, each after those that it depends on.
    ///
    /// # Errors
    /// More than `most` tasks, or none; a circle; a host that cannot be.
    pub fn steps(&self, most: u64) -> Result<Vec<CommandStep>, Problem> {
        space::steps(&self.file, &self.job, most)
    }

    /// What a person may want to know.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = space::notes(&self.job);
        if self.paths.iter().all(|path| path.output.is_none()) {
            notes.push(
                "no PATH parameter has dataFlow OUT or INOUT: the farm keeps the tasks' logs and no files".to_owned(),
            );
        }
        notes
    }

    /// Parameters that commands write to, and how.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, Output)> {
        self.paths.iter().filter_map(|path| Some((path.name.as_str(), path.output?)))
    }
}

/// The parameters' values, and which of them are paths.
fn fill(
    documents: &Documents<'_>,
    template: &parsed::JobTemplate,
    around: &[parsed::EnvironmentTemplate],
) -> Result<(JobParameterValues, Vec<Path>), Problem> {
    let wrong = |e: openjd_model::ModelError| fault::parameters(documents.file, &e);
    let mut given = JobParameterInputValues::new();
    for (name, value) in documents.parameters {
        // As text: the parameter's type decides how it is read.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        given.insert(name.clone(), openjd_expr::ExprValue::String(text));
    }
    let format = match format_of(documents.template_folder) {
        PathFormat::Posix => openjd_expr::PathFormat::Posix,
        PathFormat::Windows => openjd_expr::PathFormat::Windows,
    };
    let mut options = PathParameterOptions::new(documents.template_folder, documents.working_folder);
    options.path_format = format;
    let values = openjd_model::preprocess_job_parameters(template, &given, around, &options).map_err(wrong)?;
    let definitions = openjd_model::merge_job_parameter_definitions(template, around).map_err(wrong)?;
    let of_paths = definitions.iter().filter(|definition| definition.param_type == JobParameterType::Path);
    let paths = of_paths.filter_map(|definition| {
        let output = match (definition.data_flow, definition.object_type) {
            (Some(DataFlow::Out), Some(ObjectType::File)) => Some(Output::File),
            (Some(DataFlow::Out), _) => Some(Output::Folder),
            (Some(DataFlow::Inout), _) => Some(Output::InPlace),
            _ => None,
        };
        let value = values.get(&definition.name)?.value.as_str_repr().into_owned();
        Some(Path { name: definition.name.clone(), value, output })
    });
    let paths = paths.collect();
    Ok((values, paths))
}

/// What the job template says that it needs, and what those around it do.
fn profile(template: &parsed::JobTemplate, around: &[parsed::EnvironmentTemplate]) -> ModelProfile {
    let own = template.profile();
    let mut extensions = own.extensions().clone();
    let named = around.iter().flat_map(|around| around.extensions.iter().flatten());
    extensions.extend(named.filter_map(|name| name.as_str().parse::<openjd_model::ModelExtension>().ok()));
    own.with_extensions(extensions)
}

/// `C:\shows` is written as Windows does.
pub(crate) fn format_of(folder: &str) -> PathFormat {
    let mut letters = folder.chars();
    let drive = letters.next().is_some_and(|c| c.is_ascii_alphabetic()) && letters.next() == Some(':');
    if drive || folder.starts_with(r"\\") { PathFormat::Windows } else { PathFormat::Posix }
}
