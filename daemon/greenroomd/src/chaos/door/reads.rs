//! Every question to the ledger goes through the door as it is.

use async_trait::async_trait;
use greenroom_domain::{
    AuditRow, Character, CharacterId, Digest, Event, EventSeq, Forgotten, Job, JobId, Policy, Project, ProjectId, Task,
    TaskId, TaskOutput, Token, TokenId, User, UserId,
};
use greenroom_store::{
    AuditStore, BookmarkStore, CharacterStore, DeedFilter, EventScope, EventStore, ForgottenStore, JobStore, Mention,
    PolicyStore, ProjectStore, Result, TaskStore, TokenStore, UserStore,
};
use std::collections::BTreeSet;

use super::Door;

/// Methods as their trait has them; those behind `by` take their last argument by reference.
macro_rules! reads {
    ($($store:ident {
        $(fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*
        $(by $by_method:ident($($by_arg:ident: $by_type:ty,)* &$last:ident: $last_type:ty) -> $by_answer:ty;)*
    })*) => {$(
        #[async_trait]
        impl $store for Door {
            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer> {
                self.read(move |store| async move { store.$method($($arg),*).await }).await
            })*
            $(async fn $by_method(&self, $($by_arg: $by_type,)* $last: &$last_type) -> Result<$by_answer> {
                let $last = $last.to_owned();
                self.read(move |store| async move { store.$by_method($($by_arg,)* &$last).await }).await
            })*
        }
    )*};
}

reads! {
    ProjectStore {
        fn project(id: ProjectId) -> Option<Project>;
        fn projects() -> Vec<Project>;
        by project_by_name(&name: str) -> Option<Project>;
    }
    CharacterStore {
        fn character(id: CharacterId) -> Option<Character>;
        fn character_revision(id: CharacterId, revision: u32) -> Option<Character>;
        fn characters(project: ProjectId) -> Vec<Character>;
        by character_by_name(project: ProjectId, &name: str) -> Option<Character>;
    }
    JobStore {
        fn job(id: JobId) -> Option<Job>;
        fn jobs(project: Option<ProjectId>, limit: usize) -> Vec<Job>;
        fn job_by_request(project: ProjectId, request: Digest) -> Option<Job>;
    }
    TaskStore {
        fn task(id: TaskId) -> Option<Task>;
        fn tasks(job: JobId) -> Vec<Task>;
        fn open_tasks() -> Vec<Task>;
        fn leased_tasks() -> Vec<Task>;
        fn output_by_spec(spec: Digest) -> Option<TaskOutput>;
    }
    EventStore {
        fn events(after: EventSeq, scope: EventScope, limit: usize) -> Vec<Event>;
        fn last_seq() -> EventSeq;
    }
    ForgottenStore {
        fn forgotten(project: ProjectId) -> Vec<Forgotten>;
        fn unfinished() -> Vec<Forgotten>;
        by mentions(&digests: BTreeSet<Digest>) -> Vec<Mention>;
    }
    PolicyStore {
        fn policy() -> Option<Policy>;
    }
    BookmarkStore {
        by bookmark(&name: str) -> Option<EventSeq>;
    }
    UserStore {
        fn user(id: UserId) -> Option<User>;
        fn users() -> Vec<User>;
        by user_by_name(&name: str) -> Option<User>;
    }
    TokenStore {
        fn token(id: TokenId) -> Option<Token>;
        fn token_by_hash(hash: Digest) -> Option<Token>;
        fn tokens() -> Vec<Token>;
    }
}

#[async_trait]
impl AuditStore for Door {
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRow>)>> {
        self.read(move |store| async move { store.audit(after, limit).await }).await
    }

    async fn deeds(&self, filter: &DeedFilter, limit: usize) -> Result<Vec<AuditRow>> {
        let filter = filter.clone();
        self.read(move |store| async move { store.deeds(&filter, limit).await }).await
    }
}
