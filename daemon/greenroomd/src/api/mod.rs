//! The wire ends here: requests become domain values, domain values become answers, problems become statuses.

mod artifact;
mod character;
mod convert;
mod farm;
mod job;
mod lora;
mod project;
mod receipt;
mod schedule;
mod standby;
mod status;
mod watch;
mod worker;

use greenroom_proto::{
    DESCRIPTOR_SET,
    v1::{
        artifact_service_server::ArtifactServiceServer, character_service_server::CharacterServiceServer,
        farm_service_server::FarmServiceServer, job_service_server::JobServiceServer,
        lora_service_server::LoraServiceServer, project_service_server::ProjectServiceServer,
        schedule_service_server::ScheduleServiceServer,
    },
    worker_v1::worker_service_server::WorkerServiceServer,
};
use std::sync::Arc;
use tonic::service::{Routes, interceptor::InterceptedService};

use crate::{
    auth::{Require, Tokens},
    farm::Farm,
};

pub(crate) use status::status;
pub(crate) use worker::{cancel as cancel_task, pause as pause_task, stop_worker};

/// Serves one resource's methods.
#[derive(Clone)]
pub(crate) struct Api(pub Arc<Farm>);

/// All services on one port. Health needs no token, so that supervisors can probe; everything else does.
pub(crate) async fn router(farm: Arc<Farm>, tokens: &Tokens) -> axum::Router {
    let admin = || Require(tokens.admin.clone());
    let api = || Api(farm.clone());
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<JobServiceServer<Api>>().await;
    let mut routes = Routes::new(health_service)
        .add_service(InterceptedService::new(ProjectServiceServer::new(api()), admin()))
        .add_service(InterceptedService::new(CharacterServiceServer::new(api()), admin()))
        .add_service(InterceptedService::new(JobServiceServer::new(api()), admin()))
        .add_service(InterceptedService::new(LoraServiceServer::new(api()), admin()))
        .add_service(InterceptedService::new(ArtifactServiceServer::new(api()), admin()))
        .add_service(InterceptedService::new(FarmServiceServer::new(api()), admin()))
        .add_service(InterceptedService::new(ScheduleServiceServer::new(api()), admin()))
        .add_service(InterceptedService::new(WorkerServiceServer::new(api()), Require(tokens.worker.clone())));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(service) => routes = routes.add_service(InterceptedService::new(service, admin())),
        Err(error) => tracing::error!(%error, "reflection is not served"),
    }
    routes.into_axum_router().layer(axum::middleware::from_fn_with_state(farm, standby::changes_go_to_the_leader))
}
