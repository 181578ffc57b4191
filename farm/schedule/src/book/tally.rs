//! Who uses how much of the farm now, and used lately; and what counts against which limit. Counters equal the sum of bookings.

use greenroom_domain::{Limit, LimitPer, Span, Timestamp};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// A task that has just begun counts as having run so long, so that tasks begun in one go are shared fairly too.
const DEPOSIT: f64 = 60.0;
/// Over which `per_minute` counts.
const MINUTE: Duration = Duration::from_secs(60);

/// What is counted. A plan works on a copy of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// By the project's number.
    pub projects: BTreeMap<u32, Use>,
    /// By the user's number.
    pub users: BTreeMap<u32, Use>,
    limits: BTreeMap<String, LimitUse>,
}

/// Seconds of workers that somebody had.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Use {
    /// Tasks that run.
    pub running: u32,
    /// Sum of the moments at which they began, seconds.
    begun: f64,
    /// Of tasks that ended, halved by time …
    ended: f64,
    /// … as of then, seconds.
    at: f64,
}

#[derive(Clone, Debug, Default)]
struct LimitUse {
    running: u32,
    nodes: BTreeMap<u32, u32>,
    begun: VecDeque<Timestamp>,
}

/// Where a limit lets a task begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Anywhere.
    Anywhere,
    /// On these nodes only: no further one may have the licence.
    On(Vec<u32>),
    /// Nowhere, until something ends or, for a rate, until then.
    Nowhere(Option<Timestamp>),
}

impl Use {
    /// Seconds of workers, of late counting more.
    pub(crate) fn seconds(&self, now: Timestamp, half_life: Span) -> f64 {
        let (now, running) = (seconds(now), f64::from(self.running));
        let age = (now - self.at).max(0.0) / half_life.duration().as_secs_f64();
        self.ended * (-age).exp2() + (running * now - self.begun).max(0.0) + running * DEPOSIT
    }

    pub(crate) fn begin(&mut self, at: Timestamp) {
        self.running += 1;
        self.begun += seconds(at);
    }

    pub(crate) fn end(&mut self, began: Timestamp, now: Timestamp, half_life: Span) {
        let age = (seconds(now) - self.at).max(0.0) / half_life.duration().as_secs_f64();
        self.ended = self.ended * (-age).exp2() + now.since(began).as_secs_f64();
        self.at = seconds(now);
        self.running = self.running.saturating_sub(1);
        self.begun = if self.running == 0 { 0.0 } else { self.begun - seconds(began) };
    }
}

impl Tally {
    /// A task begins that counts against these limits.
    pub(crate) fn begin(&mut self, limits: &[String], node: u32, now: Timestamp) {
        for name in limits {
            let limit = self.limits.entry(name.clone()).or_default();
            limit.running += 1;
            *limit.nodes.entry(node).or_default() += 1;
            limit.begun.push_back(now);
            while limit.begun.front().is_some_and(|&at| now.since(at) >= MINUTE) {
                limit.begun.pop_front();
            }
        }
    }

    /// It ended.
    pub(crate) fn end(&mut self, limits: &[String], node: u32) {
        for name in limits {
            let Some(limit) = self.limits.get_mut(name) else { continue };
            limit.running = limit.running.saturating_sub(1);
            if let Some(count) = limit.nodes.get_mut(&node) {
                *count -= 1;
                if *count == 0 {
                    limit.nodes.remove(&node);
                }
            }
        }
    }

    /// Where a limit lets one more begin.
    pub(crate) fn leave(&self, name: &str, limit: &Limit, now: Timestamp) -> Leave {
        let Some(used) = self.limits.get(name) else {
            let none = limit.at_once == Some(0) || limit.per_minute == Some(0);
            return if none { Leave::Nowhere(None) } else { Leave::Anywhere };
        };
        if let Some(rate) = limit.per_minute {
            let recent = used.begun.iter().filter(|at| now.since(**at) < MINUTE);
            if recent.clone().count() >= rate as usize {
                return Leave::Nowhere(recent.min().map(|at| at.after(MINUTE)));
            }
        }
        match limit.per {
            LimitPer::Task if limit.at_once.is_some_and(|most| used.running >= most) => Leave::Nowhere(None),
            LimitPer::Node if limit.at_once.is_some_and(|most| used.nodes.len() >= most as usize) => {
                Leave::On(used.nodes.keys().copied().collect())
            }
            _ => Leave::Anywhere,
        }
    }

    /// Tasks that began against a limit within the last minute.
    pub(crate) fn begun(&self, name: &str, now: Timestamp) -> usize {
        self.limits.get(name).map_or(0, |used| used.begun.iter().filter(|at| now.since(**at) < MINUTE).count())
    }

    /// What counts against a limit now: tasks, or nodes.
    pub(crate) fn count(&self, name: &str, per: LimitPer) -> u32 {
        self.limits.get(name).map_or(0, |used| match per {
            LimitPer::Task => used.running,
            LimitPer::Node => used.nodes.len() as u32,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1000.0
}
