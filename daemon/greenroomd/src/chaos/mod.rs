//! A farm under faults: the daemon's own code and its ledger, workers that are simulated, one thread, and a clock that is the
//! runtime's. What a seed does it does again, to the byte.
//!
//! A seed decides who pushes what, how long everything takes, and what goes wrong when: [`Kind`] lists it. When all has happened
//! and all work has ended, an audit looks at what is left. A fault that was planned and did not happen fails the seed as well.

mod audit;
mod chance;
mod client;
mod daemon;
mod door;
mod fault;
mod link;
mod objects;
#[cfg(test)]
mod tests;
mod worker;
mod world;

use clap::Parser as _;
use greenroom_artifacts::ArtifactStore;
use greenroom_domain::{Digest, Pack, Problem, Seed};
use greenroom_store::MemoryStore;
use greenroom_store_sqlite::SqliteStore;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

use crate::{
    access::Access,
    args::{Args, Commands, Config},
    clock::simulated,
    packs,
};
use door::Ground;
use objects::Shelf;
use world::World;

pub use fault::Kind;

/// Of so many seeds one has its ledger in SQLite; the others have theirs in memory.
const SQLITE: u64 = 8;

/// What all seeds share.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
    pack: (Pack, Digest),
    config: Arc<Config>,
    elsewhere: tokio::runtime::Runtime,
}

impl Site {
    /// A site in an empty folder, which should be on a fast disk, with this folder of models, none of which is loaded.
    ///
    /// # Errors
    /// If the folder or the pack cannot be used.
    pub fn open(folder: &Path, pack: &Path) -> Result<Self, Problem> {
        let fail =
            |e: std::io::Error| Problem::invalid("open site", folder.display().to_string(), e, "choose another folder");
        let line = [
            OsStr::new("greenroomd"),
            OsStr::new("--state"),
            folder.as_os_str(),
            OsStr::new("--pack"),
            pack.as_os_str(),
        ];
        let mut config = Config::resolve(Args::parse_from(line), Path::new("greenroomd"))?;
        config.commands = Commands { enabled: true, user: "nobody".into(), ..Commands::default() };
        let pack = packs::open(pack)?;
        // Its tokens are made here, so that no seed draws them.
        Access::open(folder, Duration::from_secs(3600))?;
        let elsewhere =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(fail)?;
        Ok(Self { folder: folder.to_owned(), pack, config: Arc::new(config), elsewhere })
    }
}

/// A rule of the farm that is broken on purpose, to see that the audit notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Whoever answers late is taken for who holds the lease now.
    OldEpochs,
    /// Some jobs are acknowledged and not written.
    LostJobs,
    /// That a task is done is told twice.
    ToldTwice,
    /// Some commits write their events and not their changes.
    LostWrites,
}

/// What became of one seed.
#[derive(Clone, Debug)]
pub struct Played {
    /// Which.
    pub seed: u64,
    /// Faults that happened, by kind.
    pub fired: BTreeMap<Kind, u32>,
    /// Everything that happened, a line each, and the ledger's event log.
    pub log: String,
    /// What is not as it must be; none where the seed passed.
    pub broken: Vec<String>,
}

/// Plays one seed from beginning to end.
///
/// # Panics
/// If no runtime can be made.
#[must_use]
pub fn play(site: &Arc<Site>, seed: u64, breach: Option<Breach>) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime of one thread needs nothing").block_on(async {
        let _clock = simulated::begin(Seed(seed));
        let shelf = Arc::new(Shelf::default());
        let ground = ground(site, seed, &shelf);
        let world = Arc::new(World::new(seed, ground, breach));
        shelf.under(&world);
        let planned = fault::plan(seed);
        live(&world, site, &planned).await;
        let (mut fired, happened) = (BTreeMap::new(), world.all_fired());
        for fault in planned {
            if happened.contains(&fault.number) {
                *fired.entry(fault.kind).or_insert(0) += 1;
            } else {
                world.broken(format!("fault never fired: {}", fault.kind));
            }
        }
        let (log, broken) = world.told();
        Played { seed, fired, log, broken }
    })
}

async fn live(world: &Arc<World>, site: &Arc<Site>, planned: &[fault::Planned]) {
    let mut everybody = JoinSet::new();
    everybody.spawn(daemon::keep(world.clone(), site.clone()));
    everybody.spawn(audit::watch(world.clone()));
    everybody.spawn(client::look_after(world.clone()));
    let workers = chance::Chance::of(world.seed, "workers", 0).between(2, 6) as u32;
    for number in 0..workers {
        everybody.spawn(worker::run(world.clone(), number, site.pack.1.to_string()));
    }
    for &fault in planned {
        everybody.spawn(fault::strike(world.clone(), fault));
    }
    client::run(world.clone(), planned.to_vec()).await;
    world.end();
    audit::until_ended(world).await;
    audit::end(world).await;
    everybody.shutdown().await;
}

fn ground(site: &Site, seed: u64, shelf: &Arc<Shelf>) -> Ground {
    let artifacts = ArtifactStore::remote(shelf.clone());
    if !seed.is_multiple_of(SQLITE) {
        return Ground { ledger: Arc::new(MemoryStore::new()), artifacts, elsewhere: None };
    }
    let file = site.folder.join("greenroom.db");
    let elsewhere = site.elsewhere.handle().clone();
    // Each seed begins with an empty one.
    for old in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{old}", file.display()));
    }
    let opened = std::thread::scope(|scope| scope.spawn(|| elsewhere.block_on(SqliteStore::open(&file))).join());
    let ledger = opened.expect("opening does not panic").expect("an empty folder takes a ledger");
    Ground { ledger: Arc::new(ledger), artifacts, elsewhere: Some(elsewhere) }
}
