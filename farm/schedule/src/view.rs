//! The farm as the scheduler sees it, for people: nodes with their devices, and limits with what counts against them.

use greenroom_domain::{Limit, Offer, Reading, TaskId, Timestamp, Unfit, WorkerId};
use std::collections::BTreeMap;

use crate::Book;

/// A machine with its workers.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// `open`, `drained`, `sick`, `maintenance`, `reserved`.
    pub state: &'static str,
    /// Why, where it is not open.
    pub reason: String,
    /// Its workers.
    pub workers: Vec<WorkerView>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// Its id.
    pub id: WorkerId,
    /// What it offers, and holds now.
    pub offer: Offer,
    /// Memory of its device that nobody has booked, MiB.
    pub free_mib: u64,
    /// When it last said something.
    pub heard: Timestamp,
    /// What it runs.
    pub tasks: Vec<TaskId>,
    /// How its device is, where it told.
    pub reading: Option<Reading>,
    /// Memory of it that programs have which are not the farm's, MiB …
    pub others_mib: u64,
    /// … and those programs, by process id.
    pub others: Vec<u32>,
    /// Why it is given nothing new though its node takes work.
    pub unfit: Option<Unfit>,
}

/// A limit and what counts against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitView {
    /// Its name.
    pub name: String,
    /// As the policy has it.
    pub limit: Limit,
    /// Tasks, or nodes, that count now.
    pub used: u32,
    /// Tasks that began within the last minute.
    pub begun: usize,
}

/// Every node with a worker, and every drained one, by name.
#[must_use]
pub fn nodes(book: &Book, now: Timestamp) -> Vec<NodeView> {
    let mut tasks: BTreeMap<WorkerId, Vec<TaskId>> = BTreeMap::new();
    book.held.iter().for_each(|(&task, held)| tasks.entry(held.worker).or_default().push(task));
    let mut nodes: BTreeMap<&str, Vec<WorkerView>> = BTreeMap::new();
    for name in book.policy.drained.keys() {
        nodes.entry(name).or_default();
    }
    for (&id, seen) in &book.workers {
        let free_mib = book.floor.desk(id).map_or(0, |desk| book.floor.room(desk).mib);
        let (offer, heard) = (seen.offer.clone(), seen.heard);
        let tasks = tasks.remove(&id).unwrap_or_default();
        let (reading, unfit, others_mib) = (seen.reading.clone(), book.unfit(id), book.others_mib(id));
        let others = book.others(id);
        let view = WorkerView { id, offer, free_mib, heard, tasks, reading, others_mib, others, unfit };
        nodes.entry(&seen.offer.node).or_default().push(view);
    }
    nodes.into_iter().map(|(name, workers)| view(book, name, workers, now)).collect()
}

/// Every limit of the policy, by name.
#[must_use]
pub fn limits(book: &Book, now: Timestamp) -> Vec<LimitView> {
    let view = |(name, limit): (&String, &Limit)| LimitView {
        name: name.clone(),
        limit: limit.clone(),
        used: book.tally.count(name, limit.per),
        begun: book.tally.begun(name, now),
    };
    book.policy.limit.iter().map(view).collect()
}

fn view(book: &Book, name: &str, workers: Vec<WorkerView>, now: Timestamp) -> NodeView {
    let now = book.wall(now);
    let window = book.policy.maintenance.iter();
    let window = window.filter(|w| w.nodes.contains(name)).find(|w| w.from.0 <= now && w.until.0 > now);
    let kept = book.policy.reservation.iter().find(|reservation| {
        let (from, until) = reservation.window();
        from <= now && until > now && workers.iter().any(|worker| book.keeps(reservation, &worker.offer))
    });
    let (state, reason) = match (book.policy.drained.get(name), window, kept) {
        (Some(drained), ..) => (if drained.sick { "sick" } else { "drained" }, drained.reason.clone()),
        (None, Some(window), _) => ("maintenance", format!("{} until {}", window.reason, window.until)),
        (None, None, Some(kept)) => ("reserved", kept.name.clone()),
        (None, None, None) => ("open", String::new()),
    };
    NodeView { name: name.to_owned(), state, reason, workers }
}
