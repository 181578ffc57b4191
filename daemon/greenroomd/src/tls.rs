//! TLS on the daemon's port: what a certificate needs to be served, and a listener that hands out connections whose handshake is
//! done.

use axum::serve::Listener;
use greenroom_domain::{Problem, Timestamp};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
    server::TlsStream,
};

use crate::clock;

const STEP: &str = "read certificate";

/// Whoever says nothing for so long is no client.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// So many handshakes go on at once; further ones wait.
const HANDSHAKES: usize = 256;

/// Where certificate and key lie (PEM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    /// The certificate, and those that lead from it to its issuer.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The certificate in force. It can be read anew while connections go on.
#[derive(Clone)]
pub(crate) struct Tls {
    files: Files,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// If one cannot be read, they do not belong together, or the certificate does not hold now.
    pub(crate) fn open(files: Files) -> Result<Self, Problem> {
        let config = Arc::new(RwLock::new(read(&files)?));
        Ok(Self { files, config })
    }

    /// Reads both again; where that fails the old ones stay in force.
    pub(crate) fn reload(&self) -> Result<(), Problem> {
        let fresh = read(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(files: &Files) -> Result<Arc<ServerConfig>, Problem> {
    let certs = CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.map_err(|e| unreadable(&files.cert, &e, "certificate"))?;
    let Some(first) = certs.first() else {
        return Err(bad(&files.cert, "there is no certificate in it", "name a PEM file with the farm's certificate"));
    };
    holds(&files.cert, first, clock::now())?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| unreadable(&files.key, &e, "private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.and_then(|b| b.with_no_client_auth().with_single_cert(certs, key));
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let cause = format!("the key in {} is not that of the certificate", files.key.display());
            bad(&files.cert, cause, "name the certificate and its own key in tls_cert and tls_key")
        }
        error => bad(&files.cert, error, "make a new one with `greenroomd cert DIR`"),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Files {
    /// When the certificate ends.
    ///
    /// # Errors
    /// If it cannot be read, or does not hold now.
    pub(crate) fn expires(&self) -> Result<Timestamp, Problem> {
        let first = CertificateDer::from_pem_file(&self.cert).map_err(|e| unreadable(&self.cert, &e, "certificate"))?;
        holds(&self.cert, &first, clock::now())
    }
}

/// A certificate that nobody would accept is told here, and not by every client. Answers when it ends.
fn holds(path: &Path, certificate: &CertificateDer<'_>, now: Timestamp) -> Result<Timestamp, Problem> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|e| bad(path, e, "name a PEM file with an X.509 certificate"))?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_millis(time.timestamp().saturating_mul(1000));
    let (from, until) = (at(parsed.validity().not_before), at(parsed.validity().not_after));
    let remedy = "renew it, for example with `greenroomd cert DIR`";
    if until <= now {
        return Err(bad(path, format!("it expired on {}", clock::minute(until)), remedy));
    }
    if from > now {
        return Err(bad(path, format!("it holds from {} on", clock::minute(from)), "check the machine's clock"));
    }
    Ok(until)
}

fn unreadable(path: &Path, error: &rustls::pki_types::pem::Error, what: &str) -> Problem {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(e) => bad(path, e, "name a file that the daemon may read"),
        Error::NoItemsFound => bad(path, format!("there is no {what} in it"), "name a PEM file that has one"),
        error => bad(path, format!("it is no PEM file: {error}"), "name a PEM file"),
    }
}

fn bad(path: &Path, cause: impl std::fmt::Display, remedy: &str) -> Problem {
    Problem::invalid(STEP, path.display().to_string(), cause, remedy)
}

/// Connections over TLS. Handshakes go on beside each other, so a slow one keeps nobody waiting.
pub(crate) struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Accepts on a listener that is bound already.
    pub(crate) fn new(listener: TcpListener, tls: Tls) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(64);
        tokio::spawn(accept(listener, tls, done));
        Ok(Self { address, ready })
    }
}

async fn accept(mut listener: TcpListener, tls: Tls, done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let slots = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let (stream, from) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = done.closed() => return,
        };
        let (handshake, done) = (tls.acceptor().accept(stream), done.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, handshake).await {
                Ok(Ok(stream)) => {
                    let _ = done.send((stream, from)).await;
                }
                Ok(Err(error)) => tracing::debug!(%from, %error, "no TLS connection"),
                Err(_) => tracing::debug!(%from, "a TLS handshake took too long"),
            }
            drop(slot);
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert;

    fn files(folder: &Path) -> Files {
        Files { cert: folder.join("farm.pem"), key: folder.join("farm.key") }
    }

    fn told(files: Files, folder: &Path) -> String {
        let problem = Tls::open(files).map(|_| ()).unwrap_err();
        problem.to_string().replace(&folder.display().to_string(), "DIR")
    }

    #[test]
    fn a_certificate_that_was_made_here_can_be_served_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        cert::make(folder.path(), &["farm.lan".into()], 30).unwrap();
        let tls = Tls::open(files(folder.path())).unwrap();
        tls.reload().unwrap();
        std::fs::write(folder.path().join("farm.pem"), "").unwrap();
        assert!(tls.reload().is_err());
    }

    #[test]
    fn what_cannot_be_served_is_told_with_its_cause() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = folder.path();
        cert::make(at, &["farm.lan".into()], 30).unwrap();
        cert::make(other.path(), &["farm.lan".into()], 30).unwrap();
        let missing = Files { cert: at.join("none.pem"), ..files(at) };
        assert_eq!(told(missing, at), "read certificate: DIR/none.pem: No such file or directory (os error 2)");
        let swapped = Files { cert: at.join("farm.key"), ..files(at) };
        assert_eq!(told(swapped, at), "read certificate: DIR/farm.key: there is no certificate in it");
        std::fs::copy(other.path().join("farm.key"), at.join("other.key")).unwrap();
        let foreign = Files { key: at.join("other.key"), ..files(at) };
        let cause = "the key in DIR/other.key is not that of the certificate";
        assert_eq!(told(foreign, at), format!("read certificate: DIR/farm.pem: {cause}"));
    }

    #[test]
    fn a_certificate_that_does_not_hold_now_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        cert::make(folder.path(), &["farm.lan".into()], 30).unwrap();
        let path = folder.path().join("farm.pem");
        let certificate = CertificateDer::from_pem_file(&path).unwrap();
        let days = |n: i64| Timestamp::from_millis(clock::now().as_millis() + n * 86_400_000);
        assert!(holds(&path, &certificate, days(1)).is_ok());
        assert!(holds(&path, &certificate, days(40)).unwrap_err().cause.starts_with("it expired on "));
        assert!(holds(&path, &certificate, days(-400)).unwrap_err().cause.starts_with("it holds from "));
    }
}
