//! Forgetting as rows: a character's go, those that named it are written anew, and one stays in their place.

use async_trait::async_trait;
use futures::TryStreamExt;
use greenroom_domain::{Character, Digest, Event, EventSeq, Forgotten, Job, ProjectId, Task};
use greenroom_store::{Forgetting, ForgottenStore, Mention, Result, Row, StoreError, Unique, rules};
use sqlx::{PgConnection, PgExecutor};
use std::{collections::BTreeSet, str::FromStr};

use crate::{
    PostgresStore, character,
    error::{Failing, Query},
    job, row, task,
};

const STEP: &str = "read forgotten characters";

pub(crate) async fn forget(connection: &mut PgConnection, forgetting: &Forgetting) -> Query<()> {
    let Forgetting { stone, characters, jobs, tasks, events } = forgetting;
    if by_id(&mut *connection, stone).await?.is_some() {
        return Err(StoreError::Exists(Unique::Id(stone.character.to_string())).into());
    }
    rules::forget(stone, character::latest(&mut *connection, stone.character).await?.as_ref())?;
    let delete = sqlx::query("delete from character where id = $1").bind(stone.character.to_string());
    delete.execute(&mut *connection).await?;
    insert(connection, stone).await?;
    for new in characters {
        rewrite_character(connection, new).await?;
    }
    for new in jobs {
        rewrite_job(connection, new).await?;
    }
    for new in tasks {
        rewrite_task(connection, new).await?;
    }
    for new in events {
        rewrite_event(connection, new).await?;
    }
    Ok(())
}

pub(crate) async fn update(connection: &mut PgConnection, new: &Forgotten) -> Query<()> {
    rules::update_forgotten(new, by_id(&mut *connection, new).await?.as_ref())?;
    sqlx::query("update forgotten set finished = $1, body = $2 where id = $3")
        .bind(new.finished.is_some())
        .bind(row::body(new)?)
        .bind(new.character.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert(connection: &mut PgConnection, stone: &Forgotten) -> Query<()> {
    sqlx::query("insert into forgotten (id, project, at, finished, body) values ($1, $2, $3, $4, $5)")
        .bind(stone.character.to_string())
        .bind(stone.project.to_string())
        .bind(stone.at.as_millis())
        .bind(stone.finished.is_some())
        .bind(row::body(stone)?)
        .execute(connection)
        .await?;
    Ok(())
}

async fn rewrite_character(connection: &mut PgConnection, new: &Character) -> Query<()> {
    let old = character::revision(&mut *connection, new.id, new.revision).await?;
    rules::rewrite_character(new, old.as_ref())?;
    let update = sqlx::query("update character set body = $1 where id = $2 and revision = $3");
    update.bind(row::body(new)?).bind(new.id.to_string()).bind(i64::from(new.revision)).execute(connection).await?;
    Ok(())
}

async fn rewrite_job(connection: &mut PgConnection, new: &Job) -> Query<()> {
    let old = job::by_id(&mut *connection, new.id).await?;
    let same_request = job::by_request(&mut *connection, new.project, new.request).await?;
    rules::rewrite_job(new, old.as_ref(), same_request.as_ref())?;
    let update = sqlx::query("update job set request = $1, body = $2 where id = $3");
    update.bind(new.request.to_string()).bind(row::body(new)?).bind(new.id.to_string()).execute(connection).await?;
    Ok(())
}

async fn rewrite_task(connection: &mut PgConnection, new: &Task) -> Query<()> {
    rules::rewrite_task(new, task::by_id(&mut *connection, new.id).await?.as_ref())?;
    let update = sqlx::query("update task set spec_digest = $1, body = $2 where id = $3");
    update.bind(task::spec_digest(new)).bind(row::body(new)?).bind(new.id.to_string()).execute(connection).await?;
    Ok(())
}

async fn rewrite_event(connection: &mut PgConnection, new: &Event) -> Query<()> {
    let seq = row::integer(new.seq.0);
    let old = sqlx::query_scalar("select body from event where seq = $1").bind(seq).fetch_optional(&mut *connection);
    rules::rewrite_event(new, row::optional(old.await?)?.as_ref())?;
    sqlx::query("update event set body = $1 where seq = $2")
        .bind(row::body(new)?)
        .bind(seq)
        .execute(connection)
        .await?;
    Ok(())
}

async fn by_id(executor: impl PgExecutor<'_>, stone: &Forgotten) -> Query<Option<Forgotten>> {
    let query = sqlx::query_scalar("select body from forgotten where id = $1").bind(stone.character.to_string());
    row::optional(query.fetch_optional(executor).await?)
}

async fn of_project(executor: impl PgExecutor<'_>, project: ProjectId) -> Query<Vec<Forgotten>> {
    let query = sqlx::query_scalar("select body from forgotten where project = $1 order by position");
    row::many(query.bind(project.to_string()).fetch_all(executor).await?)
}

async fn unfinished(executor: impl PgExecutor<'_>) -> Query<Vec<Forgotten>> {
    let query = sqlx::query_scalar("select body from forgotten where not finished order by position");
    row::many(query.fetch_all(executor).await?)
}

/// Rows of one table that name one of the digests; the query answers (key, number, body).
async fn mentions(
    executor: impl PgExecutor<'_>,
    query: &'static str,
    digests: &BTreeSet<Digest>,
    row: impl Fn(&str, i64) -> Option<Row>,
) -> Query<BTreeSet<Mention>> {
    let mut found = BTreeSet::new();
    let mut rows = sqlx::query_as::<_, (String, i64, String)>(query).fetch(executor);
    while let Some((key, number, body)) = rows.try_next().await? {
        let named: BTreeSet<_> = Digest::named_in(&body).map(|(_, d)| d).filter(|d| digests.contains(d)).collect();
        if !named.is_empty() {
            let unread = || StoreError::Corrupt(format!("the row `{key}` has a key that cannot be read"));
            let row = row(&key, number).ok_or_else(unread)?;
            found.extend(named.into_iter().map(|digest| Mention { digest, row }));
        }
    }
    Ok(found)
}

#[async_trait]
impl ForgottenStore for PostgresStore {
    async fn forgotten(&self, project: ProjectId) -> Result<Vec<Forgotten>> {
        of_project(&self.readers, project).await.failing(STEP, &self.place)
    }

    async fn unfinished(&self) -> Result<Vec<Forgotten>> {
        unfinished(&self.readers).await.failing(STEP, &self.place)
    }

    async fn mentions(&self, digests: &BTreeSet<Digest>) -> Result<Vec<Mention>> {
        const STEP: &str = "search ledger";
        fn id<T: FromStr>(key: &str) -> Option<T> {
            key.parse().ok()
        }
        let number = |n: i64| u32::try_from(n).ok();
        let mut found = BTreeSet::new();
        let all = &self.readers;
        let rows =
            mentions(all, "select id, 0::bigint, body from project", digests, |key, _| Some(Row::Project(id(key)?)));
        found.extend(rows.await.failing(STEP, &self.place)?);
        let query = "select id, revision, body from character";
        let rows = mentions(all, query, digests, |key, n| Some(Row::Character(id(key)?, number(n)?)));
        found.extend(rows.await.failing(STEP, &self.place)?);
        let rows = mentions(all, "select id, 0::bigint, body from job", digests, |key, _| Some(Row::Job(id(key)?)));
        found.extend(rows.await.failing(STEP, &self.place)?);
        let rows = mentions(all, "select id, 0::bigint, body from task", digests, |key, _| Some(Row::Task(id(key)?)));
        found.extend(rows.await.failing(STEP, &self.place)?);
        let rows = mentions(all, "select '', seq, body from event", digests, |_, n| {
            Some(Row::Event(EventSeq(n.unsigned_abs())))
        });
        found.extend(rows.await.failing(STEP, &self.place)?);
        Ok(found.into_iter().collect())
    }
}
