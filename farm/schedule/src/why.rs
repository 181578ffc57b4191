//! Why a task waits: a reason code, a sentence, and what to do about it where something can be done.

use greenroom_domain::{JobId, Misfit, TaskId, TaskKind, Timestamp, WorkerId};
use std::{collections::BTreeSet, fmt, time::Duration};

use crate::{
    Book,
    book::{
        LaneKey, Ticket,
        floor::{Desk, Room},
    },
    plan::{Order, Stop},
};

/// Why a task waits. The names are for programs and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It needs the outputs of other tasks.
    WaitingOnTasks,
    /// Its job is paused.
    Paused,
    /// It failed and is tried again soon, or was paused for another.
    RetryDelay,
    /// No worker is attached.
    NoWorker,
    /// No worker has the device that it needs.
    NoDevice,
    /// No device has the memory that it needs.
    NoDeviceWithVram,
    /// No worker has the tags that it needs.
    NoTags,
    /// The node that it is pinned to is not there.
    NoNode,
    /// Every worker that would do is on a drained node.
    Drained,
    /// … or on one in maintenance.
    Maintenance,
    /// … or would not be done with it before a window begins.
    WindowAhead,
    /// … or kept for somebody else.
    Reserved,
    /// … or on a node where its job has failed.
    Blocklisted,
    /// Its project or user has as many tasks as it may.
    Quota,
    /// A limit is reached.
    LimitReached,
    /// A training is being paused for it.
    Preempting,
    /// The room is there in parts only; a worker is kept free for it.
    Held,
    /// More urgent work goes first.
    Priority,
    /// Others had less of the farm for their share.
    FairShareBehind,
    /// Older work goes first.
    Queued,
    /// It starts with the next decision.
    Starting,
    /// It runs.
    Running,
    /// It has ended, or there is no such task.
    Ended,
}

/// Why a task waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// For programs.
    pub reason: Reason,
    /// For people, without a full stop.
    pub sentence: String,
    /// What can be done about it, if anything, as an imperative.
    pub remedy: Option<String>,
}

/// A task in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Which.
    pub task: TaskId,
    /// Whose.
    pub job: JobId,
    /// What it does.
    pub kind: TaskKind,
    /// Its place, from 1; none where something other than its turn keeps it.
    pub position: Option<usize>,
    /// Why it waits.
    pub why: Why,
    /// When it may begin, where its kind's usual time is known.
    pub eta: Option<Timestamp>,
}

impl Reason {
    /// As programs see it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::WaitingOnTasks => "waiting-on-tasks",
            Self::Paused => "paused",
            Self::RetryDelay => "retry-delay",
            Self::NoWorker => "no-worker",
            Self::NoDevice => "no-device",
            Self::NoDeviceWithVram => "no-device-with-vram",
            Self::NoTags => "no-worker-with-tags",
            Self::NoNode => "no-such-node",
            Self::Drained => "drained",
            Self::Maintenance => "maintenance",
            Self::WindowAhead => "window-ahead",
            Self::Reserved => "reserved",
            Self::Blocklisted => "blocklisted",
            Self::Quota => "quota",
            Self::LimitReached => "limit-reached",
            Self::Preempting => "preempting",
            Self::Held => "device-held",
            Self::Priority => "behind-priority",
            Self::FairShareBehind => "fair-share-behind",
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Why {
    fn new(reason: Reason, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into(), remedy: None }
    }

    fn but(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

/// Why a task waits, at this moment.
#[must_use]
pub fn why(book: &Book, task: TaskId, now: Timestamp) -> Why {
    if let Some(waits) = book.waiting.get(&task) {
        let tasks = if waits.on == 1 { "another task".to_owned() } else { format!("{} other tasks", waits.on) };
        return Why::new(Reason::WaitingOnTasks, format!("it needs what {tasks} of its job will give"));
    }
    if let Some(held) = book.held.get(&task) {
        return Why::new(Reason::Running, format!("it runs since {} s", now.since(held.since).as_secs()));
    }
    let Some(queued) = book.ready.get(&task) else {
        return Why::new(Reason::Ended, "it has ended, or the farm has never heard of it");
    };
    if book.jobs.get(&queued.job).is_some_and(|card| card.paused) {
        return Why::new(Reason::Paused, "its job is paused").but(format!("greenroom job resume {}", queued.job));
    }
    let delay = queued.not_before.filter(|&at| at > now);
    let Some(lane) = queued.lane.filter(|_| delay.is_none()) else {
        let seconds = delay.map_or(0, |at| at.since(now).as_millis().div_ceil(1000));
        return Why::new(Reason::RetryDelay, format!("an attempt ended early; the next one begins in {seconds} s"));
    };
    if let Some(why) = unplaceable(book, lane, queued.job, now) {
        return why;
    }
    if let Err(stop) = Order::of(book, now).leave(lane) {
        return stopped(book, lane, &stop, now);
    }
    turn(book, lane, task, queued.job, now)
}

/// The queue in the order in which it will go, at most so many; then what something else keeps.
#[must_use]
pub fn queue(book: &Book, now: Timestamp, limit: usize) -> Vec<Queued> {
    let (mut order, mut seen, mut all) = (Order::of(book, now), BTreeSet::new(), Vec::new());
    let mut ahead = 0.0;
    while all.len() < limit {
        let Some((lane, ticket, _)) = order.next() else { break };
        let why = why(book, ticket.task, now);
        let kind = book.shapes.get(lane.shape).0;
        let goes = turns(why.reason);
        let servers = servers(book, lane).max(1);
        let eta = (goes && why.reason != Reason::Starting).then(|| book.usual(kind)).flatten();
        #[expect(clippy::cast_precision_loss, reason = "workers are few")]
        let wait = |usual: f64| now.after(Duration::from_secs_f64((ahead + usual / 2.0) / servers as f64));
        let eta = eta.map(wait);
        ahead += book.usual(kind).unwrap_or(0.0);
        seen.insert(ticket.task);
        let position = goes.then_some(all.len() + 1);
        all.push(Queued { task: ticket.task, job: ticket.job, kind, position, why, eta });
        order.begun(lane, ticket, None);
        order.put_back(lane);
    }
    let rest = book.ready.iter().filter(|(task, _)| !seen.contains(*task)).take(limit - all.len());
    let rest: Vec<_> = rest.map(|(&task, queued)| (task, queued.job, queued.kind)).collect();
    for (task, job, kind) in rest {
        all.push(Queued { task, job, kind, position: None, why: why(book, task, now), eta: None });
    }
    all
}

/// Whether only its turn keeps a task.
const fn turns(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Queued
            | Reason::Priority
            | Reason::FairShareBehind
            | Reason::Starting
            | Reason::Preempting
            | Reason::Held
    )
}

fn servers(book: &Book, lane: LaneKey) -> usize {
    let needs = &book.shapes.get(lane.shape).1;
    book.workers.values().filter(|seen| seen.offer.misfit(needs).is_none()).count()
}

/// What keeps a task however many others there are: nothing that is attached, or nothing that is open to it, would do.
fn unplaceable(book: &Book, lane: LaneKey, job: JobId, now: Timestamp) -> Option<Why> {
    let needs = &book.shapes.get(lane.shape).1;
    if book.workers.is_empty() {
        let why = Why::new(Reason::NoWorker, "no worker is attached");
        return Some(why.but("start a worker, or look into the daemon's log for why one ended"));
    }
    let misfits = book.workers.values().map(|seen| seen.offer.misfit(needs));
    let nearest = misfits.reduce(|a, b| if a.is_none() || b.is_none() { None } else { a.max(b) }).flatten();
    if let Some(misfit) = nearest {
        return Some(lacking(book, needs, misfit));
    }
    let fitting = || {
        let fits = |(worker, _): &(&WorkerId, &Desk)| {
            book.workers.get(*worker).is_some_and(|seen| seen.offer.misfit(needs).is_none())
        };
        book.floor.desks().iter().filter(fits)
    };
    let node = |desk: &Desk| book.node_names.get(desk.node);
    if fitting().all(|(_, desk)| desk.gate.shut) {
        let names: BTreeSet<_> = fitting().map(|(_, desk)| node(desk).clone()).collect();
        let drained = |name: &&String| book.policy.drained.contains_key(*name);
        let names_text = names.iter().cloned().collect::<Vec<_>>().join(", ");
        if let Some(first) = names.iter().find(drained) {
            let reason = &book.policy.drained[first].reason;
            let why = Why::new(
                Reason::Drained,
                format!("every node that would do takes nothing new ({names_text}: {reason})"),
            );
            return Some(why.but(format!("greenroom node resume {first}")));
        }
        return Some(Why::new(
            Reason::Maintenance,
            format!("every node that would do is in maintenance ({names_text})"),
        ));
    }
    let kept = |desk: &Desk| desk.gate.kept_for.filter(|&kept| !book.is_for(kept, lane.account));
    if fitting().all(|(_, desk)| desk.gate.shut || kept(desk).is_some()) {
        let kept = fitting().find_map(|(_, desk)| kept(desk)).and_then(|n| book.policy.reservation.get(n as usize));
        let name = kept.map_or("", |reservation| reservation.name.as_str());
        let why =
            Why::new(Reason::Reserved, format!("every worker that would do is kept for others (reservation {name})"));
        return Some(why.but("wait for the reservation's end, or shorten it with `greenroom policy set`"));
    }
    let expected = crate::plan::expected(book, book.shapes.get(lane.shape).0);
    let ahead = |desk: &Desk| {
        let exempt = desk.gate.but.is_some_and(|but| book.is_for(but, lane.account));
        !exempt && desk.gate.until.is_some_and(|until| now.after(expected) > until)
    };
    let open = |desk: &Desk| !desk.gate.shut && kept(desk).is_none();
    if fitting().filter(|(_, desk)| open(desk)).all(|(_, desk)| ahead(desk)) {
        let sentence =
            format!("it takes some {} s, and a reservation or maintenance begins before that", expected.as_secs());
        return Some(Why::new(Reason::WindowAhead, sentence));
    }
    let avoids = &book.jobs.get(&job)?.avoids;
    let free = |desk: &&Desk| open(desk) && !ahead(desk) && book.floor.room(desk).holds(book.room_of(lane.shape));
    let mut with_room = fitting().map(|(_, desk)| desk).filter(free).peekable();
    if with_room.peek().is_some() && with_room.all(|desk| avoids.contains(&desk.node)) {
        let names: Vec<_> = avoids.iter().map(|&node| book.node_names.get(node).clone()).collect();
        let sentence = format!("tasks of its job failed on {}, and others are busy", names.join(", "));
        return Some(Why::new(Reason::Blocklisted, sentence));
    }
    None
}

fn lacking(book: &Book, needs: &greenroom_domain::Needs, misfit: Misfit) -> Why {
    let sentence = format!("no worker has what it needs ({needs})");
    match misfit {
        Misfit::Vram => {
            let most = book.workers.values().filter(|seen| seen.offer.kind != greenroom_domain::DeviceKind::Cpu);
            let most = most.map(|seen| seen.offer.memory_mib).max().unwrap_or(0);
            let sentence =
                format!("it needs {} MiB of device memory, and the largest device has {most} MiB", needs.vram_mib);
            Why::new(Reason::NoDeviceWithVram, sentence).but("attach a larger device, or ask for smaller pictures")
        }
        Misfit::Tags => {
            Why::new(Reason::NoTags, sentence).but("give a worker these tags, or take them out of the policy")
        }
        Misfit::Node => Why::new(Reason::NoNode, sentence).but("start a worker there"),
        Misfit::Device | Misfit::Threads => Why::new(Reason::NoDevice, sentence).but("attach such a device"),
    }
}

fn stopped(book: &Book, lane: LaneKey, stop: &Stop, now: Timestamp) -> Why {
    let (project, user) = book.account(lane.account);
    let running = |most: Option<u32>| most.unwrap_or_default();
    match stop {
        Stop::Project(_) => {
            let most = running(book.policy.project.get(project).and_then(|share| share.max_running));
            let sentence = format!("project {project} runs {most} tasks, as many as it may");
            Why::new(Reason::Quota, sentence).but(format!("raise project.{project}.max_running in the policy"))
        }
        Stop::User(_) => {
            let most = running(book.policy.user.get(user).and_then(|share| share.max_running));
            let sentence = format!("user {user} runs {most} tasks, as many as they may");
            Why::new(Reason::Quota, sentence).but(format!("raise user.{user}.max_running in the policy"))
        }
        Stop::Limit(name, until) => {
            let limit = book.policy.limit.get(name).cloned().unwrap_or_default();
            let used = book.tally.count(name, limit.per);
            let sentence = match (until, limit.at_once) {
                (Some(at), _) => {
                    let seconds = at.since(now).as_millis().div_ceil(1000);
                    format!("limit {name}: as many as allowed began within a minute; the next one may in {seconds} s")
                }
                (None, Some(most)) => format!("limit {name}: {used} of {most} are in use"),
                (None, None) => format!("limit {name} allows none"),
            };
            Why::new(Reason::LimitReached, sentence).but("see `greenroom limits`")
        }
    }
}

/// A worker would do, and others come first.
fn turn(book: &Book, lane: LaneKey, task: TaskId, job: JobId, now: Timestamp) -> Why {
    let preempting = |action: &crate::Action| matches!(action, crate::Action::Preempt { cause: crate::Cause::For(t), .. } if *t == task);
    let room = book.room_of(lane.shape);
    let free = |desk: &Desk| !desk.gate.shut && book.floor.room(desk).holds(room);
    let first = book.lanes.get(&lane).and_then(|l| l.tickets.first()).is_some_and(|t| t.task == task);
    if first {
        let plan = crate::plan(book, now);
        if plan.iter().any(|action| matches!(action, crate::Action::Lease { task: t, .. } if *t == task)) {
            return Why::new(Reason::Starting, "a worker is free for it; it begins now");
        }
        let pausing = book.held.values().any(|held| held.pausing && held.level < lane.level);
        if pausing || plan.iter().any(preempting) {
            return Why::new(Reason::Preempting, "a training is paused for it at its next checkpoint");
        }
    }
    let (ahead, urgent, fairer) = ahead(book, lane, task, job, now);
    let held = book.lanes.get(&lane).is_some_and(|l| now.since(l.hungry) >= book.policy.pace.hold_after.duration());
    let parts: Room = book.floor.desks().values().map(|desk| book.floor.room(desk)).max().unwrap_or_default();
    if first && held && parts.slots > 0 && !book.floor.desks().values().any(free) {
        return Why::new(Reason::Held, "its room is free in parts only; a worker is kept free until there is enough");
    }
    if urgent > 0 {
        let remedy = format!("greenroom job priority {job} N, with N up to 10; what waits long rises by itself");
        return Why::new(Reason::Priority, format!("{urgent} more urgent tasks go first, {ahead} in all")).but(remedy);
    }
    if fairer > 0 {
        let sentence =
            format!("{fairer} tasks go first of those who had less of the farm for their share, {ahead} in all");
        return Why::new(Reason::FairShareBehind, sentence);
    }
    let sentence = match ahead {
        0 => "every worker that would do is busy; it is the next one".to_owned(),
        1 => "every worker that would do is busy; one older task goes first".to_owned(),
        n => format!("every worker that would do is busy; {n} older tasks go first"),
    };
    Why::new(Reason::Queued, sentence)
}

/// Tasks that go before one: all, those that are more urgent, and those of others at the same urgency.
fn ahead(book: &Book, lane: LaneKey, task: TaskId, job: JobId, now: Timestamp) -> (usize, usize, usize) {
    let Some(own) = book.lanes.get(&lane) else { return (0, 0, 0) };
    let level = crate::plan::level(book, lane, own, now);
    let place = own.tickets.iter().position(|ticket| ticket.task == task).unwrap_or(0);
    let (mut urgent, mut fairer, mut older) = (0, 0, place);
    let order = Order::of(book, now);
    for (&key, other) in book.lanes.iter().filter(|(key, _)| **key != lane) {
        let of = crate::plan::level(book, key, other, now);
        if of > level {
            urgent += other.tickets.len();
        } else if of == level && key.account != lane.account && order.had(key.account) < order.had(lane.account) {
            fairer += other.tickets.len();
        } else if of == level && key.account == lane.account {
            older += other.tickets.iter().take_while(|ticket: &&Ticket| ticket.job < job).count();
        }
    }
    (urgent + fairer + older, urgent, fairer)
}
