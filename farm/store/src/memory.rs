//! A ledger that lives as long as its process: for tests and for trying things out.

use async_trait::async_trait;
use greenroom_domain::{
    AuditRow, Character, CharacterId, Digest, Event, EventSeq, Forgotten, Job, JobId, Policy, Problem, ProblemKind,
    Project, ProjectId, Task, TaskId, TaskOutput, TaskState, Token, User,
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use crate::{
    Batch, BookmarkStore, Change, CharacterStore, EventScope, EventStore, JobStore, PolicyStore, ProjectStore, Result,
    Store, StoreError, TaskStore, rules,
};

mod access;
mod forgotten;

/// A ledger in memory. Searches are linear: it is small or it is the wrong store.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

impl MemoryStore {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A commit swaps whole tables in at its end, so a lock that was poisoned guards a whole state.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    rows: Rows,
    events: Vec<Event>,
}

/// Every table in insertion order.
#[derive(Clone, Debug, Default)]
struct Rows {
    projects: Vec<Project>,
    characters: Vec<Character>,
    jobs: Vec<Job>,
    tasks: Vec<Task>,
    forgotten: Vec<Forgotten>,
    policies: Vec<Policy>,
    bookmarks: BTreeMap<String, EventSeq>,
    users: Vec<User>,
    tokens: Vec<Token>,
    audit: Vec<AuditRow>,
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<Vec<Event>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut rows = state.rows.clone();
        let mut rewritten = vec![];
        for change in batch.changes {
            if let Change::Forget(forgetting) = &change {
                rewritten.extend(forgotten::events(forgetting, &state.events)?);
            }
            rows.apply(change)?;
        }
        for event in &batch.events {
            rows.check_event(event)?;
        }
        state.rows = rows;
        for (at, event) in rewritten {
            state.events[at] = event;
        }
        let mut last = state.events.len() as u64;
        let mut events = batch.events;
        for event in &mut events {
            last += 1;
            event.seq = EventSeq(last);
        }
        state.events.extend_from_slice(&events);
        Ok(events)
    }

    async fn integrity_check(&self) -> Result<()> {
        let state = self.read();
        let numbers = state.events.iter().map(|e| e.seq.0);
        if numbers.eq(1..=state.events.len() as u64) {
            Ok(())
        } else {
            Err(StoreError::Corrupt("the event log has gaps".into()))
        }
    }

    async fn copy_to(&self, file: &Path) -> Result<()> {
        let (cause, remedy) = ("the ledger is in memory alone", "keep it in SQLite or PostgreSQL");
        let file = file.display().to_string();
        Err(StoreError::Unusable(Problem::new(ProblemKind::Conflict, "copy ledger", file, cause, remedy)))
    }

    async fn scrub(&self) -> Result<()> {
        Ok(())
    }
}

impl Rows {
    fn apply(&mut self, change: Change) -> Result<()> {
        match change {
            Change::InsertProject(new) => {
                let named = self.projects.iter().any(|p| p.name == new.name);
                rules::insert_project(&new, self.project(new.id).is_some(), named)?;
                self.projects.push(new);
            }
            Change::InsertCharacter(new) => {
                self.project(new.project).ok_or_else(|| rules::missing("project", &new.project))?;
                rules::insert_character(&new, self.character(new.id), self.namesake(new.project, &new.name))?;
                self.characters.push(new);
            }
            Change::UpdateCharacter(new) => {
                let old = self.characters.iter_mut().find(|c| c.id == new.id && c.revision == new.revision);
                rules::update_character(&new, old.as_deref())?;
                replace(old, new);
            }
            Change::InsertJob(new) => {
                self.project(new.project).ok_or_else(|| rules::missing("project", &new.project))?;
                rules::insert_job(&new, self.job(new.id).is_some(), self.answering(new.project, new.request))?;
                self.jobs.push(new);
            }
            Change::UpdateJob(new) => {
                let old = self.jobs.iter_mut().find(|j| j.id == new.id);
                rules::update_job(&new, old.as_deref())?;
                replace(old, new);
            }
            Change::InsertTask(new) => {
                rules::insert_task(&new, self.tasks.iter().any(|t| t.id == new.id), self.job(new.job))?;
                self.tasks.push(new);
            }
            Change::UpdateTask { task, was } => {
                let old = self.tasks.iter_mut().find(|t| t.id == task.id);
                rules::update_task(&task, was, old.as_deref())?;
                replace(old, task);
            }
            Change::InsertUser(new) => self.insert_user(new)?,
            Change::UpdateUser(new) => self.update_user(new)?,
            Change::InsertToken(new) => self.insert_token(new)?,
            Change::UpdateToken(new) => self.update_token(new)?,
            Change::AppendAudit(deed) => self.audit.push(AuditRow::after(self.audit.last(), deed)),
            Change::Forget(forgetting) => self.forget(*forgetting)?,
            Change::UpdateForgotten(new) => {
                let old = self.forgotten.iter_mut().find(|f| f.character == new.character);
                rules::update_forgotten(&new, old.as_deref())?;
                replace(old, new);
            }
            Change::SetPolicy(new) => {
                rules::set_policy(&new, self.policies.last())?;
                self.policies.push(new);
            }
            Change::SetBookmark { name, seq } => drop(self.bookmarks.insert(name, seq)),
        }
        Ok(())
    }

    fn check_event(&self, event: &Event) -> Result<()> {
        self.project(event.project).ok_or_else(|| rules::missing("project", &event.project))?;
        if let Some(job) = event.job {
            self.job(job).ok_or_else(|| rules::missing("job", &job))?;
        }
        Ok(())
    }

    fn project(&self, id: ProjectId) -> Option<&Project> {
        self.projects.iter().find(|p| p.id == id)
    }

    fn character(&self, id: CharacterId) -> Option<&Character> {
        self.characters.iter().filter(|c| c.id == id).max_by_key(|c| c.revision)
    }

    /// The latest revisions of a project's characters.
    fn cast(&self, project: ProjectId) -> impl Iterator<Item = &Character> {
        let latest = |c: &&Character| self.character(c.id).is_some_and(|l| l.revision == c.revision);
        self.characters.iter().filter(move |c| c.project == project).filter(latest)
    }

    fn namesake(&self, project: ProjectId, name: &str) -> Option<&Character> {
        self.cast(project).find(|c| c.name == name)
    }

    fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.iter().find(|j| j.id == id)
    }

    fn answering(&self, project: ProjectId, request: Digest) -> Option<&Job> {
        self.jobs.iter().find(|j| j.project == project && j.request == request && rules::answers(j))
    }
}

fn replace<T>(old: Option<&mut T>, new: T) {
    if let Some(old) = old {
        *old = new;
    }
}

#[async_trait]
impl ProjectStore for MemoryStore {
    async fn project(&self, id: ProjectId) -> Result<Option<Project>> {
        Ok(self.read().rows.project(id).cloned())
    }

    async fn project_by_name(&self, name: &str) -> Result<Option<Project>> {
        Ok(self.read().rows.projects.iter().find(|p| p.name == name).cloned())
    }

    async fn projects(&self) -> Result<Vec<Project>> {
        let mut projects = self.read().rows.projects.clone();
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(projects)
    }
}

#[async_trait]
impl CharacterStore for MemoryStore {
    async fn character(&self, id: CharacterId) -> Result<Option<Character>> {
        Ok(self.read().rows.character(id).cloned())
    }

    async fn character_revision(&self, id: CharacterId, revision: u32) -> Result<Option<Character>> {
        Ok(self.read().rows.characters.iter().find(|c| c.id == id && c.revision == revision).cloned())
    }

    async fn characters(&self, project: ProjectId) -> Result<Vec<Character>> {
        let mut cast: Vec<_> = self.read().rows.cast(project).cloned().collect();
        cast.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(cast)
    }

    async fn character_by_name(&self, project: ProjectId, name: &str) -> Result<Option<Character>> {
        Ok(self.read().rows.namesake(project, name).cloned())
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.read().rows.job(id).cloned())
    }

    async fn jobs(&self, project: Option<ProjectId>, limit: usize) -> Result<Vec<Job>> {
        let state = self.read();
        let wanted = state.rows.jobs.iter().rev().filter(|j| project.is_none_or(|p| j.project == p));
        Ok(wanted.take(limit).cloned().collect())
    }

    async fn job_by_request(&self, project: ProjectId, request: Digest) -> Result<Option<Job>> {
        Ok(self.read().rows.answering(project, request).cloned())
    }
}

#[async_trait]
impl TaskStore for MemoryStore {
    async fn task(&self, id: TaskId) -> Result<Option<Task>> {
        Ok(self.read().rows.tasks.iter().find(|t| t.id == id).cloned())
    }

    async fn tasks(&self, job: JobId) -> Result<Vec<Task>> {
        Ok(self.read().rows.tasks.iter().filter(|t| t.job == job).cloned().collect())
    }

    async fn open_tasks(&self) -> Result<Vec<Task>> {
        let rows = &self.read().rows;
        let active = |t: &Task| rows.job(t.job).is_some_and(|j| !j.state.is_final());
        Ok(rows.tasks.iter().filter(|t| !t.state.is_final() && active(t)).cloned().collect())
    }

    async fn leased_tasks(&self) -> Result<Vec<Task>> {
        let leased = |t: &&Task| matches!(t.state, TaskState::Leased(_));
        Ok(self.read().rows.tasks.iter().filter(leased).cloned().collect())
    }

    async fn output_by_spec(&self, spec: Digest) -> Result<Option<TaskOutput>> {
        let state = self.read();
        let equal = |t: &&Task| t.spec.as_ref().is_some_and(|s| s.digest() == spec);
        Ok(state.rows.tasks.iter().filter(|t| t.output().is_some()).find(equal).and_then(|t| t.output().cloned()))
    }
}

#[async_trait]
impl BookmarkStore for MemoryStore {
    async fn bookmark(&self, name: &str) -> Result<Option<EventSeq>> {
        Ok(self.read().rows.bookmarks.get(name).copied())
    }
}

#[async_trait]
impl PolicyStore for MemoryStore {
    async fn policy(&self) -> Result<Option<Policy>> {
        Ok(self.read().rows.policies.last().cloned())
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn events(&self, after: EventSeq, scope: EventScope, limit: usize) -> Result<Vec<Event>> {
        let state = self.read();
        let in_scope = |e: &&Event| match scope {
            EventScope::All => true,
            EventScope::Project(project) => e.project == project,
            EventScope::Job(job) => e.job == Some(job),
        };
        Ok(state.events.iter().filter(|e| e.seq > after).filter(in_scope).take(limit).cloned().collect())
    }

    async fn last_seq(&self) -> Result<EventSeq> {
        Ok(EventSeq(self.read().events.len() as u64))
    }
}
