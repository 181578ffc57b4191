//! Reading tokens.

use async_trait::async_trait;
use greenroom_domain::{Digest, Token, TokenId};

use crate::Result;

/// Reads tokens.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// One token.
    async fn token(&self, id: TokenId) -> Result<Option<Token>>;

    /// The token whose secret, or the secret before it, has this digest.
    async fn token_by_hash(&self, hash: Digest) -> Result<Option<Token>>;

    /// Every token, the first made first.
    async fn tokens(&self) -> Result<Vec<Token>>;
}
