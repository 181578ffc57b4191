//! One connection to a daemon: who we are goes with every call, and a failed call comes back as a `Problem`.

use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::v1::{
    self, artifact_service_client::ArtifactServiceClient, audit_service_client::AuditServiceClient,
    character_service_client::CharacterServiceClient, farm_service_client::FarmServiceClient,
    job_service_client::JobServiceClient, log_service_client::LogServiceClient, lora_service_client::LoraServiceClient,
    project_service_client::ProjectServiceClient, schedule_service_client::ScheduleServiceClient,
    token_service_client::TokenServiceClient, user_service_client::UserServiceClient,
};
use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::config::Config;

/// A farm that can be called.
#[derive(Clone, Debug)]
pub(crate) struct Farm {
    service: Service,
    address: String,
    token_file: Option<PathBuf>,
}

/// What the clients call through.
pub(crate) type Service = InterceptedService<Channel, Bearer>;

/// Adds `authorization: Bearer TOKEN`.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

const STEP: &str = "call daemon";
/// A daemon that does not answer by then is away, or something else listens there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Where a machine goes without a word, notice within about this long.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A report is one message, with its pictures inside.
const REPORT_BYTES: usize = 256 << 20;

impl Farm {
    /// Connects to the configured daemon.
    pub(crate) async fn configured(config: &Config) -> Result<Self, Problem> {
        let Some(address) = &config.address.value else {
            return Err(Problem::invalid(
                "find daemon",
                "address",
                "no daemon is configured",
                "give --address URL, set GREENROOM_ADDRESS, or write [daemon] address in the configuration file; only \
                 `greenroom run` works without a daemon",
            ));
        };
        Self::connect(address, config.token_file.value.clone(), config.ca.value.as_deref()).await
    }

    /// Connects to a daemon; `ca` vouches for one that is called by https, or else the system's authorities do.
    pub(crate) async fn connect(
        address: &str,
        token_file: Option<PathBuf>,
        ca: Option<&Path>,
    ) -> Result<Self, Problem> {
        let token = token_file.as_ref().map(read_token).transpose()?;
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let remedy = "write the address as https://HOST:PORT or http://HOST:PORT";
        let is_tls = url.starts_with("https://");
        if !is_tls && !url.starts_with("http://") {
            return Err(Problem::invalid(STEP, address, "only https:// and http:// addresses can be called", remedy));
        }
        let mut endpoint =
            Endpoint::from_shared(url).map_err(|error| Problem::invalid(STEP, address, root(&error), remedy))?;
        if is_tls {
            let invalid = |e| Problem::invalid(STEP, address, root(&e), "give --ca a PEM file with a certificate");
            endpoint = endpoint.tls_config(authority(ca)?).map_err(invalid)?;
        }
        let endpoint =
            endpoint.connect_timeout(CONNECT_WITHIN).http2_keep_alive_interval(KEEP_ALIVE).keep_alive_while_idle(true);
        let channel = endpoint.connect().await.map_err(|error| away(address, root(&error)))?;
        let service = InterceptedService::new(channel, Bearer(token));
        Ok(Self { service, address: address.to_owned(), token_file })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The farm itself.
    pub(crate) fn farm(&self) -> FarmServiceClient<Service> {
        FarmServiceClient::new(self.service.clone())
    }

    /// The scheduler.
    pub(crate) fn schedule(&self) -> ScheduleServiceClient<Service> {
        ScheduleServiceClient::new(self.service.clone())
    }

    /// Projects.
    pub(crate) fn projects(&self) -> ProjectServiceClient<Service> {
        ProjectServiceClient::new(self.service.clone())
    }

    /// Characters.
    pub(crate) fn characters(&self) -> CharacterServiceClient<Service> {
        CharacterServiceClient::new(self.service.clone())
    }

    /// Jobs.
    pub(crate) fn jobs(&self) -> JobServiceClient<Service> {
        JobServiceClient::new(self.service.clone()).max_decoding_message_size(REPORT_BYTES)
    }

    /// What tasks said.
    pub(crate) fn logs(&self) -> LogServiceClient<Service> {
        LogServiceClient::new(self.service.clone())
    }

    /// LoRAs.
    pub(crate) fn loras(&self) -> LoraServiceClient<Service> {
        LoraServiceClient::new(self.service.clone())
    }

    /// Users.
    pub(crate) fn users(&self) -> UserServiceClient<Service> {
        UserServiceClient::new(self.service.clone())
    }

    /// Tokens.
    pub(crate) fn tokens(&self) -> TokenServiceClient<Service> {
        TokenServiceClient::new(self.service.clone())
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> AuditServiceClient<Service> {
        AuditServiceClient::new(self.service.clone())
    }

    /// Bytes.
    pub(crate) fn artifacts(&self) -> ArtifactServiceClient<Service> {
        ArtifactServiceClient::new(self.service.clone())
    }

    /// What a failed call means for a person.
    pub(crate) async fn problem(&self, status: Status) -> Problem {
        match status.code() {
            // What the daemon knows of a token that lapsed says more than that it is not its own.
            Code::Unauthenticated => match told(&status) {
                Some(problem) if problem.step != STEP => problem,
                _ => self.wrong_token(),
            },
            Code::Unimplemented => self.other_version().await,
            Code::Unavailable if told(&status).is_none() => away(&self.address, cause_of(&status)),
            _ => told(&status).unwrap_or_else(|| self.unexplained(&status)),
        }
    }

    fn wrong_token(&self) -> Problem {
        let remedy = "give --token-file the file admin.token in the daemon's state folder";
        let cause = match &self.token_file {
            Some(file) => format!("the token in {} is not the daemon's", file.display()),
            None => "the daemon wants a token and none is configured".to_owned(),
        };
        Problem::new(ProblemKind::Denied, STEP, &self.address, cause, remedy)
    }

    async fn other_version(&self) -> Problem {
        let ours = env!("CARGO_PKG_VERSION");
        let cause = match self.farm().get_farm(v1::GetFarmRequest {}).await {
            Ok(farm) => format!("the daemon is version {}, this command is version {ours}", farm.into_inner().version),
            Err(_) => format!("what listens there is not a greenroom daemon that version {ours} can call"),
        };
        let remedy = "install the same version of greenroom and greenroomd";
        Problem::new(ProblemKind::Unavailable, STEP, &self.address, cause, remedy)
    }

    fn unexplained(&self, status: &Status) -> Problem {
        let cause = format!("{} ({:?})", status.message(), status.code());
        // A daemon that speaks TLS hangs up on who does not.
        let remedy = match status.source() {
            Some(_) if !self.address.starts_with("https://") => {
                "call it by https:// if it has TLS; else look at its log"
            }
            _ => "look at the daemon's log",
        };
        Problem::new(ProblemKind::Internal, STEP, &self.address, cause, remedy)
    }
}

/// Whether calling again may help: the connection was lost, not the request refused.
pub(crate) fn is_lost_connection(status: &Status) -> bool {
    // A stream that breaks off in the middle shows as Unknown or Internal with a transport error as its source.
    told(status).is_none() && (status.code() == Code::Unavailable || status.source().is_some())
}

/// A problem on the wire, as the person will see it.
pub(crate) fn from_wire(problem: &v1::Problem) -> Problem {
    Problem {
        kind: kind(&problem.kind),
        step: problem.step.clone(),
        subject: problem.subject.clone(),
        cause: problem.cause.clone(),
        remedy: problem.remedy.clone(),
    }
}

/// The problem that the daemon attached to a status.
fn told(status: &Status) -> Option<Problem> {
    let info = status.get_details_error_info()?;
    let part = |key: &str| info.metadata.get(key).cloned();
    Some(Problem {
        kind: kind(&part("kind")?),
        step: part("step")?,
        subject: part("subject")?,
        cause: part("cause")?,
        remedy: part("remedy").unwrap_or_default(),
    })
}

fn kind(name: &str) -> ProblemKind {
    match name {
        "invalid" => ProblemKind::Invalid,
        "not_found" => ProblemKind::NotFound,
        "gone" => ProblemKind::Gone,
        "conflict" => ProblemKind::Conflict,
        "denied" => ProblemKind::Denied,
        "unavailable" => ProblemKind::Unavailable,
        "out_of_memory" => ProblemKind::OutOfMemory,
        _ => ProblemKind::Internal,
    }
}

/// Who vouches for a daemon.
fn authority(ca: Option<&Path>) -> Result<ClientTlsConfig, Problem> {
    let Some(file) = ca else { return Ok(ClientTlsConfig::new().with_native_roots()) };
    let remedy = "give --ca the ca.pem of the farm";
    let pem = std::fs::read(file).map_err(|e| Problem::invalid("read CA", file.display().to_string(), e, remedy))?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

fn away(address: &str, cause: String) -> Problem {
    if cause.contains("certificate") {
        let remedy = "give --ca the ca.pem of the farm, and call the daemon by a name that its certificate has";
        return Problem::new(ProblemKind::Unavailable, STEP, address, cause, remedy);
    }
    let remedy = "start greenroomd there, or point --address at a daemon that runs";
    Problem::new(ProblemKind::Unavailable, STEP, address, cause, remedy)
}

fn read_token(file: &PathBuf) -> Result<MetadataValue<Ascii>, Problem> {
    let subject = file.display().to_string();
    let remedy = "give --token-file the file admin.token in the daemon's state folder";
    let text =
        std::fs::read_to_string(file).map_err(|error| Problem::invalid("read token", &subject, error, remedy))?;
    let bearer = format!("Bearer {}", text.trim());
    let mut value = MetadataValue::try_from(bearer)
        .map_err(|_| Problem::invalid("read token", &subject, "it is not a line of plain text", remedy))?;
    value.set_sensitive(true);
    Ok(value)
}

fn cause_of(status: &Status) -> String {
    status.source().map_or_else(|| status.message().to_owned(), root)
}

/// The innermost source, which is the one that says something.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn a_problem_arrives_with_all_its_parts() {
        let parts = [
            ("kind", "invalid"),
            ("step", "read script"),
            ("subject", "empty.fountain"),
            ("cause", "the file is empty"),
            ("remedy", "write at least one scene heading"),
        ];
        let details = ErrorDetails::with_error_info("invalid", "greenroom", parts.map(|(k, v)| (k.into(), v.into())));
        let status = Status::with_error_details(Code::InvalidArgument, "read script", details);
        let problem = told(&status).unwrap();
        assert_eq!(problem.to_string(), "read script: empty.fountain: the file is empty");
        assert_eq!((problem.kind, &problem.remedy[..]), (ProblemKind::Invalid, "write at least one scene heading"));
    }

    #[test]
    fn a_refusal_is_not_taken_for_a_lost_connection() {
        assert!(!is_lost_connection(&Status::not_found("no such job")));
        assert!(is_lost_connection(&Status::unavailable("gone")));
    }
}
