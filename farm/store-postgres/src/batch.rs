//! A batch as few statements: changes of one kind that stand together go to the server together.

use greenroom_store::{Change, Together, together};
use sqlx::PgConnection;

use crate::{audit, bookmark, character, error::Query, forgotten, job, policy, project, task, token, user};

/// Applies the changes in their order.
pub(crate) async fn apply(connection: &mut PgConnection, changes: &[Change]) -> Query<()> {
    for part in together(changes) {
        match part {
            Together::Insert(new) => task::insert(connection, &new).await?,
            Together::Update(new) => task::update(connection, &new).await?,
            Together::One(change) => one(connection, change).await?,
        }
    }
    Ok(())
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
        Change::SetBookmark { name, seq } => bookmark::set(connection, name, *seq).await,
    }
}
