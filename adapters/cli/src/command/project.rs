//! `greenroom project`

use clap::{Args, Subcommand};
use greenroom_proto::v1;

use super::{Context, Ended};
use crate::{
    failure::{Failure, Outcome},
    json,
    names::{self, ProjectName},
    settings::{self, SetArgs},
};

/// Make and show projects: one production each, with its own cast, jobs and settings.
#[derive(Args, Debug)]
pub(crate) struct Project {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a project
    Create {
        /// Lower-case letters, digits and dashes
        name: ProjectName,
        #[command(flatten)]
        set: SetArgs,
    },
    /// Name every project
    List,
    /// Show one project and its settings
    Show {
        /// Which
        name: ProjectName,
    },
}

impl Project {
    /// Calls the farm and shows its answer.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let mut projects = farm.projects();
        let answer = match &self.what {
            What::Create { name, set } => {
                let (project_id, settings) = (name.id().to_owned(), Some(set.to_wire()));
                projects.create_project(v1::CreateProjectRequest { project_id, settings }).await
            }
            What::Show { name } => projects.get_project(v1::GetProjectRequest { name: name.to_string() }).await,
            What::List => match projects.list_projects(v1::ListProjectsRequest {}).await {
                Ok(list) => {
                    let list = list.into_inner().projects;
                    let lines = list.iter().map(|project| names::last(&project.name).to_owned()).collect::<Vec<_>>();
                    context.output.answer(&list.iter().map(json::project).collect(), &lines);
                    return Ok(Outcome::Complete);
                }
                Err(status) => Err(status),
            },
        };
        match answer {
            Ok(project) => {
                let project = project.into_inner();
                context.output.answer(&json::project(&project), &lines(&project));
                Ok(Outcome::Complete)
            }
            Err(status) => Err(Failure::from(farm.problem(status).await)),
        }
    }
}

fn lines(project: &v1::Project) -> Vec<String> {
    let mut lines = vec![names::last(&project.name).to_owned()];
    for (key, value) in settings::shown(&project.settings.clone().unwrap_or_default()) {
        lines.push(format!("  {key:<22}{}", value.as_deref().unwrap_or("the farm's default")));
    }
    lines
}
