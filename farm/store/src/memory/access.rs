//! Users, tokens and the audit log in memory.

use async_trait::async_trait;
use greenroom_domain::{AuditRow, Digest, Holder, Token, TokenId, User, UserId};

use super::{MemoryStore, Rows, replace};
use crate::{AuditStore, DeedFilter, Result, TokenStore, UserStore, rules};

impl Rows {
    pub(super) fn insert_user(&mut self, new: User) -> Result<()> {
        self.know_projects(&new)?;
        rules::insert_user(&new, self.user(new.id).is_some(), self.present(&new.name).is_some())?;
        self.users.push(new);
        Ok(())
    }

    pub(super) fn update_user(&mut self, new: User) -> Result<()> {
        self.know_projects(&new)?;
        let old = self.users.iter_mut().find(|u| u.id == new.id);
        rules::update_user(&new, old.as_deref())?;
        replace(old, new);
        Ok(())
    }

    pub(super) fn insert_token(&mut self, new: Token) -> Result<()> {
        if let Holder::User { user } = new.holder {
            rules::token_holder(user, self.user(user))?;
        }
        let same = self.tokens.iter().any(|t| t.id == new.id);
        rules::insert_token(&new, same, self.by_hash(new.hash))?;
        self.tokens.push(new);
        Ok(())
    }

    pub(super) fn update_token(&mut self, new: Token) -> Result<()> {
        let taken = self.by_hash(new.hash).cloned();
        let old = self.tokens.iter_mut().find(|t| t.id == new.id);
        rules::update_token(&new, old.as_deref(), taken.as_ref())?;
        replace(old, new);
        Ok(())
    }

    fn know_projects(&self, user: &User) -> Result<()> {
        let unknown = user.members.keys().find(|&&id| self.project(id).is_none());
        unknown.map_or(Ok(()), |id| Err(rules::missing("project", id)))
    }

    fn user(&self, id: UserId) -> Option<&User> {
        self.users.iter().find(|u| u.id == id)
    }

    fn present(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|u| u.name == name && u.removed.is_none())
    }

    fn by_hash(&self, hash: Digest) -> Option<&Token> {
        self.tokens.iter().find(|t| t.hash == hash || t.earlier.is_some_and(|(earlier, _)| earlier == hash))
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn user(&self, id: UserId) -> Result<Option<User>> {
        Ok(self.read().rows.user(id).cloned())
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>> {
        Ok(self.read().rows.present(name).cloned())
    }

    async fn users(&self) -> Result<Vec<User>> {
        let mut users: Vec<_> = self.read().rows.users.iter().filter(|u| u.removed.is_none()).cloned().collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn token(&self, id: TokenId) -> Result<Option<Token>> {
        Ok(self.read().rows.tokens.iter().find(|t| t.id == id).cloned())
    }

    async fn token_by_hash(&self, hash: Digest) -> Result<Option<Token>> {
        Ok(self.read().rows.by_hash(hash).cloned())
    }

    async fn tokens(&self) -> Result<Vec<Token>> {
        Ok(self.read().rows.tokens.clone())
    }
}

#[async_trait]
impl AuditStore for MemoryStore {
    async fn audit(&self, after: u64, limit: usize) -> Result<Vec<(u64, Option<AuditRow>)>> {
        let state = self.read();
        let rows = state.rows.audit.iter().filter(|row| row.seq > after).take(limit);
        Ok(rows.map(|row| (row.seq, Some(row.clone()))).collect())
    }

    async fn deeds(&self, filter: &DeedFilter, limit: usize) -> Result<Vec<AuditRow>> {
        let state = self.read();
        let wanted = |row: &&AuditRow| {
            filter.since.is_none_or(|since| row.deed.at >= since)
                && filter.user.as_ref().is_none_or(|user| row.deed.user == *user)
        };
        Ok(state.rows.audit.iter().rev().filter(wanted).take(limit).cloned().collect())
    }
}
