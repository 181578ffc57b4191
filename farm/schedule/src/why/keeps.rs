//! What keeps a task from every worker, however many others there are.

use greenroom_domain::{DeviceKind, JobId, Misfit, Needs, Timestamp, WorkerId};
use std::collections::BTreeSet;

use super::{Reason, Why};
use crate::{
    Book,
    book::{LaneKey, floor::Desk},
    plan::{Stop, expected},
};

/// What keeps a task however many others there are: nothing that is attached, or nothing that is open to it, would do.
pub(super) fn unplaceable(book: &Book, lane: LaneKey, job: JobId, now: Timestamp) -> Option<Why> {
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
        let unfit = fitting().find_map(|(&worker, _)| Some((book.workers.get(&worker)?, book.unfit(worker)?)));
        if let Some((seen, unfit)) = unfit {
            let (node, device) = (&seen.offer.node, &seen.offer.device);
            let sentence = format!("no device that would do is fit for work ({node} {device}: {unfit})");
            return Some(Why::new(Reason::Unfit, sentence).but(unfit.remedy()));
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
    let expected = expected(book, book.shapes.get(lane.shape).0);
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
    let asks = book.room_of(lane.shape).mib;
    let taken = |worker: WorkerId, desk: &Desk| desk.whole.mib.saturating_sub(book.others_mib(worker)) < asks;
    if let Some((&worker, _)) = fitting().find(|(_, desk)| open(desk) && asks > 0)
        && fitting().filter(|(_, desk)| open(desk)).all(|(&worker, desk)| taken(worker, desk))
    {
        let seen = book.workers.get(&worker)?;
        let (node, device, others) = (&seen.offer.node, &seen.offer.device, book.others_mib(worker));
        let sentence = format!(
            "it needs {asks} MiB of device memory, and programs of others have {others} MiB of {node} {device}"
        );
        return Some(Why::new(Reason::DeviceInUse, sentence).but("end them (greenroom devices tells which), or wait"));
    }
    let avoids = &book.jobs.get(&job)?.avoids;
    let free = |desk: &&Desk| open(desk) && !ahead(desk) && book.floor.room(desk).holds(book.room_of(lane.shape));
    let mut with_room = fitting().map(|(_, desk)| desk).filter(free).peekable();
    let elsewhere = fitting().any(|(_, desk)| open(desk) && !avoids.contains(&desk.node));
    if elsewhere && with_room.peek().is_some() && with_room.all(|desk| avoids.contains(&desk.node)) {
        let names: Vec<_> = avoids.iter().map(|&node| book.node_names.get(node).clone()).collect();
        let sentence = format!("tasks of its job failed on {}, and others are busy", names.join(", "));
        return Some(Why::new(Reason::Blocklisted, sentence));
    }
    None
}

fn lacking(book: &Book, needs: &Needs, misfit: Misfit) -> Why {
    let sentence = format!("no worker has what it needs ({needs})");
    match misfit {
        Misfit::Vram => {
            let most = book.workers.values().filter(|seen| seen.offer.kind != DeviceKind::Cpu);
            let most = most.map(|seen| seen.offer.memory_mib).max().unwrap_or(0);
            let sentence =
                format!("it needs {} MiB of device memory, and the largest device has {most} MiB", needs.vram_mib);
            Why::new(Reason::NoDeviceWithVram, sentence).but("attach a larger device, or ask for smaller pictures")
        }
        Misfit::Ram => {
            let most = book.workers.values().map(|seen| seen.offer.ram_mib).max().unwrap_or(0);
            let sentence =
                format!("it needs {} MiB of memory, and the most that a worker may use is {most} MiB", needs.ram_mib);
            Why::new(Reason::NoWorkerWithRam, sentence).but("raise [workers] memory_max, or attach a larger machine")
        }
        Misfit::Tags => {
            Why::new(Reason::NoTags, sentence).but("give a worker these tags, or take them out of the policy")
        }
        Misfit::Node => Why::new(Reason::NoNode, sentence).but("start a worker there"),
        Misfit::Device | Misfit::Threads => Why::new(Reason::NoDevice, sentence).but("attach such a device"),
    }
}

/// A quota or a limit keeps it.
pub(super) fn stopped(book: &Book, lane: LaneKey, stop: &Stop, now: Timestamp) -> Why {
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
