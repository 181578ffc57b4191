//! What the worker shows the daemon, and the way to it: a token that stays, or a credential of its own that it got by joining.

use greenroom_domain::{Problem, ProblemKind};
use greenroom_proto::worker_v1::{self as wire, worker_service_client::WorkerServiceClient};
use std::{
    error::Error,
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig},
};

use crate::{Args, offer};

/// The daemon is tried so often before the worker gives up; whoever started it starts another one.
const TRIES: u32 = 20;
/// Time between tries.
const PAUSE: Duration = Duration::from_millis(250);

/// What is shown, and where it is kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    token: MetadataValue<Ascii>,
    file: Option<PathBuf>,
}

/// Connects to the daemon, and joins the farm where the worker has not yet.
pub(crate) async fn open(args: &Args) -> Result<(Keeper, Channel), Problem> {
    let token = match &args.token_file {
        Some(file) if file.as_os_str() == "-" => Some(line_of_stdin()?),
        Some(file) => Some(read(file)?),
        None => None,
    };
    let channel = connect(args).await?;
    if let Some(token) = token {
        return Ok((Keeper { token: bearer(&token)?, file: None }, channel));
    }
    let file = args.credential.clone().unwrap_or_default();
    let kept = match (file.exists(), &args.join) {
        (true, _) => read(&file)?,
        (false, Some(join)) => enrol(args, &channel, &read(join)?, &file).await?,
        (false, None) => {
            let remedy = "name a file with a join token: --join FILE";
            return Err(unusable(&file, "there is no credential", remedy));
        }
    };
    Ok((Keeper { token: bearer(&kept)?, file: Some(file) }, channel))
}

impl Keeper {
    /// As it stands in the header.
    pub(crate) fn shown(&self) -> MetadataValue<Ascii> {
        self.token.clone()
    }

    /// Keeps a new credential for the next time.
    pub(crate) fn renew(&self, credential: &wire::Credential) -> Result<(), Problem> {
        let Some(file) = &self.file else { return Ok(()) };
        keep(file, &credential.token)?;
        tracing::info!(file = %file.display(), "credential.renew");
        Ok(())
    }
}

async fn enrol(args: &Args, channel: &Channel, join: &str, file: &Path) -> Result<String, Problem> {
    // That it can be kept is known before the join token is used up.
    keep(file, "").and_then(|()| fs::remove_file(file).map_err(|e| unusable(file, e, WRITABLE)))?;
    let node = offer::node(args);
    let mut request = Request::new(wire::EnrolRequest { node: node.clone() });
    request.metadata_mut().insert("authorization", bearer(join)?);
    let given = WorkerServiceClient::new(channel.clone()).enrol(request).await;
    let given = given.map_err(|status| refused(args, status.message()))?.into_inner();
    keep(file, &given.token)?;
    tracing::info!(node, file = %file.display(), "worker.enrol");
    Ok(given.token)
}

async fn connect(args: &Args) -> Result<Channel, Problem> {
    let invalid = |cause: String| {
        let remedy = "write the daemon's address as https://HOST:PORT or http://HOST:PORT";
        Problem::invalid("attach worker", &args.daemon, cause, remedy)
    };
    let mut endpoint = Channel::from_shared(args.daemon.clone()).map_err(|e| invalid(e.to_string()))?;
    if args.daemon.starts_with("https://") {
        let tls = ClientTlsConfig::new();
        let tls = match &args.ca {
            Some(file) => tls.ca_certificate(Certificate::from_pem(read(file)?)),
            None => tls.with_native_roots(),
        };
        endpoint = endpoint.tls_config(tls).map_err(|e| invalid(innermost(&e)))?;
    }
    let mut tries = 0;
    loop {
        match endpoint.connect().await {
            Ok(channel) => return Ok(channel),
            Err(error) => {
                let cause = innermost(&error);
                // Another try would meet the same certificate.
                if tries == TRIES || cause.contains("certificate") {
                    return Err(refused(args, &cause));
                }
                tries += 1;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn refused(args: &Args, cause: &str) -> Problem {
    let remedy = if cause.contains("certificate") {
        "give --ca the ca.pem of the farm, and call the daemon by a name that its certificate has"
    } else {
        "check that greenroomd runs, that the address is its own, and that the token holds"
    };
    Problem::new(ProblemKind::Unavailable, "attach worker", &args.daemon, cause, remedy)
}

/// The innermost source, which is the one that says something.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

const WRITABLE: &str = "name a file in a folder that the worker may write";

fn keep(file: &Path, token: &str) -> Result<(), Problem> {
    let aside = file.with_extension("new");
    let _ = fs::remove_file(&aside);
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside);
    opened
        .and_then(|mut file| file.write_all(token.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, file))
        .map_err(|e| unusable(file, e, WRITABLE))
}

fn read(file: &Path) -> Result<String, Problem> {
    fs::read_to_string(file).map_err(|e| unusable(file, e, "name a file that the worker may read"))
}

fn line_of_stdin() -> Result<String, Problem> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|e| unusable(Path::new("standard input"), e, "name a file with --token-file"))?;
    Ok(line)
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>, Problem> {
    let token = format!("Bearer {}", token.trim()).parse::<MetadataValue<Ascii>>();
    let mut token = token.map_err(|_| unusable(Path::new("token"), "it is no line of plain text", "name its file"))?;
    token.set_sensitive(true);
    Ok(token)
}

fn unusable(file: &Path, cause: impl std::fmt::Display, remedy: &str) -> Problem {
    Problem::invalid("read token", file.display().to_string(), cause, remedy)
}
