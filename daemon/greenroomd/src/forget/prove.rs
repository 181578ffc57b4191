//! A second look at everything, after a character was forgotten.

use greenroom_domain::{Digest, Fate, Forgotten, Timestamp};
use std::collections::BTreeSet;

use super::{bytes, records};
use crate::{clock, farm::Farm, ledger::LedgerError};

/// What was removed, what stayed, and that it is so. It holds no name, no picture and no embedding.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    /// What is left in the ledger.
    pub stone: Forgotten,
    /// Length of each piece of footage; 0 where it is gone too.
    pub footage_bytes: Vec<u64>,
    /// The second look.
    pub proof: Proof,
}

/// What a second look found.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// When.
    pub at: Timestamp,
    /// Digests that were looked for.
    pub digests: usize,
    /// Artifacts whose text was read for them.
    pub records: usize,
    /// A sentence each; none if all is gone.
    pub findings: Vec<String>,
}

impl Farm {
    /// Looks for everything that a stone says is gone: in the artifacts, in the text of those that are text, and in every row.
    pub(super) async fn prove(&self, stone: Forgotten) -> Result<Receipt, LedgerError> {
        let removed = |b: &&greenroom_domain::Belonging| b.fate == Fate::Removed;
        let gone: BTreeSet<Digest> = stone.belongings.iter().filter(removed).map(|b| b.digest).collect();
        let mut findings = vec![];
        for &digest in &gone {
            if self.artifacts.has(digest).await.map_err(|e| bytes(&e))? {
                findings.push(format!("artifact {digest} is there"));
            }
        }
        for mention in self.store.mentions(&gone).await? {
            findings.push(format!("{} names artifact {}", mention.row, mention.digest));
        }
        let records = records::all(self).await?;
        for record in &records {
            for named in record.names.intersection(&gone) {
                findings.push(format!("artifact {} names artifact {named}", record.digest));
            }
        }
        for revision in 1..=stone.revisions {
            if self.store.character_revision(stone.character, revision).await?.is_some() {
                findings.push(format!("revision {revision} of the character is there"));
            }
        }
        let mut footage_bytes = vec![];
        for footage in &stone.footage {
            footage_bytes.push(self.artifacts.size(footage.digest).await.unwrap_or(0));
        }
        let proof = Proof { at: clock::now(), digests: gone.len(), records: records.len(), findings };
        Ok(Receipt { stone, footage_bytes, proof })
    }
}
