//! Who may what. Every call passes [`guard()`]: it shows a token, the table in [`rules`] says what the method needs, and what
//! changes something is written to the audit log.
//!
//! The project's role is asked for where the project is found ([`admit`]), so a handler that reads a resource name cannot forget
//! it: who is no member is told that there is no such thing.

mod call;
mod caller;
mod guard;
mod join;
mod rules;
mod tokens;

use greenroom_domain::{Digest, Problem, Token, TokenId};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

use crate::clock;

pub(crate) use call::{about, about_part, admit, caller, carry, is_member, sign, signed, user};
pub(crate) use caller::Caller;
pub(crate) use guard::guard;
pub(crate) use join::{Credential, enrol, renew, sent_away};

/// What the daemon itself knows of tokens; all others are in the ledger.
pub(crate) struct Access {
    files: tokens::Tokens,
    /// Secrets of the daemon's own workers, each as long as its process.
    children: Mutex<BTreeSet<Digest>>,
    /// Streams of workers that joined, by their credential: cancelled when it is revoked.
    streams: Mutex<BTreeMap<TokenId, CancellationToken>>,
    /// How long the credential of a worker that joined holds.
    pub lifetime: Duration,
}

impl Access {
    /// Reads the tokens of the state folder, making those that are not there.
    pub(crate) fn open(state: &Path, lifetime: Duration) -> Result<Self, Problem> {
        let files = tokens::Tokens::open(state)?;
        Ok(Self { files, children: Mutex::default(), streams: Mutex::default(), lifetime })
    }

    /// A secret for a worker that the daemon is about to start. It holds until the answer is dropped.
    pub(crate) fn child(&self) -> Child<'_> {
        let secret = clock::new_secret();
        lock(&self.children).insert(Token::hash_of(&secret));
        Child { access: self, secret }
    }

    fn is_child(&self, hash: Digest) -> bool {
        lock(&self.children).contains(&hash)
    }

    /// A worker attaches with this credential. One that was attached with it is sent away: a credential is one worker's.
    pub(crate) fn attached(&self, credential: TokenId) -> CancellationToken {
        let stream = CancellationToken::new();
        if let Some(earlier) = lock(&self.streams).insert(credential, stream.clone()) {
            earlier.cancel();
        }
        stream
    }

    /// The credential holds no more: the worker that is attached with it is sent away.
    pub(crate) fn revoked(&self, credential: TokenId) {
        if let Some(stream) = lock(&self.streams).remove(&credential) {
            stream.cancel();
        }
    }
}

/// The secret of a worker that the daemon started.
pub(crate) struct Child<'a> {
    access: &'a Access,
    /// What the worker shows.
    pub secret: String,
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        lock(&self.access.children).remove(&Token::hash_of(&self.secret));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
