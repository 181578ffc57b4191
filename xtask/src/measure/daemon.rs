//! The daemon at rest and under small jobs.
//!
//! `submit_to_start` runs from just before the command is started to the `leased` event of the job's only task, so the
//! start of a process, its connection, hashing, upload and the call are in it. `create_to_start` is the daemon's part of
//! that: from the job's first event on. All times are of one machine's clock; the event log counts whole milliseconds.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use super::farm::Farm;
use super::process::{Memory, pause, wall_clock};
use super::{Figure, farm};

const STARTS: usize = 5;
const IDLE: Duration = Duration::from_secs(5);
const PUSHES: u32 = 100;
const PICTURE: &str = "tests/fixtures/hidden-lab/cast/mara/1.png";
const PROJECT: &str = "measure";

pub(super) fn figures(root: &Path) -> anyhow::Result<Vec<Figure>> {
    farm::program(root, "greenroom-worker")?;
    let mut ready = Vec::new();
    for _ in 0..STARTS {
        ready.push(Farm::start(root)?.1);
    }
    let (farm, _) = Farm::start(root)?;
    farm.wait_for_worker()?;
    pause(IDLE);
    let idle = farm.daemon_memory(Memory::Resident)?;
    let (mut submitted, mut created): (Vec<_>, Vec<_>) = pushes(root, &farm)?.into_iter().unzip();
    Ok(vec![
        Figure::milliseconds("daemon.ready.median", quantile(&mut ready, 0.5)),
        Figure::milliseconds("daemon.ready.max", quantile(&mut ready, 1.0)),
        Figure::mebibytes("daemon.idle.rss", idle),
        Figure::milliseconds("submit_to_start.p50", quantile(&mut submitted, 0.5)),
        Figure::milliseconds("submit_to_start.p99", quantile(&mut submitted, 0.99)),
        Figure::milliseconds("create_to_start.p50", quantile(&mut created, 0.5)),
        Figure::milliseconds("create_to_start.p99", quantile(&mut created, 0.99)),
        Figure::mebibytes("daemon.busy.peak_rss", farm.daemon_memory(Memory::Peak)?),
        Figure::mebibytes("worker.profile.peak_rss", farm.worker_memory(Memory::Peak)?),
    ])
}

/// How long each of many pushes waited for its start, from its command on and from its creation on: one after another,
/// each with an idle worker.
fn pushes(root: &Path, farm: &Farm) -> anyhow::Result<Vec<(Duration, Duration)>> {
    farm.ask(["project", "create", PROJECT])?;
    let folder = TempDir::with_prefix("greenroom-measure-")?;
    let picture = fs::read(root.join(PICTURE)).with_context(|| format!("read {PICTURE}"))?;
    (0..PUSHES)
        .map(|number| {
            // Bytes after a picture's end change its digest and nothing else, so every profile is work of its own.
            let path = folder.path().join(format!("{number}.png"));
            fs::write(&path, [picture.as_slice(), &number.to_le_bytes()].concat())?;
            let name = format!("ACTOR {number}");
            let sent = wall_clock()?;
            farm.ask(["character".as_ref(), "create".as_ref(), PROJECT.as_ref(), name.as_ref(), path.as_os_str()])?;
            let jobs = farm.ask(["jobs", "--limit", "1"])?;
            let job = jobs[0]["name"].as_str().context("`greenroom jobs` names no job")?;
            let events = farm.ask_lines(["watch", job.rsplit('/').next().unwrap_or(job)])?;
            let (created, leased) = (time(events.first())?, leased(&events)?);
            let whole = leased.checked_sub(sent).context("the job started before it was pushed")?;
            Ok((whole, leased.saturating_sub(created)))
        })
        .collect()
}

/// When the job's first task was leased, since 1970.
fn leased(events: &[Value]) -> anyhow::Result<Duration> {
    let event = events.iter().find(|event| event["task"]["state"] == "leased");
    time(Some(event.context("no task was leased")?))
}

/// When an event happened, since 1970.
fn time(event: Option<&Value>) -> anyhow::Result<Duration> {
    let time = event.and_then(|event| event["time"].as_str()).context("an event has no time")?;
    let milliseconds = time.parse::<jiff::Timestamp>()?.as_millisecond();
    Ok(Duration::from_millis(milliseconds.try_into().context("an event is from before 1970")?))
}

/// The smallest of `values` that no smaller share than `share` of them exceeds; `values` must not be empty.
fn quantile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a few hundred values, a share of 0 to 1")]
    let rank = (values.len() as f64 * share).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values = (1..=100).rev().map(Duration::from_millis).collect::<Vec<_>>();
        let of = |values: &mut [Duration], share| quantile(values, share).as_millis();
        assert_eq!((of(&mut values, 0.5), of(&mut values, 0.99), of(&mut values, 1.0)), (50, 99, 100));
        assert_eq!(of(&mut values[..1], 0.5), 1);
    }

    #[test]
    fn a_start_is_the_first_lease() {
        let event = |state: &str, time: &str| json!({"task": {"state": state}, "time": time});
        let events = [
            json!({"job": {"state": "active"}, "time": "1970-01-01T00:00:01Z"}),
            event("ready", "1970-01-01T00:00:01Z"),
            event("leased", "1970-01-01T00:00:01.25Z"),
            event("leased", "1970-01-01T00:00:09Z"),
        ];
        assert_eq!(leased(&events).unwrap(), Duration::from_millis(1250));
        assert!(leased(&events[..2]).is_err());
    }
}
