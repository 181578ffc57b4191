//! Users, tokens and the audit log as JSON.

use greenroom_proto::v1;
use serde_json::{Value, json};

use super::{text, time};

/// A user.
pub(crate) fn user(user: &v1::User) -> Value {
    json!({
        "name": user.name,
        "uid": user.uid,
        "admin": user.admin,
        "roles": user.roles.iter().collect::<std::collections::BTreeMap<_, _>>(),
        "create_time": user.create_time.as_ref().map(time),
    })
}

/// A token, without its secret.
pub(crate) fn token(token: &v1::Token) -> Value {
    json!({
        "name": token.name,
        "title": token.title,
        "kind": token.kind,
        "holder": text(&token.holder),
        "create_time": token.create_time.as_ref().map(time),
        "expire_time": token.expire_time.as_ref().map(time),
        "state": token.state,
    })
}

/// A row of the audit log.
pub(crate) fn audit_row(row: &v1::AuditRow) -> Value {
    json!({
        "sequence": row.sequence,
        "time": row.time.as_ref().map(time),
        "user": row.user,
        "token": text(&row.token),
        "method": row.method,
        "resource": text(&row.resource),
        "outcome": row.outcome,
        "request_digest": row.request_digest,
        "digest": row.digest,
    })
}
