//! Secrets that somebody shows to be let in. The farm keeps only their digests.

use serde::{Deserialize, Serialize};

use crate::{Digest, Timestamp, TokenId, UserId};

/// A secret that was given out. The secret itself was shown once and is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is for, for people: `laptop`.
    pub name: String,
    /// Who shows it.
    pub holder: Holder,
    /// SHA-256 of the secret, which is 256 bits of chance: nobody finds it from this.
    pub hash: Digest,
    /// The secret before this one, and until when it still holds: whoever was given the new one may not have got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<(Digest, Timestamp)>,
    /// When it was made.
    pub created: Timestamp,
    /// It holds before this moment; for ever where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Since when it holds no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// When it was used up: a join token holds once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
}

/// Who shows a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "holder", rename_all = "snake_case")]
pub enum Holder {
    /// A person.
    User {
        /// Which.
        user: UserId,
    },
    /// A worker that is to become one of the farm's; holds once.
    Join,
    /// A worker that has joined.
    Worker {
        /// On which node.
        node: String,
        /// By which join token.
        joined: TokenId,
    },
}

/// Why a token does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapsed {
    /// Its time is over, since then.
    Expired(Timestamp),
    /// Somebody took it back, then.
    Revoked(Timestamp),
    /// It held once, and was used then.
    Used(Timestamp),
}

impl Token {
    /// What a ledger knows of a secret.
    #[must_use]
    pub fn hash_of(secret: &str) -> Digest {
        Digest::of(secret.as_bytes())
    }

    /// Whether the secret with this digest lets somebody in now.
    ///
    /// # Errors
    /// Why not.
    pub fn holds(&self, hash: Digest, now: Timestamp) -> Result<(), Lapsed> {
        if let Some(at) = self.revoked {
            return Err(Lapsed::Revoked(at));
        }
        if let Some(at) = self.used {
            return Err(Lapsed::Used(at));
        }
        let until = match self.earlier {
            Some((earlier, until)) if earlier == hash => Some(until),
            _ => self.expires,
        };
        match until {
            Some(end) if end <= now => Err(Lapsed::Expired(end)),
            _ => Ok(()),
        }
    }

    /// The same token with a new secret that holds longer; the one before holds as long as it did.
    #[must_use]
    pub fn renewed(mut self, hash: Digest, expires: Timestamp) -> Self {
        self.earlier = self.expires.map(|end| (self.hash, end));
        self.hash = hash;
        self.expires = Some(expires);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_until_it_expires_is_revoked_or_is_used() {
        let [at, end, late] = [1, 5, 9].map(Timestamp::from_millis);
        let [old, new] = ["old", "new"].map(Token::hash_of);
        let id = TokenId::new(at, [1; 10]);
        let token = Token {
            id,
            name: "laptop".into(),
            holder: Holder::Join,
            hash: old,
            earlier: None,
            created: at,
            expires: Some(end),
            revoked: None,
            used: None,
        };
        assert_eq!(token.holds(old, at), Ok(()));
        assert_eq!(token.holds(old, end), Err(Lapsed::Expired(end)));
        let renewed = token.clone().renewed(new, late);
        assert_eq!((renewed.holds(new, end), renewed.holds(old, at)), (Ok(()), Ok(())));
        assert_eq!(renewed.holds(old, end), Err(Lapsed::Expired(end)));
        assert_eq!(Token { revoked: Some(at), ..renewed }.holds(new, at), Err(Lapsed::Revoked(at)));
        assert_eq!(Token { used: Some(at), ..token }.holds(old, at), Err(Lapsed::Used(at)));
    }
}
