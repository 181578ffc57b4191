//! Forgetting in memory.

use async_trait::async_trait;
use greenroom_domain::{Digest, Event, Forgotten, ProjectId};
use serde::Serialize;
use std::collections::BTreeSet;

use super::{MemoryStore, Rows, replace};
use crate::{Forgetting, ForgottenStore, Mention, Result, Row, StoreError, Unique, rules};

/// Events as they shall be, with their places in the log.
pub(super) fn events(forgetting: &Forgetting, log: &[Event]) -> Result<Vec<(usize, Event)>> {
    let place = |new: &Event| {
        let at = log.iter().position(|old| old.seq == new.seq);
        rules::rewrite_event(new, at.map(|at| &log[at]))?;
        Ok((at.unwrap_or_default(), new.clone()))
    };
    forgetting.events.iter().map(place).collect()
}

impl Rows {
    /// Everything of a forgetting but its events.
    pub(super) fn forget(&mut self, forgetting: Forgetting) -> Result<()> {
        let Forgetting { stone, characters, jobs, tasks, events: _ } = forgetting;
        if self.forgotten.iter().any(|f| f.character == stone.character) {
            return Err(StoreError::Exists(Unique::Id(stone.character.to_string())));
        }
        rules::forget(&stone, self.character(stone.character))?;
        self.characters.retain(|c| c.id != stone.character);
        self.forgotten.push(stone);
        for new in characters {
            let old = self.characters.iter_mut().find(|c| c.id == new.id && c.revision == new.revision);
            rules::rewrite_character(&new, old.as_deref())?;
            replace(old, new);
        }
        for new in jobs {
            rules::rewrite_job(&new, self.job(new.id), self.answering(new.project, new.request))?;
            replace(self.jobs.iter_mut().find(|j| j.id == new.id), new);
        }
        for new in tasks {
            let old = self.tasks.iter_mut().find(|t| t.id == new.id);
            rules::rewrite_task(&new, old.as_deref())?;
            replace(old, new);
        }
        Ok(())
    }
}

#[async_trait]
impl ForgottenStore for MemoryStore {
    async fn forgotten(&self, project: ProjectId) -> Result<Vec<Forgotten>> {
        Ok(self.read().rows.forgotten.iter().filter(|f| f.project == project).cloned().collect())
    }

    async fn unfinished(&self) -> Result<Vec<Forgotten>> {
        Ok(self.read().rows.forgotten.iter().filter(|f| f.finished.is_none()).cloned().collect())
    }

    async fn mentions(&self, digests: &BTreeSet<Digest>) -> Result<Vec<Mention>> {
        let state = self.read();
        let (rows, mut all) = (&state.rows, BTreeSet::new());
        let mut look = |row, text: &str| {
            let named = Digest::named_in(text).filter(|(_, digest)| digests.contains(digest));
            all.extend(named.map(|(_, digest)| Mention { digest, row }));
        };
        rows.projects.iter().for_each(|p| look(Row::Project(p.id), &text(p)));
        rows.characters.iter().for_each(|c| look(Row::Character(c.id, c.revision), &text(c)));
        rows.jobs.iter().for_each(|j| look(Row::Job(j.id), &text(j)));
        rows.tasks.iter().for_each(|t| look(Row::Task(t.id), &text(t)));
        state.events.iter().for_each(|e| look(Row::Event(e.seq), &text(e)));
        Ok(all.into_iter().collect())
    }
}

fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
