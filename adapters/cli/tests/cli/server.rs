//! A daemon that follows a script: it does on the wire what a real one does only by accident, or when it is evil.

use greenroom_proto::v1::{
    self,
    artifact_service_server::{ArtifactService, ArtifactServiceServer},
    farm_service_server::{FarmService, FarmServiceServer},
    job_service_server::{JobService, JobServiceServer},
    watch_job_response::Update,
};
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex},
};
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, transport::Server};

/// What a call of WatchJob sends, and with which status it breaks off.
type Watch = (Vec<Update>, Option<Status>);

/// What it will do.
#[derive(Clone, Default)]
pub(crate) struct Daemon {
    /// One entry per call of WatchJob.
    pub(crate) watches: Arc<Mutex<VecDeque<Watch>>>,
    /// The sequences that those calls asked for.
    pub(crate) asked: Arc<Mutex<Vec<u64>>>,
    /// What GetJob answers.
    pub(crate) job: v1::Job,
    /// What GetReport answers.
    pub(crate) report: v1::Report,
    /// What ReadArtifact answers, by digest.
    pub(crate) artifacts: HashMap<String, Vec<u8>>,
    /// What ListJobs answers, if not a list.
    pub(crate) refusal: Option<Status>,
}

impl Daemon {
    /// Serves on a port of its own for as long as the test's runtime lives; answers with its address.
    pub(crate) async fn start(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder()
            .add_service(JobServiceServer::new(self.clone()))
            .add_service(ArtifactServiceServer::new(self.clone()))
            .add_service(FarmServiceServer::new(self))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        address
    }
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl JobService for Daemon {
    type WatchJobStream = Messages<v1::WatchJobResponse>;

    async fn watch_job(&self, request: Request<v1::WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        self.asked.lock().unwrap().push(request.into_inner().after_sequence);
        let next = self.watches.lock().unwrap().pop_front();
        let (updates, end) = next.ok_or_else(|| Status::internal("the script ends here"))?;
        let updates = updates.into_iter().map(|update| Ok(v1::WatchJobResponse { update: Some(update) }));
        let messages = updates.chain(end.map(Err)).collect::<Vec<_>>();
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }

    async fn get_job(&self, _: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        Ok(Response::new(self.job.clone()))
    }

    async fn get_report(&self, _: Request<v1::GetReportRequest>) -> Result<Response<v1::Report>, Status> {
        Ok(Response::new(self.report.clone()))
    }

    async fn list_jobs(&self, _: Request<v1::ListJobsRequest>) -> Result<Response<v1::ListJobsResponse>, Status> {
        match &self.refusal {
            Some(status) => Err(status.clone()),
            None => Ok(Response::new(v1::ListJobsResponse { jobs: vec![self.job.clone()] })),
        }
    }

    async fn push_script(&self, _: Request<v1::PushScriptRequest>) -> Result<Response<v1::PushScriptResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn adjust_job(&self, _: Request<v1::AdjustJobRequest>) -> Result<Response<v1::Job>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn requeue_job(&self, _: Request<v1::RequeueJobRequest>) -> Result<Response<v1::Job>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn push_template(
        &self,
        _: Request<v1::PushTemplateRequest>,
    ) -> Result<Response<v1::PushTemplateResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn export_job(&self, _: Request<v1::ExportJobRequest>) -> Result<Response<v1::ExportJobResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn cancel_job(&self, _: Request<v1::CancelJobRequest>) -> Result<Response<v1::Job>, Status> {
        Err(Status::unimplemented("not in the script"))
    }
}

#[tonic::async_trait]
impl ArtifactService for Daemon {
    type ReadArtifactStream = Messages<v1::ReadArtifactResponse>;

    async fn read_artifact(
        &self,
        request: Request<v1::ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        let bytes = self.artifacts.get(&request.into_inner().digest).cloned();
        let bytes = bytes.ok_or_else(|| Status::not_found("no such artifact"))?;
        let chunks = bytes.chunks(3).map(|data| Ok(v1::ReadArtifactResponse { data: data.to_vec() }));
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks.collect::<Vec<_>>()))))
    }

    async fn find_missing(
        &self,
        _: Request<v1::FindMissingRequest>,
    ) -> Result<Response<v1::FindMissingResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn write_artifact(
        &self,
        _: Request<tonic::Streaming<v1::WriteArtifactRequest>>,
    ) -> Result<Response<v1::WriteArtifactResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }
}

#[tonic::async_trait]
impl FarmService for Daemon {
    async fn get_farm(&self, _: Request<v1::GetFarmRequest>) -> Result<Response<v1::Farm>, Status> {
        Ok(Response::new(v1::Farm { version: "9.9.9".into(), ..v1::Farm::default() }))
    }

    async fn get_activity(&self, _: Request<v1::GetActivityRequest>) -> Result<Response<v1::Activity>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn get_diagnosis(&self, _: Request<v1::GetDiagnosisRequest>) -> Result<Response<v1::Diagnosis>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn create_backup(&self, _: Request<v1::CreateBackupRequest>) -> Result<Response<v1::Backup>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn list_backups(
        &self,
        _: Request<v1::ListBackupsRequest>,
    ) -> Result<Response<v1::ListBackupsResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }
}
