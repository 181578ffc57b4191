//! What every part of the daemon shares.

use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{Digest, EventSeq, JobId, Pack, TaskId};
use greenroom_schedule::Book;
use greenroom_store::Store;
use std::{
    collections::VecDeque,
    sync::{Arc, MutexGuard, PoisonError, atomic::AtomicBool},
};
use tokio::sync::{Mutex, Notify, RwLock, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    access::Access,
    args::Config,
    clock::Steady,
    ledger::Wish,
    metrics::Metrics,
    notify::Notice,
    role::{Role, Roles},
    supervise::Children,
    task_logs::TaskLogs,
    workers::Workers,
};

/// The farm's state and its bells.
pub(crate) struct Farm {
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Writers take turns: decisions are made on what was just read.
    pub writing: Mutex<()>,
    /// What waits for the turn.
    pub wishes: std::sync::Mutex<VecDeque<Wish>>,
    /// Pushes share it; whoever forgets a character has it alone, so that nothing new names what is about to go.
    pub forgetting: RwLock<()>,
    /// Bytes.
    pub artifacts: ArtifactStore,
    /// The models, as data.
    pub pack: Pack,
    /// Names that exact pack.
    pub pack_digest: Digest,
    /// Tokens that are not in the ledger.
    pub access: Access,
    /// What tasks say.
    pub task_logs: TaskLogs,
    /// What is counted.
    pub metrics: Metrics,
    /// What the daemon was told.
    pub config: Arc<Config>,
    /// Workers that are attached.
    pub workers: Workers,
    /// Worker processes that this daemon started.
    pub children: Children,
    /// What the scheduler knows: open tasks, workers and the policy, as of the last commit.
    pub book: std::sync::Mutex<Book>,
    /// The book's time.
    pub time: Steady,
    /// Whether the ledger may have gone on without the book: a commit failed or was left alone, and may be written all the same.
    pub doubt: AtomicBool,
    /// Tasks that became ready, with their specs' digests: an equal one may have been done before.
    pub fresh: std::sync::Mutex<VecDeque<(TaskId, Digest)>>,
    /// A commit and what the book learns of it are one step.
    pub committing: Mutex<()>,
    /// Rung when something may be dispatched.
    pub work: Notify,
    /// The last committed event; watchers wait on it.
    pub committed: watch::Sender<EventSeq>,
    /// Live progress. Whoever is slow misses some of it.
    pub progress: broadcast::Sender<Progress>,
    /// What is told of nodes. Whoever is slow misses some of it.
    pub notices: broadcast::Sender<Notice>,
    /// Whether this daemon leads.
    pub role: Roles,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
}

/// What a farm is put together from; everything else begins empty.
pub(crate) struct Parts {
    pub store: Arc<dyn Store>,
    pub artifacts: ArtifactStore,
    /// The models, and their digest.
    pub pack: (Pack, Digest),
    pub access: Access,
    pub config: Arc<Config>,
    pub role: Role,
}

impl Farm {
    /// A farm that knows nothing yet of what its ledger holds.
    pub(crate) fn new(parts: Parts) -> Self {
        let (pack, pack_digest) = parts.pack;
        Self {
            store: parts.store,
            writing: Mutex::new(()),
            wishes: std::sync::Mutex::default(),
            forgetting: RwLock::new(()),
            artifacts: parts.artifacts,
            pack,
            pack_digest,
            access: parts.access,
            task_logs: TaskLogs::new(&parts.config.state, &parts.config.logs),
            metrics: Metrics::default(),
            config: parts.config,
            workers: Workers::default(),
            children: Children::default(),
            book: std::sync::Mutex::default(),
            time: Steady::begin(),
            doubt: AtomicBool::new(false),
            fresh: std::sync::Mutex::default(),
            committing: Mutex::new(()),
            work: Notify::new(),
            committed: watch::Sender::new(EventSeq(0)),
            progress: broadcast::Sender::new(256),
            notices: broadcast::Sender::new(64),
            role: Roles::new(parts.role),
            stop: CancellationToken::new(),
        }
    }

    /// The book, for as long as nothing is awaited.
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks that may have been done before.
    pub(crate) fn fresh(&self) -> MutexGuard<'_, VecDeque<(TaskId, Digest)>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a running task is.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// Of which job.
    pub job: JobId,
    /// Which task.
    pub task: TaskId,
    /// 0 to 1.
    pub fraction: f32,
    /// What is being done.
    pub message: String,
    /// A picture made on the way (JPEG); mostly empty.
    pub picture: Vec<u8>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{args::Args, packs};
    use clap::Parser as _;
    use greenroom_store_sqlite::SqliteStore;
    use std::path::Path;

    /// A farm on a folder, as the daemon opens it, that leads alone.
    pub(crate) async fn farm_on(folder: &Path) -> Farm {
        let pack = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/packs/puppet");
        let line = ["greenroomd", "--pack", pack, "--state", folder.to_str().unwrap()];
        let config = Config::resolve(Args::parse_from(line), Path::new("/nowhere/greenroomd")).unwrap();
        Farm::new(Parts {
            store: Arc::new(SqliteStore::open(folder.join("greenroom.db")).await.unwrap()),
            artifacts: ArtifactStore::local(folder.join("artifacts")).unwrap(),
            pack: packs::open(&config.pack).unwrap(),
            access: Access::open(folder, std::time::Duration::from_secs(60)).unwrap(),
            config: Arc::new(config),
            role: Role::Leads,
        })
    }
}
