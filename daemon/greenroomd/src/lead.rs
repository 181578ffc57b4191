//! Leads the farm, alone on a file, or in turn with the other daemons on a shared ledger.

use greenroom_domain::Problem;
use greenroom_schedule::Book;
use greenroom_store::{EventStore as _, StoreError};
use greenroom_store_postgres::PostgresStore;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::task::JoinSet;

use crate::{args::Config, book, dispatch, farm::Farm, learn, notify, role::Role, slurm, supervise};

/// A database that cannot be reached is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// Leads, or stands by and leads when it is this daemon's turn, until the daemon stops. Whoever leads alone has said
/// [`prepare`] before.
pub(crate) async fn run(
    farm: Arc<Farm>,
    shared: Option<Arc<PostgresStore>>,
    config: Arc<Config>,
    url: String,
    own: String,
) {
    let Some(shared) = shared else { return reign(&farm, &config, (&own, &url), std::future::pending()).await };
    while !farm.stop.is_cancelled() {
        let elected = tokio::select! {
            elected = shared.lead(&url) => elected,
            never = follow(&farm, &shared) => match never {},
            () = farm.stop.cancelled() => return,
        };
        match elected {
            Ok(term) => {
                tracing::info!(ledger = shared.place(), term = term.epoch, "lead.begin");
                match prepare(&farm).await {
                    Ok(()) => reign(&farm, &config, (&own, &url), term.ended()).await,
                    Err(error) => told(&error, "cannot read the ledger; another may lead"),
                }
                // Workers that are left are another leader's; they attach there.
                farm.workers.detach_all();
                *farm.book() = Book::default();
                shared.stand_by().await;
                tracing::warn!(ledger = shared.place(), "lead.end");
            }
            Err(error) => {
                told(&error, "cannot ask to lead; trying again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// What must be done before anybody can push.
///
/// # Errors
/// If the ledger cannot be read.
pub(crate) async fn prepare(farm: &Farm) -> Result<(), StoreError> {
    farm.committed.send_replace(farm.store.last_seq().await?);
    let (book, fresh) = book::open(&*farm.store, farm.time.now()).await?;
    *farm.book() = book;
    *farm.fresh() = fresh;
    if let Err(error) = farm.finish_forgetting().await {
        let remedy = error.problem().remedy;
        tracing::error!(%error, remedy, "a character is not wholly forgotten yet; it is tried again at the next start");
    }
    Ok(())
}

/// Everything that only a leader does, until the daemon stops or the term ends. A term ends hard: whatever has not been
/// committed by then never is, and the next leader finds what was, as after a kill.
///
/// Workers of this machine come in by the first door, those of others by the second.
async fn reign(farm: &Arc<Farm>, config: &Arc<Config>, (own, others): (&str, &str), ended: impl Future<Output = ()>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(dispatch::run(farm.clone()));
    tasks.spawn(supervise::run(farm.clone(), config.clone(), own.to_owned()));
    tasks.spawn(slurm::run(farm.clone(), config.clone(), others.to_owned()));
    tasks.spawn(learn::run(farm.clone()));
    tasks.spawn(notify::run(farm.clone()));
    farm.role.set(Role::Leads);
    tokio::select! {
        () = ended => {
            farm.role.set(Role::StandsBy { leader: None });
            tasks.shutdown().await;
        }
        // Each of them hears the bell too, and ends in good order.
        () = farm.stop.cancelled() => while tasks.join_next().await.is_some() {},
    }
}

/// Rings this daemon's bell for what the leader commits, and keeps in mind who that is.
async fn follow(farm: &Farm, shared: &PostgresStore) -> Infallible {
    loop {
        let Err(error) = listen(farm, shared).await;
        // Whoever asks to lead meanwhile tells of it.
        tracing::debug!(%error, "cannot listen to the ledger; trying again");
        farm.role.set(Role::StandsBy { leader: None });
        tokio::time::sleep(AGAIN).await;
    }
}

async fn listen(farm: &Farm, shared: &PostgresStore) -> Result<Infallible, StoreError> {
    let mut listener = shared.listen().await?;
    let mut last = shared.last_seq().await?;
    loop {
        farm.role.set(Role::StandsBy { leader: shared.leader().await? });
        farm.committed.send_if_modified(|seq| std::mem::replace(seq, last.max(*seq)) < last);
        // Who leads is asked again now and then: an election is no event.
        if let Ok(heard) = tokio::time::timeout(AGAIN, listener.next()).await {
            last = heard?;
        }
    }
}

fn told(error: &StoreError, what: &str) {
    let Problem { remedy, .. } = error.problem();
    tracing::error!(%error, remedy, "{what}");
}
