//! The wire ends here: requests become domain values, domain values become answers, problems become statuses.

mod artifact;
mod audit;
mod character;
mod convert;
mod farm;
mod job;
mod log;
mod lora;
mod metrics;
mod project;
mod receipt;
mod schedule;
mod standby;
mod status;
mod token;
mod user;
mod watch;
mod worker;

use greenroom_proto::{
    DESCRIPTOR_SET,
    v1::{
        artifact_service_server::ArtifactServiceServer, audit_service_server::AuditServiceServer,
        character_service_server::CharacterServiceServer, farm_service_server::FarmServiceServer,
        job_service_server::JobServiceServer, log_service_server::LogServiceServer,
        lora_service_server::LoraServiceServer, project_service_server::ProjectServiceServer,
        schedule_service_server::ScheduleServiceServer, token_service_server::TokenServiceServer,
        user_service_server::UserServiceServer,
    },
    worker_v1::worker_service_server::WorkerServiceServer,
};
use std::sync::Arc;
use tonic::service::Routes;

use crate::{access, farm::Farm};

pub(crate) use status::{denied, status};
pub(crate) use worker::orders::{cancel as cancel_task, cancel_job, pause as pause_task, requeue_job, stop_worker};

/// Serves one resource's methods.
#[derive(Clone)]
pub(crate) struct Api(pub Arc<Farm>);

/// All services on one port. Health needs no token, so that supervisors can probe; everything else does.
pub(crate) async fn router(farm: Arc<Farm>) -> axum::Router {
    let api = || Api(farm.clone());
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<JobServiceServer<Api>>().await;
    let mut routes = Routes::new(health_service)
        .add_service(ProjectServiceServer::new(api()))
        .add_service(CharacterServiceServer::new(api()))
        .add_service(JobServiceServer::new(api()))
        .add_service(LoraServiceServer::new(api()))
        .add_service(LogServiceServer::new(api()))
        .add_service(ArtifactServiceServer::new(api()))
        .add_service(FarmServiceServer::new(api()))
        .add_service(ScheduleServiceServer::new(api()))
        .add_service(UserServiceServer::new(api()))
        .add_service(TokenServiceServer::new(api()))
        .add_service(AuditServiceServer::new(api()))
        .add_service(WorkerServiceServer::new(api()));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(service) => routes = routes.add_service(service),
        Err(error) => tracing::error!(%error, "reflection is not served"),
    }
    let metrics = axum::routing::get(metrics::metrics).with_state(farm.clone());
    guarded(routes, farm).route("/metrics", metrics)
}

/// What workers of this machine call, and nothing else: for the door that only they are told of.
pub(crate) fn workers_router(farm: Arc<Farm>) -> axum::Router {
    guarded(Routes::new(WorkerServiceServer::new(Api(farm.clone()))), farm)
}

/// Who stands by sends changes away before it asks who wants them: only a leader can write down who did.
fn guarded(routes: Routes, farm: Arc<Farm>) -> axum::Router {
    let standby = axum::middleware::from_fn_with_state(farm.clone(), standby::changes_go_to_the_leader);
    routes.into_axum_router().layer(axum::middleware::from_fn_with_state(farm, access::guard)).layer(standby)
}
