//! Resource names as people write them and as the daemon wants them.

use greenroom_domain::JobId;
use std::{fmt, str::FromStr};

/// A job as given on the command line: `job_…`, or its whole name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobName(String);

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = last(text);
        id.parse::<JobId>().map_err(|error| error.to_string())?;
        match text.split('/').collect::<Vec<_>>()[..] {
            [_] => Ok(Self(format!("projects/-/jobs/{id}"))),
            ["projects", project, "jobs", _] if !project.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(format!("`{text}` is not a job (write job_… or projects/PROJECT/jobs/job_…)")),
        }
    }
}

/// A project as given on the command line: its name, or `projects/` and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectName(String);

impl ProjectName {
    /// The name alone.
    pub(crate) fn id(&self) -> &str {
        &self.0
    }

    /// A name made from a file's: `Hidden Lab.fountain` gives `hidden-lab`.
    pub(crate) fn from_file(stem: &str) -> Self {
        let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let slug = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
        Self(if slug.is_empty() { "untitled".to_owned() } else { slug })
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "projects/{}", self.0)
    }
}

impl FromStr for ProjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = text.strip_prefix("projects/").unwrap_or(text);
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !id.is_empty() && id.chars().all(fits) {
            Ok(Self(id.to_owned()))
        } else {
            Err(format!("`{text}` is not a project name (lower-case letters, digits and dashes)"))
        }
    }
}

/// The last part of a resource name: what people call the thing.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "job_019aa0000000700080000000000000aa";

    #[test]
    fn a_bare_job_id_is_looked_for_in_every_project() {
        assert_eq!(ID.parse::<JobName>().unwrap().to_string(), format!("projects/-/jobs/{ID}"));
        let whole = format!("projects/lab/jobs/{ID}");
        assert_eq!(whole.parse::<JobName>().unwrap().to_string(), whole);
    }

    #[test]
    fn what_is_no_job_is_refused_before_anything_is_called() {
        let error = "task_1".parse::<JobName>().unwrap_err();
        assert_eq!(error, "`task_1` is not a job id (expected job_ followed by a UUID)");
        assert!(format!("lab/{ID}").parse::<JobName>().is_err());
    }

    #[test]
    fn a_project_is_called_after_its_script() {
        assert_eq!(ProjectName::from_file("Hidden Lab (v2)").id(), "hidden-lab-v2");
        assert_eq!(ProjectName::from_file("Лес").id(), "untitled");
        assert!("Hidden Lab".parse::<ProjectName>().is_err());
    }
}
