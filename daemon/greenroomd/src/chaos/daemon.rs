//! One daemon's life, from its start to its death, and whoever starts the next one.

use greenroom_store::StoreError;
use std::{sync::Arc, time::Duration};
use tokio::{task::AbortHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Site, chance::Chance, door::Door, world::World};
use crate::{
    access::Access,
    dispatch,
    farm::{Farm, Parts},
    lead, learn,
    role::Role,
};

/// A daemon that runs.
pub(super) struct Daemon {
    pub farm: Arc<Farm>,
    /// It has died: what it still does reaches nobody.
    pub dead: CancellationToken,
    tasks: Vec<AbortHandle>,
}

impl Daemon {
    /// Ends it at once, wherever it is.
    pub(super) fn kill(&self) {
        self.dead.cancel();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Starts a daemon whenever there is none.
pub(super) async fn keep(world: Arc<World>, site: Arc<Site>) {
    let mut chance = Chance::of(world.seed, "keeper", 0);
    for number in 0.. {
        match start(&world, &site, number).await {
            Ok(daemon) => {
                let dead = daemon.dead.clone();
                world.started(daemon);
                dead.cancelled().await;
            }
            Err(error) => world.say(format_args!("daemon.start failed: {error}")),
        }
        sleep(chance.ms(100, 3_000)).await;
    }
}

async fn start(world: &Arc<World>, site: &Site, number: u32) -> Result<Arc<Daemon>, StoreError> {
    let dead = CancellationToken::new();
    let farm = Arc::new(Farm::new(Parts {
        store: Arc::new(Door::new(world, dead.clone(), number)),
        artifacts: world.ground.artifacts.clone(),
        pack: site.pack.clone(),
        access: Access::open(&site.folder, Duration::from_secs(3600)).map_err(StoreError::Unusable)?,
        config: site.config.clone(),
        role: Role::Leads,
    }));
    lead::prepare(&farm).await?;
    let tasks = vec![
        tokio::spawn(dispatch::run(farm.clone())).abort_handle(),
        tokio::spawn(learn::run(farm.clone())).abort_handle(),
    ];
    Ok(Arc::new(Daemon { farm, dead, tasks }))
}
