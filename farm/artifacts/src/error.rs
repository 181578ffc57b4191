//! Why bytes could not be kept or given.

use greenroom_domain::{Digest, Problem, ProblemKind};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// What every method of the artifact store answers.
pub type Result<T> = std::result::Result<T, ArtifactError>;

/// Why bytes could not be kept or given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// No such artifact here.
    #[error("there is no artifact {digest}")]
    Missing {
        /// Which.
        digest: Digest,
    },
    /// The kept bytes are not the ones that were put: the disk lied or somebody wrote there.
    #[error("artifact {digest} is damaged: its bytes have the digest {found}")]
    Corrupt {
        /// Which.
        digest: Digest,
        /// What the bytes are instead.
        found: Digest,
    },
    /// The given bytes are not the announced ones; nothing was kept.
    #[error("bytes announced as {expected} have the digest {found}")]
    WrongDigest {
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// More bytes than the caller wants in memory.
    #[error("artifact {digest} has {size} bytes, more than the {limit} that are allowed here")]
    TooLarge {
        /// Which.
        digest: Digest,
        /// Its length.
        size: u64,
        /// The most that was allowed.
        limit: u64,
    },
    /// The stream that was being put broke off; nothing was kept.
    #[error("the bytes to keep broke off: {0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file beside the store.
    #[error("{step}: {}: {source}", path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The store itself.
    #[error("{step}: {source}")]
    Store {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        source: object_store::Error,
    },
}

impl ArtifactError {
    /// Whether there was no room on the disk: with room, the same is done well.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(io, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// What to tell a person.
    #[must_use]
    pub fn problem(&self) -> Problem {
        if self.is_full() {
            let (cause, remedy) =
                ("the disk that holds the artifacts is full", "free some space on it; waiting work goes on by itself");
            return Problem::new(ProblemKind::Unavailable, "use artifacts", "artifact store", cause, remedy);
        }
        let (kind, remedy) = match self {
            Self::Missing { .. } => (ProblemKind::NotFound, "push what it was made from again"),
            Self::Corrupt { .. } => (ProblemKind::Internal, "check the disk, then push what it was made from again"),
            Self::WrongDigest { .. } => (ProblemKind::Invalid, "send the file again"),
            Self::TooLarge { .. } => (ProblemKind::Invalid, "use a smaller file"),
            Self::Source(_) => (ProblemKind::Unavailable, "send the file again"),
            Self::File { .. } | Self::Store { .. } => (
                ProblemKind::Unavailable,
                "check that the disk has space and can be written, or that the bucket is there and its keys are right",
            ),
        };
        Problem::new(kind, "use artifacts", "artifact store", self, remedy)
    }

    pub(crate) fn file(step: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { step, path: path.to_owned(), source }
    }

    /// An error of the store about one artifact.
    pub(crate) fn of(digest: Digest, step: &'static str, source: object_store::Error) -> Self {
        match source {
            object_store::Error::NotFound { .. } => Self::Missing { digest },
            source => Self::Store { step, source },
        }
    }
}
