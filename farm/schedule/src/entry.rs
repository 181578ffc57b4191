//! What the scheduler is told of a task: where it stands and what it needs, never its spec.

use greenroom_domain::{
    HostRequirements, JobId, LeaseEpoch, Needs, ShotKey, Spec, Task, TaskId, TaskKind, TaskState, Timestamp, WorkerId,
};

/// A task as the scheduler sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: TaskId,
    /// Whose.
    pub job: JobId,
    /// What it does.
    pub kind: TaskKind,
    /// For which shot.
    pub shot: Option<ShotKey>,
    /// Which take of it; of a command its place, so that a worker's session serves one after the other.
    pub take: Option<u32>,
    /// What its spec needs; a policy may ask for more.
    pub needs: Needs,
    /// Attempts that failed.
    pub failures: u32,
    /// Where it stands.
    pub stand: Stand,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Needs the outputs of so many others.
    Waiting {
        /// How many.
        on: usize,
    },
    /// Can start.
    Ready {
        /// Since when.
        since: Timestamp,
    },
    /// Runs.
    Leased {
        /// Where.
        worker: WorkerId,
        /// Under which lease.
        epoch: LeaseEpoch,
        /// Since when.
        since: Timestamp,
    },
    /// Is over.
    Ended {
        /// Done, and by a worker.
        well: bool,
    },
}

impl From<&Task> for Entry {
    fn from(task: &Task) -> Self {
        let stand = match &task.state {
            TaskState::Waiting { on } => Stand::Waiting { on: on.len() },
            TaskState::Ready { since } => Stand::Ready { since: *since },
            TaskState::Leased(lease) => Stand::Leased { worker: lease.worker, epoch: lease.epoch, since: lease.since },
            TaskState::Done { reused, .. } => Stand::Ended { well: !reused },
            TaskState::Failed { .. } | TaskState::Cancelled { .. } => Stand::Ended { well: false },
        };
        Self {
            id: task.id,
            job: task.job,
            kind: task.kind,
            shot: task.shot,
            take: task.take.or_else(|| place(task.spec.as_ref()?)),
            needs: task.spec.as_ref().map(needs).unwrap_or_default(),
            failures: task.failures,
            stand,
        }
    }
}

/// What a spec needs: the models that it works with, by the pack's digest and role, and its LoRA.
fn needs(spec: &Spec) -> Needs {
    let generator = |pack| format!("{pack}/generator");
    let warm = match spec {
        Spec::Generate(spec) => {
            let lora = spec.lora.as_ref().map(|lora| lora.lora.to_string());
            lora.into_iter().chain([generator(spec.pack)]).collect()
        }
        Spec::Repair(spec) => vec![generator(spec.pack)],
        Spec::Train(spec) => vec![generator(spec.pack)],
        Spec::Prove(spec) => vec![generator(spec.pack), faces(spec.pack)],
        Spec::Validate(spec) => vec![faces(spec.pack)],
        Spec::Profile(spec) => vec![faces(spec.pack)],
        Spec::Collect(spec) => vec![faces(spec.pack)],
        Spec::Command(spec) => return required(&spec.requires),
        Spec::Calibrate(_) | Spec::Convert(_) | Spec::Assemble(_) | Spec::Breakdown { .. } => vec![],
    };
    Needs { warm: warm.into_iter().collect(), ..Needs::default() }
}

/// Where a command stands in its job: by step, then in the order of parameters. A step has fewer than 2²⁰ tasks.
const fn place(spec: &Spec) -> Option<u32> {
    match spec {
        Spec::Command(spec) => Some((spec.place << 20).saturating_add(spec.index)),
        _ => None,
    }
}

/// What a job template asks of a host, as far as workers tell of it; the worker itself looks at the rest.
fn required(requires: &HostRequirements) -> Needs {
    let least = |name: &str| requires.amounts.get(name).and_then(|amount| amount.min).unwrap_or(0.0).ceil() as u64;
    let card = u64::from(least("amount.worker.gpu") > 0);
    let threads = u32::try_from(least("amount.worker.vcpu")).unwrap_or(u32::MAX);
    let (vram_mib, ram_mib) = (least("amount.worker.gpu.memory").max(card), least("amount.worker.memory"));
    Needs { vram_mib, ram_mib, threads, ..Needs::default() }
}

fn faces(pack: greenroom_domain::Digest) -> String {
    format!("{pack}/faces")
}

/// Whether anybody waits for it: a shot is waited for, learning is not.
pub(crate) const fn is_learning(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Collect | TaskKind::Train | TaskKind::Convert | TaskKind::Prove)
}

/// Whether a worker can pause it and go on later without losing what was done.
pub(crate) const fn can_pause(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Train)
}

/// Whether it is quicker on a graphics card; what is not leaves cards to what is.
pub(crate) const fn likes_a_card(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Generate | TaskKind::Repair | TaskKind::Train | TaskKind::Prove)
}

/// What finishes a shot comes before what starts one.
pub(crate) const fn rank(kind: TaskKind) -> u8 {
    match kind {
        TaskKind::Breakdown | TaskKind::Assemble => 0,
        TaskKind::Validate => 1,
        TaskKind::Repair => 2,
        TaskKind::Profile | TaskKind::Calibrate => 3,
        TaskKind::Generate
        | TaskKind::Command
        | TaskKind::Collect
        | TaskKind::Train
        | TaskKind::Convert
        | TaskKind::Prove => 4,
    }
}
