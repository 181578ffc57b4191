//! What goes wrong, when, and whether it did.

use std::{fmt, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

use super::{
    chance::Chance,
    world::{Armed, Bad, World},
};
use crate::clock::simulated;

/// Every kind of fault, with the name that it has in reports.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// As reports name it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// The daemon dies at a moment.
    DaemonKill = "daemon-kill",
    /// The daemon dies as it is about to commit.
    KillBeforeCommit = "kill-before-commit",
    /// The daemon dies when a commit is written and nobody knows yet.
    KillAfterCommit = "kill-after-commit",
    /// A commit is written, and the daemon hears that it failed.
    CommitUnknown = "commit-unknown",
    /// The ledger refuses everything for a while.
    StoreError = "store-error",
    /// Nothing can be written for a while, neither ledger nor artifacts.
    DiskFull = "disk-full",
    /// The ledger takes seconds for everything.
    SlowStore = "slow-store",
    /// A worker dies over a task.
    WorkerKill = "worker-kill",
    /// A worker loses its connection over a task, comes back, and answers for the lease it had before.
    WorkerZombie = "worker-zombie",
    /// Nothing gets through between a worker and the daemon for a while, and nobody is told.
    Partition = "partition",
    /// Messages take seconds.
    Delay = "delay",
    /// A message comes twice.
    Duplicate = "duplicate",
    /// A message comes after later ones.
    Reorder = "reorder",
    /// A message is lost.
    Lost = "lost",
    /// The clock is set an hour forward.
    ClockForward = "clock-forward",
    /// The clock is set an hour back.
    ClockBack = "clock-back",
    /// Whoever pushes goes away in the middle of the call, and pushes again.
    ClientGone = "client-gone",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault that is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub kind: Kind,
    /// Not before then.
    pub at: Duration,
    /// Its place in the plan.
    pub number: u32,
}

/// A seed's faults, three to eight.
pub(super) fn plan(seed: u64) -> Vec<Planned> {
    let mut chance = Chance::of(seed, "faults", 0);
    let count = chance.between(3, 9) as u32;
    (0..count)
        .map(|number| {
            let kind = *chance.pick(Kind::ALL).unwrap_or(&Kind::DaemonKill);
            Planned { kind, at: chance.ms(1_500, 60_000), number }
        })
        .collect()
}

/// Lets a fault happen as soon as it can from its moment on.
pub(super) async fn strike(world: Arc<World>, fault: Planned) {
    let mut chance = Chance::of(world.seed, "strike", fault.number);
    sleep(fault.at).await;
    match fault.kind {
        Kind::DaemonKill => {
            while !world.kill(fault.kind.name()) {
                sleep(Duration::from_millis(10)).await;
            }
            world.fired(fault);
        }
        Kind::KillBeforeCommit | Kind::KillAfterCommit | Kind::CommitUnknown => {
            let after = chance.below(6) as u32;
            world.weather(|w| w.armed.push_back(Armed { fault, after }));
        }
        Kind::StoreError | Kind::DiskFull | Kind::SlowStore => weather(&world, fault, &mut chance).await,
        Kind::ClockForward | Kind::ClockBack => {
            simulated::step(if fault.kind == Kind::ClockForward { 3_600_000 } else { -3_600_000 });
            world.fired(fault);
        }
        Kind::ClientGone => world.weather(|w| w.impatient.push_back((fault, chance.ms(0, 12)))),
        _ => on_a_worker(&world, fault, &mut chance).await,
    }
}

/// Lets the weather turn bad for a while, and again where nobody was out in it. Of one kind there is one at a time.
async fn weather(world: &World, fault: Planned, chance: &mut Chance) {
    while !world.is_over() && !world.all_fired().contains(&fault.number) {
        let (time, each) = match fault.kind {
            Kind::StoreError => (chance.ms(500, 20_000), Duration::ZERO),
            Kind::DiskFull => (chance.ms(2_000, 60_000), Duration::ZERO),
            _ => (chance.ms(5_000, 40_000), chance.ms(100, 6_000)),
        };
        let until = Instant::now() + time;
        let turned = world.weather(|weather| {
            let turned = weather.bad.iter().all(|bad| bad.fault.kind != fault.kind);
            weather.bad.extend(turned.then_some(Bad { fault, until, each }));
            turned
        });
        sleep(if turned { time } else { Duration::from_secs(1) }).await;
        world.weather(|weather| weather.bad.retain(|bad| bad.fault != fault));
    }
}

/// Strikes a worker that has something to do, and another one where that came too late to change anything.
async fn on_a_worker(world: &World, fault: Planned, chance: &mut Chance) {
    while !world.is_over() && !world.all_fired().contains(&fault.number) {
        let wait = match chance.pick(&world.busy_links()) {
            Some(link) => {
                let most = if fault.kind == Kind::Partition { 60_000 } else { 12_000 };
                link.disturb(world, fault, chance.ms(1_000, most));
                Duration::from_secs(60)
            }
            None => Duration::from_millis(50),
        };
        sleep(wait).await;
    }
}
