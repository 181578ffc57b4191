//! A batch as few statements: changes of one kind that stand together go to the server together.

use greenroom_store::{Change, Expected};
use sqlx::PgConnection;
use std::collections::BTreeSet;

use greenroom_domain::{Task, TaskId};

use crate::{audit, character, error::Query, forgotten, job, policy, project, task, token, user};

/// Applies the changes in their order.
pub(crate) async fn apply(connection: &mut PgConnection, changes: &[Change]) -> Query<()> {
    let mut rest = changes;
    while let Some(first) = rest.first() {
        let inserted =
            run(rest, |change| if let Change::InsertTask(new) = change { Some((new, new.id)) } else { None });
        let updated = run(rest, |change| match change {
            Change::UpdateTask { task, was } => Some(((task, *was), task.id)),
            _ => None,
        });
        let done = if !inserted.is_empty() {
            task::insert(connection, &inserted).await?;
            inserted.len()
        } else if !updated.is_empty() {
            let updated: Vec<(&Task, Expected)> = updated;
            task::update(connection, &updated).await?;
            updated.len()
        } else {
            one(connection, first).await?;
            1
        };
        rest = &rest[done..];
    }
    Ok(())
}

/// What the changes in front have in common, up to the first of another kind or of a task that is among them already: that
/// one must see what the earlier one did.
fn run<'a, T>(changes: &'a [Change], same: impl Fn(&'a Change) -> Option<(T, TaskId)>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let new = changes.iter().map_while(same).take_while(|(_, id)| seen.insert(*id));
    new.map(|(value, _)| value).collect()
}

async fn one(connection: &mut PgConnection, change: &Change) -> Query<()> {
    match change {
        Change::InsertProject(new) => project::insert(connection, new).await,
        Change::InsertCharacter(new) => character::insert(connection, new).await,
        Change::UpdateCharacter(new) => character::update(connection, new).await,
        Change::InsertJob(new) => job::insert(connection, new).await,
        Change::UpdateJob(new) => job::update(connection, new).await,
        Change::InsertTask(new) => task::insert(connection, &[new]).await,
        Change::UpdateTask { task, was } => task::update(connection, &[(task, *was)]).await,
        Change::Forget(forgetting) => forgotten::forget(connection, forgetting).await,
        Change::UpdateForgotten(new) => forgotten::update(connection, new).await,
        Change::SetPolicy(new) => policy::set(connection, new).await,
        Change::InsertUser(new) => user::insert(connection, new).await,
        Change::UpdateUser(new) => user::update(connection, new).await,
        Change::InsertToken(new) => token::insert(connection, new).await,
        Change::UpdateToken(new) => token::update(connection, new).await,
        Change::AppendAudit(deed) => audit::append(connection, deed).await,
    }
}
