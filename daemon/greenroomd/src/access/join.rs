//! How a worker on another machine becomes one of the farm's: a join token is used up, and the worker gets a credential of its
//! own that holds for a short time and is renewed while it is attached.

use greenroom_domain::{Holder, Problem, ProblemKind, Timestamp, Token, TokenId};
use greenroom_store::{Batch, Change, StoreError};

use super::Access;
use crate::{clock, farm::Farm, ledger::LedgerError};

const STEP: &str = "enrol worker";

/// What a worker shows from now on, and until when it holds.
pub(crate) struct Credential {
    /// Which.
    pub id: TokenId,
    /// Told the worker, and nobody else.
    pub secret: String,
    /// It holds before this moment.
    pub expires: Timestamp,
}

/// Uses a join token up for a worker on that node.
pub(crate) async fn enrol(farm: &Farm, join: Token, node: &str) -> Result<Credential, LedgerError> {
    let node = node.trim();
    if !(1..=64).contains(&node.chars().count()) || node.chars().any(|c| c.is_control() || c == '/') {
        let cause = "a node's name has 1 to 64 characters, no slash and nothing unprintable";
        return Err(Problem::invalid(STEP, node, cause, "start the worker with --node NAME").into());
    }
    let _turn = farm.writing.lock().await;
    let (now, secret) = (clock::now(), clock::new_secret());
    let credential = Token {
        id: clock::new_token(),
        name: node.to_owned(),
        holder: Holder::Worker { node: node.to_owned(), joined: join.id },
        hash: Token::hash_of(&secret),
        earlier: None,
        created: now,
        expires: Some(farm.access.until(now)),
        revoked: None,
        used: None,
    };
    let (id, expires) = (credential.id, farm.access.until(now));
    super::about(format!("tokens/{id}"));
    let used = Token { used: Some(now), ..join };
    let name = used.name.clone();
    let batch = Batch::new().change(Change::UpdateToken(used)).change(Change::InsertToken(credential));
    match farm.commit(batch).await {
        Ok(()) => Ok(Credential { id, secret, expires }),
        // Two workers showed it at once.
        Err(StoreError::Final { .. }) => {
            let remedy = "make another one with `greenroom token create --worker`";
            Err(Problem::new(ProblemKind::Denied, STEP, name, "the join token was used by another worker", remedy)
                .into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A new secret for a credential whose worker is attached; none if it was revoked. One that expired meanwhile is renewed all the
/// same: the stream was let in, and a machine may have stood still.
pub(crate) async fn renew(farm: &Farm, id: TokenId) -> Result<Option<Credential>, StoreError> {
    let _turn = farm.writing.lock().await;
    let (now, secret) = (clock::now(), clock::new_secret());
    let Some(token) = farm.store.token(id).await?.filter(|token| token.revoked.is_none()) else {
        return Ok(None);
    };
    let expires = farm.access.until(now);
    let renewed = token.renewed(Token::hash_of(&secret), expires);
    farm.store.commit(Batch::new().change(Change::UpdateToken(renewed))).await?;
    Ok(Some(Credential { id, secret, expires }))
}

/// Why the worker with this credential is sent away.
pub(crate) async fn sent_away(farm: &Farm, id: TokenId) -> Problem {
    let token = farm.store.token(id).await.ok().flatten();
    if let Some(token) = &token
        && let Err(lapsed) = token.holds(token.hash, clock::now())
    {
        return super::caller::lapse(token, lapsed);
    }
    let name = token.map(|token| token.name).unwrap_or_default();
    let remedy = "give each worker a join token of its own";
    Problem::new(ProblemKind::Denied, "attach worker", name, "another worker attached with this credential", remedy)
}

impl Access {
    /// When a credential that is given now ends.
    fn until(&self, now: Timestamp) -> Timestamp {
        let millis = i64::try_from(self.lifetime.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_add(millis))
    }
}
