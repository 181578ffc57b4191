//! What an administrator does to a ledger while no daemon uses it.

use greenroom_domain::{Problem, ProblemKind};
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
        LedgerCommand::Restore { from: Some(copy) } => {
            if place.ledger.is_some() {
                let (cause, remedy) = ("the ledger is in PostgreSQL", "restore the database with pg_restore");
                return Err(Problem::new(ProblemKind::Conflict, "restore ledger", "ledger", cause, remedy));
            }
            SqliteStore::restore_from(open::file(&place), &copy).await.map_err(|e| e.problem())?;
            tracing::info!(from = %copy.display(), "the ledger is the copy's; what was in its place is LEDGER.undone");
        }
        LedgerCommand::Restore { from: None } => {
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
