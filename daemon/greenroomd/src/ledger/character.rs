//! What a profile job does to characters: their state, and the calibrations that follow from a new profile.

use greenroom_domain::{
    Character, CharacterState, Job, ModelRole, Problem, ProblemKind, Task, TaskKind, TaskOutput, TaskState, Timestamp,
};
use greenroom_schedule::{LoraPlan, calibrated, compile_calibrate, due_calibrations, trained};

use super::{LedgerError, Work};
use crate::{clock, farm::Farm};

impl Farm {
    /// After a profile is known: calibrations of everybody of the project for whom it changes something.
    pub(super) async fn calibrate(&self, work: &mut Work, changed: &Task, now: Timestamp) -> Result<(), LedgerError> {
        let profiled = changed.kind == TaskKind::Profile && matches!(changed.state, TaskState::Done { .. });
        if !profiled || self.pack.files(ModelRole::Impostors).next().is_none() {
            return Ok(());
        }
        let mut characters = self.store.characters(work.job.project).await?;
        if let Some(ready) = self.profiled(&work.job, &work.tasks).await? {
            characters.iter_mut().filter(|c| c.id == ready.id).for_each(|c| c.clone_from(&ready));
        }
        for spec in due_calibrations(&characters, self.pack_digest) {
            work.insert(compile_calibrate(spec, clock::new_task(), work.job.id, now), now);
        }
        Ok(())
    }

    /// The character that a calibrate task of the job has just given a curve.
    pub(super) async fn calibrated(&self, work: &Work, now: Timestamp) -> Result<Option<Character>, LedgerError> {
        let ended = |task: &&Task| task.kind == TaskKind::Calibrate && task.output().is_some();
        if !work.tasks.iter().any(|task| ended(&task)) {
            return Ok(None);
        }
        let characters = self.store.characters(work.job.project).await?;
        Ok(work.tasks.iter().filter(ended).find_map(|task| calibrated(&characters, self.pack_digest, task, now)))
    }

    /// The character for which a LoRA's job has just proved one.
    pub(super) async fn trained(
        &self,
        work: &Work,
        plan: &LoraPlan,
        now: Timestamp,
    ) -> Result<Option<Character>, LedgerError> {
        let character = self.store.character_by_name(work.job.project, &plan.character).await?;
        Ok(character.and_then(|character| trained(&character, plan, &work.tasks, work.job.id, now)))
    }

    /// The character whose profile task has just ended, with its new state.
    pub(super) async fn profiled(&self, job: &Job, tasks: &[Task]) -> Result<Option<Character>, LedgerError> {
        let Some(task) = tasks.iter().find(|t| t.kind == TaskKind::Profile && t.state.is_final()) else {
            return Ok(None);
        };
        let waits = |c: &Character| matches!(c.state, CharacterState::Profiling { task: t } if t == task.id);
        let Some(mut character) = self.store.characters(job.project).await?.into_iter().find(waits) else {
            return Ok(None);
        };
        character.state = match &task.state {
            TaskState::Done { output: TaskOutput::Profile { profile, thumbnail, qualities }, .. } => {
                for (reference, quality) in character.references.iter_mut().zip(qualities) {
                    reference.quality = Some(quality.clone());
                }
                CharacterState::Ready { profile: *profile, thumbnail: *thumbnail }
            }
            TaskState::Failed { problem, .. } => CharacterState::Refused { problem: problem.clone() },
            _ => {
                let remedy = "create the character again";
                let problem =
                    Problem::new(ProblemKind::Conflict, "profile character", &character.name, "cancelled", remedy);
                CharacterState::Refused { problem }
            }
        };
        Ok(Some(character))
    }
}
