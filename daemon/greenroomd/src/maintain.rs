//! What an administrator does to a ledger while no daemon uses it.

use greenroom_domain::Problem;
use greenroom_store_postgres::PostgresStore;
use greenroom_store_sqlite::SqliteStore;

use crate::{
    args::{LedgerCommand, Where},
    open, serve,
};

/// Does it, and says so in the log.
pub(crate) async fn run(what: LedgerCommand, place: Where) -> Result<(), Problem> {
    // The database's own lock tells whether a daemon uses it; a file needs ours.
    let _alone = if place.ledger.is_none() { Some(serve::lock(&place.state)?) } else { None };
    match what {
        LedgerCommand::Restore => {
            let restored = match &place.ledger {
                Some(url) => PostgresStore::restore(url.reveal()).await,
                None => SqliteStore::restore(open::file(&place)),
            };
            let version = restored.map_err(|e| e.problem())?;
            tracing::info!(version, "the ledger is as it was before its migration; start the build of that schema");
        }
        LedgerCommand::Check => {
            open::ledger(&place).await?.store.integrity_check().await.map_err(|e| e.problem())?;
            tracing::info!("the ledger is whole");
        }
    }
    Ok(())
}
