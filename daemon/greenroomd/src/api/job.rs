//! Jobs.

use greenroom_domain::{Job, JobId, Priority, Project};
use greenroom_proto::v1::{self, job_service_server::JobService};
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{invalid, ledger, not_found, status, store},
    watch::Updates,
};
use crate::{
    access, command,
    push::{self, Whose},
    report,
};

/// Jobs in a list, unless asked otherwise.
const PAGE: u32 = 50;

impl Api {
    /// The job of a resource name, with its project; `projects/-` finds the project.
    pub(super) async fn job(&self, name: &str) -> Result<(Project, Job), Status> {
        let text = convert::segment(name, "jobs")?;
        let id: JobId = text.parse().map_err(|e| invalid("find job", text, e, "copy the id from `greenroom jobs`"))?;
        let job = self.0.store.job(id).await.map_err(store)?.ok_or_else(|| not_found("job", text))?;
        let project = self.0.store.project(job.project).await.map_err(store)?;
        let asked = convert::segment(name, "projects")?;
        let project = project.filter(|p| asked == "-" || p.name == asked).ok_or_else(|| not_found("job", text))?;
        access::admit(&project, || not_found("job", text))?;
        access::about(format!("projects/{}/jobs/{id}", project.name));
        Ok((project, job))
    }

    pub(super) async fn show_job(&self, project: &Project, job: &Job, whole: bool) -> Result<v1::Job, Status> {
        let tasks = self.0.store.tasks(job.id).await.map_err(store)?;
        Ok(convert::job(&project.name, job, &tasks, whole))
    }
}

fn priority(n: i32) -> Result<Priority, Status> {
    let remedy = "choose one from -10 to 10";
    Priority::try_from(i64::from(n)).map_err(|e| invalid("read priority", &n.to_string(), e, remedy))
}

#[tonic::async_trait]
impl JobService for Api {
    type WatchJobStream = Updates;

    async fn push_script(
        &self,
        request: Request<v1::PushScriptRequest>,
    ) -> Result<Response<v1::PushScriptResponse>, Status> {
        let _pushing = self.0.forgetting.read().await;
        let request = request.into_inner();
        let project = self.project(&request.parent).await?;
        let script = convert::digest(&request.script_digest)?;
        let named = |p: &v1::NamedArtifact| Ok((p.name.clone(), convert::digest(&p.digest)?));
        let pictures = request.pictures.iter().map(named).collect::<Result<BTreeMap<_, _>, Status>>()?;
        let needed: Vec<_> = [script].into_iter().chain(pictures.values().copied()).collect();
        let missing_digests = self.missing(&needed).await?;
        if !missing_digests.is_empty() {
            return Ok(Response::new(v1::PushScriptResponse { missing_digests, ..Default::default() }));
        }
        let whose = Whose { user: request.user, priority: priority(request.priority)? };
        let pushed = push::script(&self.0, &project, &request.file_name, script, &pictures, whose).await;
        let pushed = pushed.map_err(|e| ledger(&e))?;
        let job = Some(self.show_job(&project, &pushed.value, true).await?);
        let answer =
            v1::PushScriptResponse { job, created: pushed.created, notes: pushed.notes, missing_digests: vec![] };
        Ok(Response::new(answer))
    }

    async fn push_template(
        &self,
        request: Request<v1::PushTemplateRequest>,
    ) -> Result<Response<v1::PushTemplateResponse>, Status> {
        let _pushing = self.0.forgetting.read().await;
        let request = request.into_inner();
        let project = self.project(&request.parent).await?;
        let source = convert::command_source(&request)?;
        let needed: Vec<_> =
            [source.template].into_iter().chain(source.environments.iter().map(|(_, digest)| *digest)).collect();
        let missing_digests = self.missing(&needed).await?;
        if !missing_digests.is_empty() {
            return Ok(Response::new(v1::PushTemplateResponse { missing_digests, ..Default::default() }));
        }
        let pushed = command::push(&self.0, &project, source).await.map_err(|e| ledger(&e))?;
        let job = Some(self.show_job(&project, &pushed.value, true).await?);
        let answer =
            v1::PushTemplateResponse { job, created: pushed.created, notes: pushed.notes, missing_digests: vec![] };
        Ok(Response::new(answer))
    }

    async fn export_job(
        &self,
        request: Request<v1::ExportJobRequest>,
    ) -> Result<Response<v1::ExportJobResponse>, Status> {
        let (project, job) = self.job(&request.into_inner().name).await?;
        let exported = command::export(&self.0, &project, &job).await.map_err(|e| ledger(&e))?;
        let environments = exported.environments.into_iter();
        Ok(Response::new(v1::ExportJobResponse {
            template: exported.template,
            parameters_json: serde_json::Value::Object(exported.parameters).to_string(),
            environments: environments.map(|(name, text)| v1::TextFile { name, text }).collect(),
        }))
    }

    async fn get_job(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let (project, job) = self.job(&request.into_inner().name).await?;
        Ok(Response::new(self.show_job(&project, &job, true).await?))
    }

    async fn list_jobs(&self, request: Request<v1::ListJobsRequest>) -> Result<Response<v1::ListJobsResponse>, Status> {
        let request = request.into_inner();
        let all = convert::segment(&request.parent, "projects")? == "-";
        let project = if all { None } else { Some(self.project(&request.parent).await?) };
        let limit = if request.page_size == 0 { PAGE } else { request.page_size.min(1000) } as usize;
        let projects = match project {
            Some(project) => vec![project],
            None => self.0.store.projects().await.map_err(store)?,
        };
        let mut found = Vec::new();
        for project in projects.iter().filter(|project| access::is_member(project.id)) {
            let jobs = self.0.store.jobs(Some(project.id), limit).await.map_err(store)?;
            found.extend(jobs.into_iter().map(|job| (project, job)));
        }
        // Ids sort as they were made.
        found.sort_by_key(|(_, job)| std::cmp::Reverse((job.created, job.id)));
        let mut jobs = Vec::new();
        for (project, job) in found.iter().take(limit) {
            jobs.push(self.show_job(project, job, false).await?);
        }
        Ok(Response::new(v1::ListJobsResponse { jobs }))
    }

    async fn cancel_job(&self, request: Request<v1::CancelJobRequest>) -> Result<Response<v1::Job>, Status> {
        let (project, job) = self.job(&request.into_inner().name).await?;
        let job = super::cancel_job(&self.0, job.id).await.map_err(|e| ledger(&e))?;
        Ok(Response::new(self.show_job(&project, &job, true).await?))
    }

    async fn adjust_job(&self, request: Request<v1::AdjustJobRequest>) -> Result<Response<v1::Job>, Status> {
        let request = request.into_inner();
        let (project, job) = self.job(&request.name).await?;
        let priority = request.priority.map(priority).transpose()?;
        let adjust = |job: &mut Job, now| {
            job.priority = priority.unwrap_or(job.priority);
            job.paused = match request.paused {
                Some(true) => job.paused.or(Some(now)),
                Some(false) => None,
                None => job.paused,
            };
        };
        let job = self.0.adjust(job.id, adjust).await.map_err(|e| ledger(&e))?;
        Ok(Response::new(self.show_job(&project, &job, true).await?))
    }

    async fn requeue_job(&self, request: Request<v1::RequeueJobRequest>) -> Result<Response<v1::Job>, Status> {
        let (project, job) = self.job(&request.into_inner().name).await?;
        super::requeue_job(&self.0, job.id).await;
        Ok(Response::new(self.show_job(&project, &job, true).await?))
    }

    async fn watch_job(&self, request: Request<v1::WatchJobRequest>) -> Result<Response<Updates>, Status> {
        let request = request.into_inner();
        let (project, job) = self.job(&request.name).await?;
        Ok(Response::new(super::watch::watch(self.0.clone(), project.name, job.id, request.after_sequence)))
    }

    async fn get_report(&self, request: Request<v1::GetReportRequest>) -> Result<Response<v1::Report>, Status> {
        let (project, job) = self.job(&request.into_inner().name).await?;
        let report = report::build(&self.0, &project, &job).await.map_err(|e| status(&e.problem()))?;
        Ok(Response::new(v1::Report {
            json: report.json,
            html: report.html,
            files: report
                .files
                .into_iter()
                .map(|(path, digest)| v1::ReportFile { path, digest: digest.to_string() })
                .collect(),
        }))
    }
}
