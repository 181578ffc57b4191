//! Projects.

use greenroom_domain::{Pack, Project, Settings};
use greenroom_proto::v1::{self, project_service_server::ProjectService};
use greenroom_store::{StoreError, Unique};
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{exists, invalid, ledger, not_found, store},
};
use crate::{access, clock, ledger::LedgerError, push};

impl Api {
    /// The project of a resource name, if the caller may do there what it wants to.
    pub(super) async fn project(&self, name: &str) -> Result<Project, Status> {
        let id = convert::segment(name, "projects")?;
        let none = || not_found("project", id);
        let project = self.0.store.project_by_name(id).await.map_err(store)?.ok_or_else(none)?;
        access::admit(&project, none)?;
        Ok(project)
    }
}

#[tonic::async_trait]
impl ProjectService for Api {
    async fn create_project(
        &self,
        request: Request<v1::CreateProjectRequest>,
    ) -> Result<Response<v1::Project>, Status> {
        let request = request.into_inner();
        let name = request.project_id;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 63 || !name.chars().all(plain) || name.starts_with('-') {
            let cause = "a name has 1 to 63 lower-case letters, digits and dashes, and does not begin with a dash";
            return Err(invalid("create project", &name, cause, "choose another name"));
        }
        access::about(format!("projects/{name}"));
        let settings = convert::settings(&request.settings.unwrap_or_default())?;
        known_anchors(&self.0.pack, &settings)?;
        let project = Project { id: clock::new_project(), name, settings, created: clock::now() };
        let project = match push::project(&self.0, project).await {
            Err(LedgerError::Store(StoreError::Exists(Unique::Project { name }))) => {
                return Err(exists("create project", &name, "choose another name, or use the project that has it"));
            }
            created => created.map_err(|e| ledger(&e))?,
        };
        Ok(Response::new(convert::project(&project)))
    }

    async fn get_project(&self, request: Request<v1::GetProjectRequest>) -> Result<Response<v1::Project>, Status> {
        let project = self.project(&request.into_inner().name).await?;
        Ok(Response::new(convert::project(&project)))
    }

    async fn list_projects(
        &self,
        _: Request<v1::ListProjectsRequest>,
    ) -> Result<Response<v1::ListProjectsResponse>, Status> {
        let mut projects = self.0.store.projects().await.map_err(store)?;
        projects.retain(|project| access::is_member(project.id));
        Ok(Response::new(v1::ListProjectsResponse { projects: projects.iter().map(convert::project).collect() }))
    }
}

/// Refuses a weight for what the pack's classifier does not know: it would count for nothing, and nobody would be told.
fn known_anchors(pack: &Pack, settings: &Settings) -> Result<(), Status> {
    let known: Vec<&str> = pack.attributes.iter().flat_map(|how| how.anchors.keys()).map(String::as_str).collect();
    match settings.anchors.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            let cause = format!("the pack {} scores no such attribute", pack.name);
            let remedy =
                if known.is_empty() { "leave it out".to_owned() } else { format!("name one of {}", known.join(", ")) };
            Err(invalid("read settings", &format!("anchor {name}"), cause, &remedy))
        }
        None => Ok(()),
    }
}
