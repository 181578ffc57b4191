//! What every part of the daemon shares.

use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{Digest, EventSeq, JobId, Pack, TaskId};
use greenroom_store::Store;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify, RwLock, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{access::Access, workers::Workers};

/// The farm's state and its bells.
pub(crate) struct Farm {
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Writers take turns: decisions are made on what was just read.
    pub writing: Mutex<()>,
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
    /// Workers that are attached.
    pub workers: Workers,
    /// Rung when something may be dispatched.
    pub work: Notify,
    /// The last committed event; watchers wait on it.
    pub committed: watch::Sender<EventSeq>,
    /// Live progress. Whoever is slow misses some of it.
    pub progress: broadcast::Sender<Progress>,
    /// Cancelled when the daemon stops.
    pub stop: CancellationToken,
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
