//! Puts the daemon together, serves until told to stop, and takes it apart.

use greenroom_domain::{Problem, ProblemKind};
use serde::Serialize;
use std::{
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{
    access::Access,
    api,
    args::{Args, Config},
    backup, clock,
    farm::{Farm, Parts},
    lead,
    open::{self, Ledger},
    packs,
    role::Role,
    tls::{Tls, TlsListener},
};

/// Calls that still run when the daemon stops get so long to end.
const STOPPING: Duration = Duration::from_secs(6);

/// Temporary files of uploads that broke off are swept after a day.
const STALE_UPLOAD: Duration = Duration::from_secs(24 * 3600);

/// Runs the daemon until a signal, or until standard input closes if that was asked.
pub(crate) async fn serve(args: Args) -> Result<(), Problem> {
    let own = std::env::current_exe().unwrap_or_default();
    let config = Arc::new(Config::resolve(args, &own)?);
    let state = config.state.as_path();
    let fail = |step: &'static str| {
        move |e: std::io::Error| unusable(step, state, &e.to_string(), "choose another --state, or make it writable")
    };
    std::fs::create_dir_all(state).map_err(fail("open state folder"))?;
    let _lock = lock(state)?;
    let pack = packs::open(&config.pack)?;
    let access = Access::open(state, config.credential)?;
    let Ledger { store, shared } = open::ledger(&config.ledger_place()).await?;
    #[expect(clippy::disallowed_methods, reason = "a bucket's keys are told by the environment alone")]
    let artifacts = config.artifacts.open(std::env::vars()).map_err(|e| e.problem())?;
    let last = store.last_seq().await.map_err(|e| e.problem())?;
    let farm = Arc::new(Farm::new(Parts {
        store,
        artifacts,
        pack,
        access,
        config: config.clone(),
        role: if shared.is_some() { Role::StandsBy { leader: None } } else { Role::Leads },
    }));
    farm.committed.send_replace(last);
    if shared.is_none() {
        lead::prepare(&farm).await.map_err(|e| e.problem())?;
    }
    let listener = TcpListener::bind(config.listen).await.map_err(|e| {
        unusable("listen", Path::new(&config.listen.to_string()), &e.to_string(), "choose another --listen")
    })?;
    let address = listener.local_addr().map_err(fail("listen"))?;
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    let url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    // The certificate names the farm and not this machine's own address, so our own workers come in by a door of theirs.
    let own_door = match &tls {
        Some(_) => Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(fail("listen"))?),
        None => None,
    };
    let own_url = match &own_door {
        Some(door) => format!("http://{}", door.local_addr().map_err(fail("listen"))?),
        None => url.clone(),
    };
    let endpoint = state.join("endpoint.json");
    announce(&endpoint, &url).map_err(fail("write endpoint.json"))?;

    let mut tasks = JoinSet::new();
    let advertised = config.advertise.clone().unwrap_or_else(|| url.clone());
    tasks.spawn(lead::run(farm.clone(), shared, config.clone(), advertised, own_url));
    tasks.spawn(sweep(farm.clone()));
    tasks.spawn(backup::run(farm.clone()));
    tracing::info!(%url, state = %state.display(), pack = farm.pack.name, "ready");

    let stop = || farm.stop.clone().cancelled_owned();
    let router = api::router(farm.clone()).await;
    if let Some(door) = own_door {
        let served = axum::serve(door, api::workers_router(farm.clone())).with_graceful_shutdown(stop());
        tasks.spawn(async move { drop(served.await) });
    }
    let server = match tls {
        Some(tls) => {
            let listener = TlsListener::new(listener, tls.clone()).map_err(fail("listen"))?;
            tasks.spawn(reread(tls, farm.clone()));
            let served = axum::serve(listener, router).with_graceful_shutdown(stop());
            tokio::spawn(async move { served.await })
        }
        None => {
            let served = axum::serve(listener, router).with_graceful_shutdown(stop());
            tokio::spawn(async move { served.await })
        }
    };

    stopped(config.until_stdin_closes).await;
    tracing::info!("stopping");
    let _ = std::fs::remove_file(&endpoint);
    farm.stop.cancel();
    for outbox in farm.workers.outboxes() {
        let _ = outbox.try_send(Ok(api::stop_worker()));
    }
    let _ = tokio::time::timeout(STOPPING, async {
        let _ = server.await;
        while tasks.join_next().await.is_some() {}
    })
    .await;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the certificate again at SIGHUP: it was renewed.
async fn reread(tls: Tls, farm: Arc<Farm>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    loop {
        tokio::select! {
            _ = hangup.recv() => match tls.reload() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(problem) => tracing::error!(remedy = problem.remedy, "{problem}; the one before stays in force"),
            },
            () = farm.stop.cancelled() => return,
        }
    }
}

/// Ends at SIGTERM, SIGINT, or, if asked, at the end of standard input.
async fn stopped(until_stdin_closes: bool) {
    let stdin = async {
        if until_stdin_closes {
            let (mut stdin, mut buffer) = (tokio::io::stdin(), [0; 64]);
            while matches!(stdin.read(&mut buffer).await, Ok(n) if n > 0) {}
        } else {
            std::future::pending::<()>().await;
        }
    };
    let on = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stdin => {}
        () = on(SignalKind::terminate()) => {}
        () = on(SignalKind::interrupt()) => {}
    }
}

/// What a farm leaves lying is swept so often.
const SWEPT_EVERY: Duration = Duration::from_secs(3600);

async fn sweep(farm: Arc<Farm>) {
    let mut again = tokio::time::interval(SWEPT_EVERY);
    loop {
        tokio::select! {
            _ = again.tick() => sweep_once(&farm).await,
            () = farm.stop.cancelled() => return,
        }
    }
}

async fn sweep_once(farm: &Farm) {
    let now = UNIX_EPOCH + Duration::from_millis(clock::now().as_millis().max(0).unsigned_abs());
    if let Err(error) = farm.artifacts.sweep_temporary(now - STALE_UPLOAD).await {
        tracing::warn!(%error, "cannot sweep uploads that broke off");
    }
    tokio::task::block_in_place(|| farm.task_logs.sweep(now));
}

#[derive(Serialize)]
struct Endpoint {
    address: String,
    pid: u32,
}

fn announce(path: &Path, url: &str) -> std::io::Result<()> {
    let endpoint = Endpoint { address: url.to_owned(), pid: std::process::id() };
    let aside = path.with_extension("json.new");
    std::fs::write(&aside, serde_json::to_vec(&endpoint)?)?;
    std::fs::rename(aside, path)
}

/// One daemon a state folder: two would hand out the same tasks.
pub(crate) fn lock(state: &Path) -> Result<nix::fcntl::Flock<std::fs::File>, Problem> {
    let path = state.join("lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|e| unusable("lock state folder", &path, &e.to_string(), "make the state folder writable"))?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).map_err(|(_, e)| {
        let cause =
            if e == nix::errno::Errno::EWOULDBLOCK { "another greenroomd uses it".into() } else { e.to_string() };
        unusable("lock state folder", state, &cause, "stop the other daemon, or choose another --state")
    })
}

fn unusable(step: &str, path: &Path, cause: &str, remedy: &str) -> Problem {
    Problem::new(ProblemKind::Unavailable, step, path.display().to_string(), cause, remedy)
}
