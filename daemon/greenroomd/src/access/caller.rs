//! Who calls: a bearer token becomes a caller, or a sentence that says why not.

use greenroom_domain::{Digest, Holder, Lapsed, Problem, ProblemKind, ProjectId, Role, Token, User};
use greenroom_store::StoreError;
use http::HeaderMap;

use crate::{clock, farm::Farm};

const STEP: &str = "use token";

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Whoever owns the state folder.
    Owner,
    /// A user.
    User {
        /// Which.
        user: User,
        /// By which token.
        token: Token,
    },
    /// A worker that wants to join.
    Joining(Token),
    /// A worker that has joined, on that node.
    Joined(Token, String),
    /// A worker of this machine; one that the daemon started by its secret's digest.
    OwnWorker(Option<Digest>),
}

impl Caller {
    /// Who shows this token.
    pub(crate) async fn find(farm: &Farm, headers: &HeaderMap) -> Result<Self, Problem> {
        let given = headers.get("authorization").and_then(|v| v.to_str().ok());
        let given = given.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
        let hash = Token::hash_of(given);
        if farm.access.files.is_admin(given) {
            return Ok(Self::Owner);
        }
        let child = farm.access.is_child(hash);
        if child || farm.access.files.is_worker(given) {
            return Ok(Self::OwnWorker(child.then_some(hash)));
        }
        let read = |e: StoreError| e.problem();
        let Some(token) = farm.store.token_by_hash(hash).await.map_err(read)? else {
            let cause = if given.is_empty() { "no token was given" } else { "the token is not the daemon's" };
            let remedy = "pass --token-file with a token of this farm, or the admin.token of the daemon's state folder";
            return Err(Problem::new(ProblemKind::Denied, "call daemon", "token", cause, remedy));
        };
        token.holds(hash, clock::now()).map_err(|lapsed| lapse(&token, lapsed))?;
        match token.holder.clone() {
            Holder::User { user } => match farm.store.user(user).await.map_err(read)? {
                Some(user) if user.removed.is_none() => Ok(Self::User { user, token }),
                _ => Err(lapse(&token, Lapsed::Revoked(clock::now()))),
            },
            Holder::Join => Ok(Self::Joining(token)),
            Holder::Worker { node, .. } => Ok(Self::Joined(token, node)),
        }
    }

    /// As the audit log and people call it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Owner => "admin.token",
            Self::User { user, .. } => &user.name,
            Self::Joining(token) => &token.name,
            Self::Joined(_, node) => node,
            Self::OwnWorker(_) => "worker.token",
        }
    }

    /// Which token was shown; none for the daemon's own.
    pub(crate) const fn token(&self) -> Option<&Token> {
        match self {
            Self::User { token, .. } | Self::Joining(token) | Self::Joined(token, _) => Some(token),
            Self::Owner | Self::OwnWorker(_) => None,
        }
    }

    /// What it may do in a project; none where it is no member.
    pub(crate) fn role_in(&self, project: ProjectId) -> Option<Role> {
        match self {
            Self::Owner => Some(Role::Admin),
            Self::User { user, .. } => user.role_in(project),
            Self::Joining(_) | Self::Joined(..) | Self::OwnWorker(_) => None,
        }
    }

    /// The most that it may do anywhere.
    pub(crate) fn highest(&self) -> Option<Role> {
        match self {
            Self::Owner => Some(Role::Admin),
            Self::User { user, .. } => user.highest(),
            Self::Joining(_) | Self::Joined(..) | Self::OwnWorker(_) => None,
        }
    }

    /// An administrator of the farm.
    pub(crate) fn is_admin(&self) -> bool {
        self.highest() == Some(Role::Admin) && !matches!(self, Self::User { user, .. } if !user.admin)
    }
}

/// A token that held once, told to whoever shows it.
pub(super) fn lapse(token: &Token, lapsed: Lapsed) -> Problem {
    let kind = match &token.holder {
        Holder::User { .. } => "the token",
        Holder::Join => "the join token",
        Holder::Worker { .. } => "the credential",
    };
    let remedy = match &token.holder {
        Holder::User { .. } => "make a new one with `greenroom token create`, or ask an administrator for one",
        Holder::Join | Holder::Worker { .. } => {
            "make a join token with `greenroom token create --worker`, and join again"
        }
    };
    let (what, at) = match lapsed {
        Lapsed::Expired(at) => ("expired", at),
        Lapsed::Revoked(at) => ("was revoked", at),
        Lapsed::Used(at) => ("was used", at),
    };
    let cause = format!("{kind} {what} on {}", clock::minute(at));
    Problem::new(ProblemKind::Denied, STEP, &token.name, cause, remedy)
}
