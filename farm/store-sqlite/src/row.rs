//! Values as rows: keys in columns, everything in the body.

use greenroom_store::StoreError;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;

use crate::error::Query;

/// Rows that one statement writes: SQLite takes 32,766 parameters.
pub(crate) const ROWS: usize = 500;

/// The body column of a value.
pub(crate) fn body<T: Serialize>(value: &T) -> Query<String> {
    serde_json::to_string(value).map_err(|e| StoreError::io("write ledger", e).into())
}

/// The value of a body column.
pub(crate) fn value<T: DeserializeOwned>(body: impl AsRef<str>) -> Query<T> {
    serde_json::from_str(body.as_ref()).map_err(|e| StoreError::Corrupt(format!("a row cannot be read: {e}")).into())
}

/// The value of a row that may be absent.
pub(crate) fn optional<T: DeserializeOwned>(body: Option<String>) -> Query<Option<T>> {
    body.map(value).transpose()
}

/// The values of many rows.
pub(crate) fn many<T: DeserializeOwned>(bodies: Vec<String>) -> Query<Vec<T>> {
    bodies.into_iter().map(value).collect()
}

/// Ids as `json_each` takes them, each once.
pub(crate) fn list<T: ToString>(ids: impl Iterator<Item = T>) -> Query<String> {
    body(&ids.map(|id| id.to_string()).collect::<BTreeSet<_>>())
}

/// A number as SQLite keeps it; larger ones do not occur and become the largest.
pub(crate) fn integer(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}
