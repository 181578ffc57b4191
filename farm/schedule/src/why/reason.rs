//! Reasons: a code for programs, a sentence for people, and a remedy.

use std::fmt;

/// Why a task waits. The names are for programs and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It needs the outputs of other tasks.
    WaitingOnTasks,
    /// Its job is paused.
    Paused,
    /// It failed and is tried again soon, or was paused for another.
    RetryDelay,
    /// No worker is attached.
    NoWorker,
    /// No worker has the device that it needs.
    NoDevice,
    /// No device has the memory that it needs.
    NoDeviceWithVram,
    /// No worker may use the memory of its machine that it needs.
    NoWorkerWithRam,
    /// No worker has the tags that it needs.
    NoTags,
    /// The node that it is pinned to is not there.
    NoNode,
    /// Every worker that would do is on a drained node.
    Drained,
    /// … or on a device that is not fit for work.
    Unfit,
    /// … or on a device whose memory programs of others have.
    DeviceInUse,
    /// … or on one in maintenance.
    Maintenance,
    /// … or would not be done with it before a window begins.
    WindowAhead,
    /// … or kept for somebody else.
    Reserved,
    /// … or on a node where its job has failed.
    Blocklisted,
    /// Its project or user has as many tasks as it may.
    Quota,
    /// A limit is reached.
    LimitReached,
    /// A training is being paused for it.
    Preempting,
    /// The room is there in parts only; a worker is kept free for it.
    Held,
    /// More urgent work goes first.
    Priority,
    /// Others had less of the farm for their share.
    FairShareBehind,
    /// Older work goes first.
    Queued,
    /// It starts with the next decision.
    Starting,
    /// It runs.
    Running,
    /// It has ended, or there is no such task.
    Ended,
}

/// Why a task waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// For programs.
    pub reason: Reason,
    /// For people, without a full stop.
    pub sentence: String,
    /// What can be done about it, if anything, as an imperative.
    pub remedy: Option<String>,
}

impl Reason {
    /// As programs see it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WaitingOnTasks => "waiting-on-tasks",
            Self::Paused => "paused",
            Self::RetryDelay => "retry-delay",
            Self::NoWorker => "no-worker",
            Self::NoDevice => "no-device",
            Self::NoDeviceWithVram => "no-device-with-vram",
            Self::NoWorkerWithRam => "no-worker-with-ram",
            Self::NoTags => "no-worker-with-tags",
            Self::NoNode => "no-such-node",
            Self::Drained => "drained",
            Self::Unfit => "device-unfit",
            Self::DeviceInUse => "device-in-use",
            Self::Maintenance => "maintenance",
            Self::WindowAhead => "window-ahead",
            Self::Reserved => "reserved",
            Self::Blocklisted => "blocklisted",
            Self::Quota => "quota",
            Self::LimitReached => "limit-reached",
            Self::Preempting => "preempting",
            Self::Held => "device-held",
            Self::Priority => "behind-priority",
            Self::FairShareBehind => "fair-share-behind",
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Why {
    pub(super) fn new(reason: Reason, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into(), remedy: None }
    }

    pub(super) fn but(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
