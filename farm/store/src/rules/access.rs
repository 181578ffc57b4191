//! The same for users and tokens.

use greenroom_domain::{Token, User, UserId};

use super::{fixed, missing};
use crate::{Result, StoreError, Unique};

/// A new user: `same_id` and `same_name` are whether somebody has its id, or is there under its name.
///
/// # Errors
/// If either is there.
pub fn insert_user(new: &User, same_id: bool, same_name: bool) -> Result<()> {
    match (same_id, same_name) {
        (true, _) => Err(StoreError::Exists(Unique::Id(new.id.to_string()))),
        (_, true) => Err(StoreError::Exists(Unique::User { name: new.name.clone() })),
        _ => Ok(()),
    }
}

/// What a user who is there as `old` may do.
///
/// # Errors
/// If it is not there, was removed, or more differs.
pub fn update_user(new: &User, old: Option<&User>) -> Result<()> {
    let old = old.ok_or_else(|| missing("user", &new.id))?;
    if old.removed.is_some() {
        return Err(StoreError::Final { noun: "user", id: new.id.to_string() });
    }
    let same = [("name", old.name == new.name), ("creation time", old.created == new.created)];
    fixed("user", &new.id.to_string(), &same)
}

/// The user `id`, there as `user`, is to hold a new token.
///
/// # Errors
/// If it is not there, or was removed.
pub fn token_holder(id: UserId, user: Option<&User>) -> Result<()> {
    user.filter(|user| user.removed.is_none()).map(|_| ()).ok_or_else(|| missing("user", &id))
}

/// A new token: `same_id` is whether its id is there, `same_hash` the token that has its secret.
///
/// # Errors
/// If either is there.
pub fn insert_token(new: &Token, same_id: bool, same_hash: Option<&Token>) -> Result<()> {
    match same_hash {
        _ if same_id => Err(StoreError::Exists(Unique::Id(new.id.to_string()))),
        Some(other) => Err(StoreError::Exists(Unique::Id(other.id.to_string()))),
        None => Ok(()),
    }
}

/// A token that is there as `old`; `same_hash` is the token that has its new secret.
///
/// # Errors
/// If it is not there, was revoked or used up, another token has its secret, or what is fixed differs.
pub fn update_token(new: &Token, old: Option<&Token>, same_hash: Option<&Token>) -> Result<()> {
    let old = old.ok_or_else(|| missing("token", &new.id))?;
    if old.revoked.is_some() || old.used.is_some() {
        return Err(StoreError::Final { noun: "token", id: new.id.to_string() });
    }
    if let Some(other) = same_hash.filter(|other| other.id != new.id) {
        return Err(StoreError::Exists(Unique::Id(other.id.to_string())));
    }
    let same = [
        ("name", old.name == new.name),
        ("holder", old.holder == new.holder),
        ("creation time", old.created == new.created),
    ];
    fixed("token", &new.id.to_string(), &same)
}
