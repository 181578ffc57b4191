//! The farm itself.

use greenroom_proto::v1::{self, farm_service_server::FarmService};
use tonic::{Request, Response, Status};

use super::Api;

#[tonic::async_trait]
impl FarmService for Api {
    async fn get_farm(&self, _: Request<v1::GetFarmRequest>) -> Result<Response<v1::Farm>, Status> {
        let workers = self.0.workers.list().into_iter().map(|(id, device, task)| v1::Worker {
            uid: id.to_string(),
            device,
            task: task.map(|t| t.to_string()).unwrap_or_default(),
        });
        Ok(Response::new(v1::Farm {
            version: env!("CARGO_PKG_VERSION").into(),
            pack: format!("{} {}", self.0.pack.name, self.0.pack.version),
            workers: workers.collect(),
            leader: self.0.role.leader().unwrap_or_default(),
        }))
    }
}
