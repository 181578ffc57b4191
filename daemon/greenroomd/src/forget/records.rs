//! Artifacts that name artifacts: the JSON among them, and what each names.

use futures::TryStreamExt as _;
use greenroom_domain::Digest;
use serde::Deserialize;
use std::collections::BTreeSet;

use super::bytes;
use crate::{farm::Farm, ledger::LedgerError};

/// A record of more bytes was not written by this farm.
const LIMIT: u64 = 64 << 20;

/// An artifact of JSON.
#[derive(Debug)]
pub(super) struct Record {
    /// Which.
    pub digest: Digest,
    /// Every artifact that it names.
    pub names: BTreeSet<Digest>,
    /// Its `character` field, where it has one: an identity profile's.
    pub about: Option<String>,
}

#[derive(Deserialize)]
struct About {
    character: Option<serde_json::Value>,
}

/// Every record of the farm. Films and pictures are told by their first byte and not read; so is what is damaged, as nobody
/// could read from it whom it names.
pub(super) async fn all(farm: &Farm) -> Result<Vec<Record>, LedgerError> {
    let mut records = vec![];
    let mut artifacts = farm.artifacts.list();
    while let Some((digest, size)) = artifacts.try_next().await.map_err(|e| bytes(&e))? {
        if size <= LIMIT
            && let Some(text) = text(farm, digest).await
        {
            let names = Digest::named_in(&text).map(|(_, named)| named).collect();
            let about = serde_json::from_str::<About>(&text).ok().and_then(|a| Some(a.character?.as_str()?.to_owned()));
            records.push(Record { digest, names, about });
        }
    }
    Ok(records)
}

/// A record's text; none for other artifacts.
pub(super) async fn text(farm: &Farm, digest: Digest) -> Option<String> {
    let (mut all, mut chunks) = (vec![], farm.artifacts.get(digest).await.ok()?);
    while let Some(chunk) = chunks.try_next().await.ok()? {
        all.extend_from_slice(&chunk);
        if !matches!(all.first(), Some(b'{' | b'[')) {
            return None;
        }
    }
    String::from_utf8(all).ok()
}
