//! Calls with a token, as any tool makes them.

use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1::{
    self, artifact_service_client::ArtifactServiceClient, character_service_client::CharacterServiceClient,
    farm_service_client::FarmServiceClient, job_service_client::JobServiceClient,
    project_service_client::ProjectServiceClient, schedule_service_client::ScheduleServiceClient,
};
use std::path::Path;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig},
};
use tonic_types::StatusExt as _;

/// Adds `authorization: Bearer TOKEN`.
#[derive(Clone, Debug)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Service = InterceptedService<Channel, Bearer>;

/// A connection to a daemon.
#[derive(Clone, Debug)]
pub struct Client(Service);

impl Client {
    /// Connects.
    pub async fn connect(address: &str, token: &str) -> Self {
        Self::connect_by(address, token, None).await
    }

    /// Connects to a daemon that somebody vouches for.
    pub async fn connect_by(address: &str, token: &str, ca: Option<&Path>) -> Self {
        let mut endpoint = Channel::from_shared(address.to_owned()).unwrap();
        if let Some(ca) = ca {
            let pem = Certificate::from_pem(std::fs::read(ca).unwrap());
            endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(pem)).unwrap();
        }
        let channel = endpoint.connect().await.unwrap();
        Self(InterceptedService::new(channel, Bearer(format!("Bearer {token}").parse().unwrap())))
    }

    /// The farm itself.
    #[must_use]
    pub fn farm(&self) -> FarmServiceClient<Service> {
        FarmServiceClient::new(self.0.clone())
    }

    /// Projects.
    #[must_use]
    pub fn projects(&self) -> ProjectServiceClient<Service> {
        ProjectServiceClient::new(self.0.clone())
    }

    /// Characters.
    #[must_use]
    pub fn characters(&self) -> CharacterServiceClient<Service> {
        CharacterServiceClient::new(self.0.clone())
    }

    /// Jobs.
    #[must_use]
    pub fn jobs(&self) -> JobServiceClient<Service> {
        JobServiceClient::new(self.0.clone()).max_decoding_message_size(64 << 20)
    }

    /// Bytes.
    #[must_use]
    pub fn artifacts(&self) -> ArtifactServiceClient<Service> {
        ArtifactServiceClient::new(self.0.clone())
    }

    /// The schedule.
    #[must_use]
    pub fn schedule(&self) -> ScheduleServiceClient<Service> {
        ScheduleServiceClient::new(self.0.clone())
    }

    /// Uploads bytes; answers with their digest.
    pub async fn upload(&self, bytes: &[u8]) -> String {
        self.try_upload(bytes).await.unwrap()
    }

    /// Uploads bytes that may be refused.
    ///
    /// # Errors
    /// If they are.
    pub async fn try_upload(&self, bytes: &[u8]) -> Result<String, Status> {
        let digest = greenroom_domain::Digest::of(bytes).to_string();
        let chunk = |(at, data): (usize, &[u8])| v1::WriteArtifactRequest {
            digest: if at == 0 { digest.clone() } else { String::new() },
            data: data.to_vec(),
        };
        let mut chunks: Vec<_> = bytes.chunks(1 << 19).enumerate().map(chunk).collect();
        if chunks.is_empty() {
            chunks.push(chunk((0, &[])));
        }
        self.artifacts().write_artifact(tokio_stream::iter(chunks)).await?;
        Ok(digest)
    }

    /// Downloads an artifact.
    pub async fn download(&self, digest: &str) -> Vec<u8> {
        let request = v1::ReadArtifactRequest { digest: digest.to_owned() };
        let mut chunks = self.artifacts().read_artifact(request).await.unwrap().into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await.unwrap() {
            bytes.extend(chunk.data);
        }
        bytes
    }

    /// The daemon's version, or why it does not tell.
    pub async fn version(&self) -> Result<String, Problem> {
        let farm = self.farm().get_farm(v1::GetFarmRequest {}).await;
        farm.map(|f| f.into_inner().version).map_err(|status| problem(&status))
    }
}

/// The problem that a refused call carries.
#[must_use]
pub fn problem(status: &Status) -> Problem {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no problem in {status:?}"));
    let part = |name: &str| info.metadata[name].clone();
    let kind = match part("kind").as_str() {
        "invalid" => ProblemKind::Invalid,
        "not_found" => ProblemKind::NotFound,
        "gone" => ProblemKind::Gone,
        "conflict" => ProblemKind::Conflict,
        "denied" => ProblemKind::Denied,
        "unavailable" => ProblemKind::Unavailable,
        "internal" => ProblemKind::Internal,
        other => panic!("`{other}` is no kind of problem"),
    };
    Problem::new(kind, part("step"), part("subject"), part("cause"), part("remedy"))
}
