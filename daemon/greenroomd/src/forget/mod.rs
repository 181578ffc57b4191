//! Forgetting a character for good, and proving it.
//!
//! First whatever uses the character is stopped. Then one transaction of the ledger lets go of it: its revisions go, rows that
//! named something of it are written anew, and a stone that lists what is still to be removed takes their place. Then the bytes
//! go, and what deleted rows left in the ledger's files. Whoever is killed in between is finished at the next start, or when the
//! character is asked to be forgotten again. At the end everything is read once more, and what is found is told.

mod erase;
mod gather;
mod prove;
mod records;
mod redact;
#[cfg(test)]
mod tests;

use greenroom_artifacts::ArtifactError;
use greenroom_domain::{
    Character, Digest, Event, EventBody, EventSeq, Forgotten, JobId, Problem, ProblemKind, Project, Task, TaskKind,
};
use greenroom_store::Batch;
use std::{collections::BTreeSet, time::Duration};

use crate::{api, clock, farm::Farm, ledger::LedgerError, push};
use gather::Person;

pub(crate) use prove::{Proof, Receipt};

const STEP: &str = "forget character";

/// Workers have so long to let go of a task that was cancelled: they look up between two pictures.
const LETTING_GO: Duration = Duration::from_secs(30);

impl Farm {
    /// Forgets the project's character of that name; one that was forgotten before is proved anew.
    pub(crate) async fn forget(&self, project: &Project, name: &str) -> Result<Receipt, LedgerError> {
        let _alone = self.forgetting.write().await;
        let stone = match self.store.character_by_name(project.id, name).await? {
            Some(character) => {
                let person = Person::find(self, character).await?;
                let cancelled = self.stop_jobs_of(&person).await?;
                self.let_go(&person, cancelled).await?
            }
            None => self.stone(project, name).await?.ok_or_else(|| unknown(name))?,
        };
        let stone = self.erase(stone).await?;
        self.prove(stone).await
    }

    /// Ends what a daemon that was killed had begun. Called before anybody can push.
    pub(crate) async fn finish_forgetting(&self) -> Result<(), LedgerError> {
        for stone in self.store.unfinished().await? {
            tracing::info!(character.id = %stone.character, "character.forget: finishing");
            self.erase(stone).await?;
        }
        Ok(())
    }

    /// What is left of a project's character that had this name, the last one if there were several.
    pub(crate) async fn stone(&self, project: &Project, name: &str) -> Result<Option<Forgotten>, LedgerError> {
        let stones = self.store.forgotten(project.id).await?;
        Ok(stones.into_iter().rev().find(|stone| stone.was_called(name)))
    }

    /// The one transaction: afterwards the ledger knows nothing of the character but its stone.
    async fn let_go(&self, person: &Person, cancelled: Vec<JobId>) -> Result<Forgotten, LedgerError> {
        let _turn = self.writing.lock().await;
        let now = clock::now();
        let forgetting = gather::forgetting(self, person, cancelled, now).await?;
        let stone = forgetting.stone.clone();
        let body = EventBody::CharacterForgotten { character: stone.character };
        let event = Event { seq: EventSeq(0), at: now, project: stone.project, job: None, body };
        self.commit(Batch::new().forget(forgetting).event(event)).await?;
        tracing::info!(character.id = %stone.character, belongings = stone.belongings.len(), "character.forget");
        Ok(stone)
    }

    /// Cancels every active job that uses the character, and waits until no worker runs a task of one: what a worker wrote
    /// after the forgetting nobody would remove.
    async fn stop_jobs_of(&self, person: &Person) -> Result<Vec<JobId>, LedgerError> {
        let mut cancelled = vec![];
        for job in self.store.jobs(Some(person.project()), usize::MAX).await? {
            if !job.state.is_final() && self.uses(person, &job.request, &self.store.tasks(job.id).await?).await {
                let running = self.workers.of_job(job.id);
                self.cancel(job.id).await?;
                for (outbox, running) in running {
                    let _ = outbox.send(Ok(api::cancel_task(running))).await;
                }
                cancelled.push(job.id);
            }
        }
        let idle = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while cancelled.iter().any(|&job| !self.workers.of_job(job).is_empty()) {
                tick.tick().await;
            }
        };
        tokio::time::timeout(LETTING_GO, idle).await.map_err(|_| {
            let cause = "a worker still runs a task that uses it, which was cancelled";
            let remedy = "try again in a moment; if it stays, stop that worker";
            Problem::new(ProblemKind::Unavailable, STEP, person.name(), cause, remedy)
        })?;
        Ok(cancelled)
    }

    /// Whether a job is made from something of the character: by its tasks, or by the plan of the tasks to come.
    async fn uses(&self, person: &Person, request: &Digest, tasks: &[Task]) -> bool {
        if tasks.iter().any(|task| person.is_named_by(task)) {
            return true;
        }
        let is_script = tasks.iter().any(|t| t.kind == TaskKind::Breakdown);
        is_script && push::read_plan(self, *request).await.is_ok_and(|plan| person.is_cast_in(&plan))
    }
}

/// The error for what was there and is no more.
pub(crate) fn gone(step: &str, name: &str, stone: &Forgotten, remedy: &str) -> Problem {
    let cause = format!("it was forgotten on {}", clock::day(stone.at));
    Problem::new(ProblemKind::Gone, step, name, cause, remedy)
}

fn unknown(name: &str) -> Problem {
    let remedy = "list the characters to see which exist";
    Problem::new(ProblemKind::NotFound, STEP, name, "there is none of that name", remedy)
}

/// An artifact could not be read or removed.
fn bytes(error: &ArtifactError) -> LedgerError {
    let remedy = "check the disk that holds the artifacts, and ask again: what is left to do is done then";
    Problem::new(ProblemKind::Unavailable, STEP, "artifacts", error, remedy).into()
}

/// Files could not be removed.
fn files(what: &str, error: &std::io::Error) -> LedgerError {
    let remedy = "check the disk that holds them, and ask again: what is left to do is done then";
    Problem::new(ProblemKind::Unavailable, STEP, what, error, remedy).into()
}

/// All revisions of a character.
async fn revisions(farm: &Farm, latest: Character) -> Result<Vec<Character>, LedgerError> {
    let mut all = vec![];
    for number in 1..latest.revision {
        all.extend(farm.store.character_revision(latest.id, number).await?);
    }
    all.push(latest);
    Ok(all)
}

/// The names of those who are of one character.
fn names(revisions: &[Character]) -> BTreeSet<String> {
    revisions.iter().map(|c| c.name.clone()).collect()
}
