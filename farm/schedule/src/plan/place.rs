//! Where a task goes: what fits, what is open to it, and of that the best.

use greenroom_domain::{DeviceKind, TaskKind, Timestamp, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{
    Book,
    book::{
        Class,
        floor::{Desk, Floor, Gate, Pool, Room},
    },
    entry::likes_a_card,
};

/// A task of a kind that nobody has seen yet is taken to last so long.
const UNKNOWN: Duration = Duration::from_secs(300);

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub shape: u32,
    pub account: u32,
    pub room: Room,
    /// Nodes that it is kept from where there is another way.
    pub avoids: &'a BTreeSet<u32>,
    /// Nodes that a licence keeps it to.
    pub only: Option<&'a [u32]>,
}

/// A place that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub worker: WorkerId,
    /// Better for others: the worker lacks models that the task works with, or is a larger device than it needs.
    pub second: bool,
}

/// What fits what, remembered while one plan is made.
#[derive(Debug, Default)]
pub(crate) struct Fits {
    classes: BTreeMap<(u32, u32), bool>,
    missing: BTreeMap<(u32, u32), usize>,
    /// By shape the memory of the smallest device that would do.
    smallest: BTreeMap<u32, u64>,
}

/// How good a pool is, the least first.
type Worth = (bool, usize, bool, u64, std::cmp::Reverse<u32>, std::cmp::Reverse<u64>);

impl Fits {
    /// The best worker with room for it.
    pub(crate) fn place(&mut self, book: &Book, floor: &Floor, asking: &Asking<'_>, now: Timestamp) -> Option<Place> {
        if let Some(place) = self.search(book, floor, asking, now) {
            return Some(place);
        }
        // A node that failed this job is better than none, where no other one would ever do.
        let none = BTreeSet::new();
        let anywhere = Asking { avoids: &none, ..*asking };
        let elsewhere = |(&worker, desk): (&WorkerId, &Desk)| {
            !asking.avoids.contains(&desk.node) && self.would_do(book, worker, desk, asking)
        };
        if asking.avoids.is_empty() || floor.desks().iter().any(elsewhere) {
            return None;
        }
        self.search(book, floor, &anywhere, now)
    }

    /// Whether a worker would do once it is free.
    pub(crate) fn would_do(&mut self, book: &Book, _: WorkerId, desk: &Desk, asking: &Asking<'_>) -> bool {
        let open = !desk.gate.shut && desk.gate.kept_for.is_none_or(|kept| book.is_for(kept, asking.account));
        open && self.fits(book, asking.shape, desk.class)
            && on_its_nodes(book, asking, desk.node)
            && desk.whole.holds(asking.room)
    }

    fn search(&mut self, book: &Book, floor: &Floor, asking: &Asking<'_>, now: Timestamp) -> Option<Place> {
        let (kind, needs) = book.shapes.get(asking.shape);
        let mut best: Option<(Worth, Place)> = None;
        for (pool, workers) in floor.pools() {
            if !pool.room.holds(asking.room)
                || !admits(book, pool.gate, asking.account, *kind, now)
                || !self.fits(book, asking.shape, pool.class)
            {
                continue;
            }
            let missing = self.missing(book, asking.shape, pool.heat);
            let worth = worth(book.classes.get(pool.class), pool, *kind, missing);
            if best.as_ref().is_some_and(|(known, _)| *known <= worth) {
                continue;
            }
            let anywhere = needs.nodes.is_empty() && asking.avoids.is_empty() && asking.only.is_none();
            let allowed = |worker: &&WorkerId| {
                anywhere
                    || floor.desk(**worker).is_some_and(|desk| {
                        !asking.avoids.contains(&desk.node) && on_its_nodes(book, asking, desk.node)
                    })
            };
            if let Some(&worker) = workers.iter().find(allowed) {
                let large = needs.vram_mib > 0 && worth.3 > self.smallest(book, asking.shape);
                let strands = book.classes.get(pool.class).kind != DeviceKind::Cpu && !likes_a_card(*kind);
                best = Some((worth, Place { worker, second: missing > 0 || large || strands }));
            }
        }
        best.map(|(_, place)| place)
    }

    fn fits(&mut self, book: &Book, shape: u32, class: u32) -> bool {
        *self.classes.entry((shape, class)).or_insert_with(|| {
            let (_, needs) = book.shapes.get(shape);
            let nowhere = greenroom_domain::Needs { nodes: BTreeSet::new(), ..needs.clone() };
            book.classes.get(class).offer().misfit(&nowhere).is_none()
        })
    }

    fn missing(&mut self, book: &Book, shape: u32, heat: u32) -> usize {
        *self.missing.entry((shape, heat)).or_insert_with(|| {
            let (_, needs) = book.shapes.get(shape);
            needs.warm.difference(book.heats.get(heat)).count()
        })
    }
}

impl Fits {
    fn smallest(&mut self, book: &Book, shape: u32) -> u64 {
        if let Some(&known) = self.smallest.get(&shape) {
            return known;
        }
        let classes: BTreeSet<_> = book.floor.desks().values().map(|desk| desk.class).collect();
        let fitting = classes.into_iter().filter(|&class| self.fits(book, shape, class));
        let smallest = fitting.map(|class| book.classes.get(class).memory_mib).min().unwrap_or(0);
        self.smallest.insert(shape, smallest);
        smallest
    }
}

/// How long a kind is taken to last.
pub(crate) fn expected(book: &Book, kind: TaskKind) -> Duration {
    book.usual(kind).map_or(UNKNOWN, Duration::from_secs_f64)
}

fn on_its_nodes(book: &Book, asking: &Asking<'_>, node: u32) -> bool {
    let (_, needs) = book.shapes.get(asking.shape);
    asking.only.is_none_or(|only| only.contains(&node))
        && (needs.nodes.is_empty() || needs.nodes.contains(book.node_names.get(node)))
}

/// Whether a gate lets a task of an account begin now.
fn admits(book: &Book, gate: Gate, account: u32, kind: TaskKind, now: Timestamp) -> bool {
    if gate.shut || gate.kept_for.is_some_and(|kept| !book.is_for(kept, account)) {
        return false;
    }
    let exempt = gate.but.is_some_and(|but| book.is_for(but, account));
    exempt || gate.until.is_none_or(|until| now.after(expected(book, kind)) <= until)
}

/// First what is kept for it, then what holds its models; then the right sort of device, the smallest that does, the emptiest.
fn worth(class: &Class, pool: &Pool, kind: TaskKind, missing: usize) -> Worth {
    let card = class.kind != DeviceKind::Cpu;
    (
        pool.gate.kept_for.is_none(),
        missing,
        card != likes_a_card(kind),
        class.memory_mib,
        std::cmp::Reverse(pool.room.slots),
        std::cmp::Reverse(pool.room.mib),
    )
}
