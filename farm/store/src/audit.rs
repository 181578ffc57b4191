//! Reading the audit log, and checking that nobody changed it.

use async_trait::async_trait;
use greenroom_domain::{AuditRow, Digest, Timestamp};

use crate::Result;

/// Rows that are read at once while the log is checked.
const PAGE: usize = 500;

/// Which deeds are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeedFilter {
    /// Done at this moment or later.
    pub since: Option<Timestamp>,
    /// By this user.
    pub user: Option<String>,
}

/// Reads the audit log.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Rows after a position, in their order, at most `limit`, as they are kept: none where what is kept under a number cannot be
    /// read, or is not of one piece.
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRow>)>>;

    /// The newest rows that are wanted, newest first, at most `limit`; those that cannot be read are left out.
    async fn deeds(&self, filter: &DeedFilter, limit: usize) -> Result<Vec<AuditRow>>;
}

/// What checking the audit log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Rows that fit, from the first on.
    pub rows: u64,
    /// Digest of the last of them: kept elsewhere, it shows later that nothing was cut off.
    pub head: Digest,
    /// Number of the first row that does not fit.
    pub broken: Option<u64>,
    /// Whether a row has the digest that was asked for.
    pub has_head: bool,
}

/// Reads the whole log and follows its chain. `head` is a digest that the log had once; it is looked for.
///
/// # Errors
/// If the log cannot be read at all.
pub async fn verify_audit(store: &(impl AuditStore + ?Sized), head: Option<Digest>) -> Result<Audited> {
    let mut last: Option<AuditRow> = None;
    let mut has_head = head.is_none() || head == Some(AuditRow::beginning());
    loop {
        let after = last.as_ref().map_or(0, |row| row.seq);
        let page = store.audit(after, PAGE).await?;
        let end = page.len() < PAGE;
        for (seq, row) in page {
            match row.filter(|row| row.seq == seq && row.follows(last.as_ref())) {
                Some(row) => {
                    has_head |= head == Some(row.digest);
                    last = Some(row);
                }
                None => return Ok(audited(last.as_ref(), Some(seq), has_head)),
            }
        }
        if end {
            return Ok(audited(last.as_ref(), None, has_head));
        }
    }
}

fn audited(last: Option<&AuditRow>, broken: Option<u64>, has_head: bool) -> Audited {
    let (rows, head) = last.map_or_else(|| (0, AuditRow::beginning()), |row| (row.seq, row.digest));
    Audited { rows, head, broken, has_head }
}
