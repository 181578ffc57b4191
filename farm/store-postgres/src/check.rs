//! Comparing the ledger with itself: the references, the log's numbers, and keys with bodies.

use futures::TryStreamExt;
use greenroom_domain::{Character, Event, Forgotten, Job, Project, Task};
use greenroom_store::StoreError;
use serde::de::DeserializeOwned;
use sqlx::{Connection, PgConnection, Row};

use crate::{error::Query, row, task};

/// Foreign keys of the schema.
const REFERENCES: i64 = 6;

/// Everything that does not fit, in one error. Reads one snapshot, row by row.
pub(crate) async fn all(connection: &mut PgConnection) -> Query<()> {
    let mut snapshot = connection.begin_with("begin isolation level repeatable read, read only").await?;
    let mut findings = references(&mut snapshot).await?;
    findings.extend(numbers(&mut snapshot).await?);
    findings.extend(keys(&mut snapshot).await?);
    snapshot.rollback().await?;
    if findings.is_empty() { Ok(()) } else { Err(StoreError::Corrupt(findings.join("; ")).into()) }
}

/// PostgreSQL holds references as long as the constraints are there and were checked.
async fn references(connection: &mut PgConnection) -> Query<Vec<String>> {
    let query = "select conrelid::regclass::text || ' no longer holds ' || conname from pg_constraint \
                 where connamespace = current_schema()::regnamespace and contype = 'f' and not convalidated";
    let mut findings: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *connection).await?;
    let query =
        "select count(*) from pg_constraint where connamespace = current_schema()::regnamespace and contype = 'f'";
    let held: i64 = sqlx::query_scalar(query).fetch_one(connection).await?;
    if held < REFERENCES {
        findings
            .push(format!("{} of its {REFERENCES} references between tables are not held any more", REFERENCES - held));
    }
    Ok(findings)
}

async fn numbers(connection: &mut PgConnection) -> Query<Vec<String>> {
    let row = sqlx::query("select count(*), coalesce(max(seq), 0) from event").fetch_one(connection).await?;
    let (count, last): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(if count == last { vec![] } else { vec![format!("the log has {count} events, but the last has number {last}")] })
}

async fn keys(connection: &mut PgConnection) -> Query<Vec<String>> {
    let project = "select body, id || ' ' || name || ' ' || created from project";
    let character =
        "select body, id || ' ' || revision || ' ' || project || ' ' || name || ' ' || created from character";
    let job = "select body, id || ' ' || project || ' ' || request || ' ' || state || ' ' || created from job";
    let task = "select body, id || ' ' || job || ' ' || kind || ' ' || state || ' ' || epoch || ' ' \
                || coalesce(spec_digest, '-') || ' ' || created from task";
    let event = "select body, seq || ' ' || at || ' ' || project || ' ' || coalesce(job, '-') from event";
    let forgotten = "select body, id || ' ' || project || ' ' || at || ' ' || finished::int from forgotten";
    let mut findings =
        compare(connection, project, |p: &Project| format!("{} {} {}", p.id, p.name, p.created.as_millis())).await?;
    let compared = compare(connection, character, |c: &Character| {
        format!("{} {} {} {} {}", c.id, c.revision, c.project, c.name, c.created.as_millis())
    });
    findings.extend(compared.await?);
    let compared = compare(connection, forgotten, |f: &Forgotten| {
        format!("{} {} {} {}", f.character, f.project, f.at.as_millis(), u8::from(f.finished.is_some()))
    });
    findings.extend(compared.await?);
    let compared = compare(connection, job, |j: &Job| {
        format!("{} {} {} {} {}", j.id, j.project, j.request, j.state.name(), j.created.as_millis())
    });
    findings.extend(compared.await?);
    let compared = compare(connection, task, |t: &Task| {
        let spec = task::spec_digest(t).unwrap_or_else(|| "-".into());
        let (state, created) = (t.state.name(), t.created.as_millis());
        format!("{} {} {} {state} {} {spec} {created}", t.id, t.job, t.kind, t.epoch.0)
    });
    findings.extend(compared.await?);
    let compared = compare(connection, event, |e: &Event| {
        let job = e.job.map_or_else(|| "-".into(), |j| j.to_string());
        format!("{} {} {} {job}", e.seq.0, e.at.as_millis(), e.project)
    });
    findings.extend(compared.await?);
    Ok(findings)
}

/// Rows whose key columns, joined by spaces, are not those of their body.
async fn compare<T: DeserializeOwned>(
    connection: &mut PgConnection,
    query: &'static str,
    keys: impl Fn(&T) -> String,
) -> Query<Vec<String>> {
    let mut findings = vec![];
    let mut rows = sqlx::query_as::<_, (String, String)>(query).fetch(connection);
    while let Some((body, columns)) = rows.try_next().await? {
        match row::value::<T>(&body) {
            Ok(value) if keys(&value) == columns => {}
            Ok(value) => findings.push(format!("the row `{columns}` holds the body of `{}`", keys(&value))),
            Err(_) => findings.push(format!("the row `{columns}` has a body that cannot be read")),
        }
    }
    Ok(findings)
}
