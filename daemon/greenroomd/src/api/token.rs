//! Tokens.

use greenroom_domain::{Holder, Lapsed, Problem, ProblemKind, Timestamp, Token, TokenId, User};
use greenroom_proto::v1::{self, token_service_server::TokenService};
use greenroom_store::{Batch, Change};
use std::time::Duration;
use tonic::{Request, Response, Status};

use super::{
    Api, convert,
    status::{denied, invalid, not_found, status, store},
};
use crate::{
    access::{self, Caller},
    clock,
};

/// A token that holds longer is one that was forgotten.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// A join token is for now.
const LONGEST_JOIN: Duration = Duration::from_secs(30 * 24 * 3600);

impl Api {
    /// Whose the token is to be.
    async fn holder(&self, asked: &str, caller: &Caller) -> Result<User, Status> {
        if !asked.is_empty() && (caller.is_admin() || asked.strip_prefix("users/") == Some(caller.name())) {
            return self.user(asked).await;
        }
        match caller {
            Caller::User { user, .. } if asked.is_empty() => Ok(user.clone()),
            Caller::User { user, .. } => {
                let cause = format!("{} is no administrator of the farm", user.name);
                let remedy = "make one for yourself, or ask an administrator";
                Err(denied(&Problem::new(ProblemKind::Denied, "create token", asked, cause, remedy)))
            }
            _ => {
                let cause = "the daemon's own token belongs to no user";
                Err(invalid("create token", "user", cause, "name one with --user NAME"))
            }
        }
    }

    async fn show_token(&self, token: &Token) -> Result<v1::Token, Status> {
        let (kind, holder) = match &token.holder {
            Holder::User { user } => {
                let user = self.0.store.user(*user).await.map_err(store)?;
                ("user", user.map(|user| format!("users/{}", user.name)).unwrap_or_default())
            }
            Holder::Join => ("join", String::new()),
            Holder::Worker { node, .. } => ("worker", node.clone()),
        };
        let state = match token.holds(token.hash, clock::now()) {
            Ok(()) => "valid",
            Err(Lapsed::Expired(_)) => "expired",
            Err(Lapsed::Revoked(_)) => "revoked",
            Err(Lapsed::Used(_)) => "used",
        };
        Ok(v1::Token {
            name: format!("tokens/{}", token.id),
            title: token.name.clone(),
            kind: kind.into(),
            holder,
            create_time: convert::time(token.created),
            expire_time: token.expires.and_then(convert::time),
            state: state.into(),
        })
    }
}

#[tonic::async_trait]
impl TokenService for Api {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let v1::CreateTokenRequest { title, user, join, lifetime } = request.into_inner();
        let caller = caller()?;
        if join && !caller.is_admin() {
            let remedy = "ask an administrator of the farm to do it";
            let problem =
                Problem::new(ProblemKind::Denied, "create token", "join token", "it needs the role admin", remedy);
            return Err(denied(&problem));
        }
        let holder = if join { Holder::Join } else { Holder::User { user: self.holder(&user, &caller).await?.id } };
        let (id, created, secret) = (clock::new_token(), clock::now(), clock::new_secret());
        let expires = expires(created, lifetime, join)?;
        let name = title_or(title, join)?;
        let hash = Token::hash_of(&secret);
        let token = Token { id, name, holder, hash, earlier: None, created, expires, revoked: None, used: None };
        access::about(format!("tokens/{id}"));
        self.0.commit(Batch::new().change(Change::InsertToken(token.clone()))).await.map_err(store)?;
        Ok(Response::new(v1::CreateTokenResponse { token: Some(self.show_token(&token).await?), secret }))
    }

    async fn list_tokens(&self, _: Request<v1::ListTokensRequest>) -> Result<Response<v1::ListTokensResponse>, Status> {
        let caller = caller()?;
        let mut tokens = Vec::new();
        for token in self.0.store.tokens().await.map_err(store)? {
            if sees(&caller, &token) {
                tokens.push(self.show_token(&token).await?);
            }
        }
        Ok(Response::new(v1::ListTokensResponse { tokens }))
    }

    async fn revoke_token(&self, request: Request<v1::RevokeTokenRequest>) -> Result<Response<v1::Token>, Status> {
        let name = request.into_inner().name;
        let text = convert::segment(&name, "tokens")?;
        let remedy = "copy the id from `greenroom token list`";
        let id: TokenId = text.parse().map_err(|e| invalid("revoke token", text, e, remedy))?;
        let _turn = self.0.writing.lock().await;
        let token =
            self.0.store.token(id).await.map_err(store)?.filter(|token| caller().is_ok_and(|c| sees(&c, token)));
        let token = token.ok_or_else(|| not_found("token", text))?;
        access::about(format!("tokens/{id}"));
        if token.revoked.is_some() || token.used.is_some() {
            return Ok(Response::new(self.show_token(&token).await?));
        }
        let token = Token { revoked: Some(clock::now()), ..token };
        self.0.commit(Batch::new().change(Change::UpdateToken(token.clone()))).await.map_err(store)?;
        self.0.access.revoked(id);
        Ok(Response::new(self.show_token(&token).await?))
    }
}

fn caller() -> Result<Caller, Status> {
    access::caller().ok_or_else(|| Status::internal("nobody's call"))
}

/// Administrators see all tokens, everybody else their own.
fn sees(caller: &Caller, token: &Token) -> bool {
    let own =
        matches!((caller, &token.holder), (Caller::User { user, .. }, Holder::User { user: of }) if user.id == *of);
    own || caller.is_admin()
}

fn expires(now: Timestamp, lifetime: Option<prost_types::Duration>, join: bool) -> Result<Option<Timestamp>, Status> {
    let Some(lifetime) = lifetime else {
        let remedy = "say for how long, as in --expires 1h";
        return if join {
            Err(invalid("create token", "lifetime", "a join token must expire", remedy))
        } else {
            Ok(None)
        };
    };
    let longest = if join { LONGEST_JOIN } else { LONGEST };
    let span = Duration::try_from(lifetime).ok().filter(|span| !span.is_zero() && *span <= longest);
    let span = span.ok_or_else(|| {
        let cause = format!("it is not between a moment and {} days", longest.as_secs() / 86_400);
        status(&Problem::invalid("create token", "lifetime", cause, "say for how long, as in --expires 30d"))
    })?;
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Ok(Some(Timestamp::from_millis(now.as_millis().saturating_add(millis))))
}

fn title_or(title: String, join: bool) -> Result<String, Status> {
    if title.is_empty() {
        return Ok(if join { "join" } else { "token" }.into());
    }
    if title.chars().count() > 64 || title.chars().any(char::is_control) {
        let cause = "it has more than 64 characters, or some that cannot be printed";
        return Err(invalid("create token", "name", cause, "say in a word what it is for"));
    }
    Ok(title)
}
