//! Removing the bytes that the ledger has let go of.

use greenroom_domain::{Fate, Forgotten};
use greenroom_store::Batch;
use std::collections::BTreeMap;

use super::{bytes, files};
use crate::{backup, clock, farm::Farm, ledger::LedgerError};

impl Farm {
    /// Removes what a stone says is still to be removed, and what deleted rows left in the ledger's files. Done twice it does
    /// nothing twice.
    pub(super) async fn erase(&self, mut stone: Forgotten) -> Result<Forgotten, LedgerError> {
        if stone.finished.is_some() {
            return Ok(stone);
        }
        // Somebody may have pushed the same bytes since the ledger let go of them.
        let pending = stone.pending().collect();
        let named: BTreeMap<_, _> =
            self.store.mentions(&pending).await?.into_iter().map(|mention| (mention.digest, mention.row)).collect();
        for belonging in stone.belongings.iter_mut().filter(|b| b.fate == Fate::Pending) {
            belonging.fate = if let Some(row) = named.get(&belonging.digest) {
                Fate::Kept { why: format!("{row} names it") }
            } else {
                self.artifacts.remove(belonging.digest).await.map_err(|e| bytes(&e))?;
                Fate::Removed
            };
        }
        // What tasks said may name anybody of the project.
        for job in self.store.jobs(Some(stone.project), usize::MAX).await? {
            self.task_logs.remove(job.id).map_err(|e| files("logs", &e))?;
        }
        backup::forget(&self.config).map_err(|e| files("backups", &e))?;
        self.store.scrub().await?;
        stone.finished = Some(clock::now());
        let _turn = self.writing.lock().await;
        self.commit(Batch::new().update_forgotten(stone.clone())).await?;
        Ok(stone)
    }
}
