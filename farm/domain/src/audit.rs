//! Who did what, when, and what came of it: a chain in which no row can be changed without a trace.

use serde::{Deserialize, Serialize};

use crate::{Digest, Timestamp};

/// What somebody did. It holds no secret and nothing that somebody wrote: names of projects and ids, and of the request
/// only its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who: a user's name, or what stands for one (`admin.token`, a worker's node).
    pub user: String,
    /// By which token; empty where it is one of the daemon's own files.
    pub token: String,
    /// Which call: `greenroom.v1.JobService/CancelJob`.
    pub method: String,
    /// To what: `projects/lab/jobs/job_…`. Characters stand by their ids, so that one can be forgotten.
    pub resource: String,
    /// `ok`, or why not: `denied`, `not_found`, `invalid`.
    pub outcome: String,
    /// SHA-256 of the request as it was sent.
    pub request: Digest,
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// From 1, without gaps.
    pub seq: u64,
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
    /// The digest of the row before; of nothing for the first.
    pub previous: Digest,
    /// Of everything above.
    pub digest: Digest,
}

impl AuditRow {
    /// The digest before the first row.
    #[must_use]
    pub fn beginning() -> Digest {
        Digest::of(b"")
    }

    /// The row that follows `last`.
    #[must_use]
    pub fn after(last: Option<&Self>, deed: Deed) -> Self {
        let (seq, previous) = last.map_or_else(|| (1, Self::beginning()), |last| (last.seq + 1, last.digest));
        let digest = Self::seal(seq, &deed, previous);
        Self { seq, deed, previous, digest }
    }

    /// Whether the row is as it was written, and follows the one before.
    #[must_use]
    pub fn follows(&self, last: Option<&Self>) -> bool {
        *self == Self::after(last, self.deed.clone())
    }

    fn seal(seq: u64, deed: &Deed, previous: Digest) -> Digest {
        Digest::of_json(&(seq, deed, previous))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(resource: &str) -> Deed {
        Deed {
            at: Timestamp::from_millis(1),
            user: "ada".into(),
            token: String::new(),
            method: "greenroom.v1.JobService/CancelJob".into(),
            resource: resource.into(),
            outcome: "ok".into(),
            request: Digest::of(b"request"),
        }
    }

    #[test]
    fn a_row_that_was_changed_moved_or_cut_out_does_not_follow() {
        let first = AuditRow::after(None, deed("projects/a"));
        let second = AuditRow::after(Some(&first), deed("projects/b"));
        let third = AuditRow::after(Some(&second), deed("projects/c"));
        assert!(first.follows(None) && second.follows(Some(&first)) && third.follows(Some(&second)));
        let mut edited = second.clone();
        edited.deed.user = "bob".into();
        assert!(!edited.follows(Some(&first)));
        let forged = AuditRow::after(Some(&first), edited.deed);
        assert!(forged.follows(Some(&first)) && !third.follows(Some(&forged)));
        assert!(!third.follows(Some(&first)) && !second.follows(None));
    }
}
