//! Artifacts.

use futures::StreamExt as _;
use greenroom_artifacts::ArtifactError;
use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1::{self, artifact_service_server::ArtifactService};
use std::pin::Pin;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Api, convert,
    status::{not_found, status},
};
use crate::access;

#[tonic::async_trait]
impl ArtifactService for Api {
    type ReadArtifactStream = Pin<Box<dyn Stream<Item = Result<v1::ReadArtifactResponse, Status>> + Send>>;

    async fn find_missing(
        &self,
        request: Request<v1::FindMissingRequest>,
    ) -> Result<Response<v1::FindMissingResponse>, Status> {
        let digests = request.into_inner().digests.iter().map(|d| convert::digest(d)).collect::<Result<Vec<_>, _>>()?;
        Ok(Response::new(v1::FindMissingResponse { digests: self.missing(&digests).await? }))
    }

    async fn write_artifact(
        &self,
        request: Request<Streaming<v1::WriteArtifactRequest>>,
    ) -> Result<Response<v1::WriteArtifactResponse>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.unwrap_or_default();
        let digest = convert::digest(&first.digest)?;
        access::about(format!("artifacts/{digest}"));
        let rest = chunks.map(|chunk| chunk.map(|c| c.data.into()).map_err(std::io::Error::other));
        let bytes = futures::stream::once(async { Ok(first.data.into()) }).chain(rest);
        self.0.artifacts.put_stream(bytes, Some(digest)).await.map_err(|e| show(&digest.to_string(), &e))?;
        let size = self.0.artifacts.size(digest).await.map_err(|e| show(&digest.to_string(), &e))?;
        Ok(Response::new(v1::WriteArtifactResponse { size }))
    }

    async fn read_artifact(
        &self,
        request: Request<v1::ReadArtifactRequest>,
    ) -> Result<Response<Self::ReadArtifactStream>, Status> {
        let name = request.into_inner().digest;
        let bytes = self.0.artifacts.get(convert::digest(&name)?).await.map_err(|e| show(&name, &e))?;
        let chunks = bytes.map(move |chunk| match chunk {
            Ok(data) => Ok(v1::ReadArtifactResponse { data: data.into() }),
            Err(error) => Err(show(&name, &error)),
        });
        Ok(Response::new(Box::pin(chunks)))
    }
}

fn show(name: &str, error: &ArtifactError) -> Status {
    match error {
        ArtifactError::Missing { .. } => not_found("artifact", name),
        ArtifactError::WrongDigest { .. } => {
            status(&Problem::invalid("store artifact", name, error, "read the file again and send it again"))
        }
        _ => {
            let remedy = "check the disk that holds the artifacts";
            status(&Problem::new(ProblemKind::Unavailable, "move artifact", name, error, remedy))
        }
    }
}
