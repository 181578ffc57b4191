//! A private PostgreSQL server for tests and measurements.
//!
//! A cluster in a folder of its own, flushed to the disk at every commit as a farm's is (only making it goes without), run as
//! a user without rights, and ended with the process that started it, even where that one is killed. A new one takes about a
//! second, so each test process has its own, and each story a database of its own in it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot have its server ends where it stands")]

mod guardian;
mod programs;

use nix::sys::statvfs::statvfs;
use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};
use tempfile::TempDir;

use guardian::Guardian;
use programs::Programs;

/// Everybody's name and password in the cluster.
pub const USER: &str = "greenroom";
pub const PASSWORD: &str = "behind-the-curtain";

/// A small cluster and its log of changes.
const ROOM: u64 = 1 << 30;

/// A running server.
#[derive(Debug)]
pub struct Server {
    programs: Programs,
    port: u16,
    databases: AtomicU32,
    // Ended before the folder goes.
    guardian: Option<Guardian>,
    folder: TempDir,
}

impl Server {
    /// Makes a cluster and starts it, in memory where there is room: a killed server finds all that it flushed there too, and
    /// only a power cut would tell the two apart.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start; what it said is in the panic.
    #[must_use]
    pub fn start() -> Self {
        let memory = Path::new("/dev/shm");
        let free = statvfs(memory).map_or(0, |v| v.blocks_available() * v.fragment_size());
        if free > ROOM { Self::start_in(memory) } else { Self::start_in(&std::env::temp_dir()) }
    }

    /// The same, in a folder of one's choice: where flushing is to take the time that it takes.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_in(parent: &Path) -> Self {
        let programs = Programs::find();
        let folder = TempDir::with_prefix_in("greenroom-postgres-", parent).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        programs.own(folder.path());
        let data = folder.path().join("data");
        let mut initdb = programs.command("initdb");
        initdb.args(["--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8"]);
        initdb.args(["--auth=scram-sha-256", "--username", USER, "--pwfile"]).arg(password).arg("--pgdata").arg(data);
        programs::said(&mut initdb);
        // Asked of the kernel and given back: nobody else takes it in the moment between, for it counts on.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { programs, port, databases: AtomicU32::new(0), guardian: None, folder };
        server.run();
        server
    }

    /// A new, empty database.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("story{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("create database {name}"));
        name
    }

    /// How a program reaches a database of the server, by its socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@localhost:{}/{database}?host={}", self.port, self.folder.path().display())
    }

    /// How a program reaches it over TCP, with TLS; needs [`Self::with_tls`] first.
    #[must_use]
    pub fn tls_url(&self, database: &str) -> String {
        let certificate = self.folder.path().join("server.crt");
        let tls = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
        format!("postgres://{USER}:{PASSWORD}@localhost:{}/{database}?{tls}", self.port)
    }

    /// Starts the server again, listening on a loopback port with a certificate of its own.
    pub fn with_tls(&mut self) {
        let (key, certificate) = (self.folder.path().join("server.key"), self.folder.path().join("server.crt"));
        let mut openssl = self.programs.command("/usr/bin/openssl");
        openssl.args(["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "30", "-subj", "/CN=localhost"]);
        openssl
            .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        programs::said(&mut openssl);
        self.stop();
        let settings = format!(
            "ssl = on\nlisten_addresses = '127.0.0.1'\nport = {}\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            self.port,
            certificate.display(),
            key.display()
        );
        let file = self.folder.path().join("data/postgresql.auto.conf");
        fs::write(file, settings).unwrap();
        self.run();
    }

    /// What a statement answers, said by the server's owner: lines of columns that are set apart by `|`.
    ///
    /// # Panics
    /// If the statement fails.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        programs::said(self.psql(database).args(["--no-align", "--tuples-only", "--command", statement]))
    }

    /// Ends every session of a database, as a broken network does. Answers how many there were.
    pub fn cut(&self, database: &str) -> usize {
        let all = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()";
        self.sql("postgres", &format!("{all} and datname = '{database}'")).lines().count()
    }

    /// Stops the server, as a crash does: nothing is written any more.
    pub fn crash(&mut self) {
        if let Some(guardian) = self.guardian.take() {
            guardian.end("QUIT");
        }
    }

    /// Starts it again on the same data.
    pub fn run(&mut self) {
        let port = self.port;
        let mut postgres = self.programs.command("postgres");
        postgres.arg("-D").arg(self.folder.path().join("data"));
        postgres.arg("-k").arg(self.folder.path());
        for setting in ["fsync=on", "synchronous_commit=on", "full_page_writes=on", "max_connections=100"] {
            postgres.args(["-c", setting]);
        }
        if !self.folder.path().join("server.crt").exists() {
            postgres.args(["-c", "listen_addresses=", "-c", &format!("port={port}")]);
        }
        self.guardian = Some(Guardian::of(&postgres, self.folder.path()));
        let ready = || self.psql("postgres").args(["--command", "select 1"]).output().is_ok_and(|o| o.status.success());
        guardian::until(ready, &self.log());
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// The process that ends the server once its standard input closes.
    #[must_use]
    pub fn guardian_pid(&self) -> Option<u32> {
        self.guardian.as_ref().map(Guardian::pid)
    }

    /// The folder of PostgreSQL's programs.
    #[must_use]
    pub fn programs(&self) -> &Path {
        self.programs.folder()
    }

    fn stop(&mut self) {
        if let Some(guardian) = self.guardian.take() {
            guardian.end("INT");
        }
    }

    fn psql(&self, database: &str) -> std::process::Command {
        let mut psql = self.programs.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--host"]).arg(self.folder.path());
        psql.args(["--port", &self.port.to_string(), "--username", USER, "--dbname", database]);
        psql.env("PGPASSWORD", PASSWORD);
        psql
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
