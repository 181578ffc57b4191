//! Opens the ledger: a file in the state folder, or a PostgreSQL database that daemons share.

use greenroom_domain::Problem;
use greenroom_store::Store;
use greenroom_store_postgres::PostgresStore;
use greenroom_store_sqlite::SqliteStore;
use std::{path::PathBuf, sync::Arc};

use crate::args::Where;

/// A ledger, and the same once more where others may lead it.
pub(crate) struct Ledger {
    pub store: Arc<dyn Store>,
    pub shared: Option<Arc<PostgresStore>>,
}

/// Opens what is configured. A shared ledger is opened to read: leading comes later.
pub(crate) async fn ledger(place: &Where) -> Result<Ledger, Problem> {
    let Some(url) = &place.ledger else {
        let store = SqliteStore::open(&file(place)).await.map_err(|e| e.problem())?;
        return Ok(Ledger { store: Arc::new(store), shared: None });
    };
    let store = Arc::new(PostgresStore::open(url.reveal()).await.map_err(|e| e.problem())?);
    store.stand_by().await;
    Ok(Ledger { store: store.clone(), shared: Some(store) })
}

/// The ledger's file where there is no database.
pub(crate) fn file(place: &Where) -> PathBuf {
    place.state.join("greenroom.db")
}
