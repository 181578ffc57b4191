//! Comparing the ledger with itself: the file's pages, the references, the log's numbers, and keys with bodies.

use futures::TryStreamExt;
use greenroom_domain::{AuditRow, Character, Event, Forgotten, Job, Project, Task, Token, User};
use greenroom_store::StoreError;
use serde::de::DeserializeOwned;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};

use crate::{error::Query, row, task};

/// Everything that does not fit, in one error. Reads one snapshot, row by row.
pub(crate) async fn all(connection: &mut SqliteConnection) -> Query<()> {
    let mut snapshot = connection.begin().await?;
    let mut findings = pages(&mut snapshot).await?;
    findings.extend(references(&mut snapshot).await?);
    findings.extend(numbers(&mut snapshot).await?);
    findings.extend(keys(&mut snapshot).await?);
    snapshot.rollback().await?;
    if findings.is_empty() { Ok(()) } else { Err(StoreError::Corrupt(findings.join("; ")).into()) }
}

async fn pages(connection: &mut SqliteConnection) -> Query<Vec<String>> {
    let lines: Vec<String> = sqlx::query_scalar("pragma integrity_check(20)").fetch_all(connection).await?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

async fn references(connection: &mut SqliteConnection) -> Query<Vec<String>> {
    let rows = sqlx::query("pragma foreign_key_check").fetch_all(connection).await?;
    let sentence = |row: SqliteRow| -> Query<String> {
        let (table, parent): (String, String) = (row.try_get(0)?, row.try_get(2)?);
        Ok(format!("a {table} belongs to a {parent} that is not there"))
    };
    rows.into_iter().map(sentence).collect()
}

async fn numbers(connection: &mut SqliteConnection) -> Query<Vec<String>> {
    let row = sqlx::query("select count(*), coalesce(max(seq), 0) from event").fetch_one(connection).await?;
    let (count, last): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(if count == last { vec![] } else { vec![format!("the log has {count} events, but the last has number {last}")] })
}

async fn keys(connection: &mut SqliteConnection) -> Query<Vec<String>> {
    let project = "select body, id || ' ' || name || ' ' || created from project";
    let character =
        "select body, id || ' ' || revision || ' ' || project || ' ' || name || ' ' || created from character";
    let job = "select body, id || ' ' || project || ' ' || request || ' ' || state || ' ' || created from job";
    let task = "select body, id || ' ' || job || ' ' || kind || ' ' || state || ' ' || epoch || ' ' \
                || coalesce(spec_digest, '-') || ' ' || created from task";
    let event = "select body, seq || ' ' || at || ' ' || project || ' ' || coalesce(job, '-') from event";
    let forgotten = "select body, id || ' ' || project || ' ' || at || ' ' || finished from forgotten";
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
    findings.extend(access(connection).await?);
    Ok(findings)
}

/// Users, tokens and the audit log. Whether the log's rows follow each other is for [`greenroom_store::verify_audit`].
async fn access(connection: &mut SqliteConnection) -> Query<Vec<String>> {
    let user = "select body, id || ' ' || name || ' ' || removed || ' ' || created from user";
    let token = "select body, id || ' ' || hash || ' ' || coalesce(earlier, '-') || ' ' || created from token";
    let audit = "select body, seq || ' ' || at || ' ' || who from audit";
    let compared = compare(connection, user, |u: &User| {
        format!("{} {} {} {}", u.id, u.name, u8::from(u.removed.is_some()), u.created.as_millis())
    });
    let mut findings = compared.await?;
    let compared = compare(connection, token, |t: &Token| {
        let earlier = t.earlier.map_or_else(|| "-".into(), |(hash, _)| hash.to_string());
        format!("{} {} {earlier} {}", t.id, t.hash, t.created.as_millis())
    });
    findings.extend(compared.await?);
    let row = |r: &AuditRow| format!("{} {} {}", r.seq, r.deed.at.as_millis(), r.deed.user);
    findings.extend(compare(connection, audit, row).await?);
    Ok(findings)
}

/// Rows whose key columns, joined by spaces, are not those of their body.
async fn compare<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
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
