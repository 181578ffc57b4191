//! How long things took, for reports. Nothing is decided by it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Seconds by stage.
#[derive(Debug, Default)]
pub(crate) struct Timings(BTreeMap<&'static str, Duration>);

impl Timings {
    /// Runs a stage and adds its time.
    pub(crate) fn of<T>(&mut self, stage: &'static str, run: impl FnOnce() -> T) -> T {
        let started = now();
        let value = run();
        *self.0.entry(stage).or_default() += started.elapsed();
        value
    }

    /// Adds what was timed within one of these stages, and takes it from that stage.
    pub(crate) fn apart(&mut self, stage: &'static str, within: Self) {
        for (inner, time) in within.0 {
            *self.0.entry(inner).or_default() += time;
            let outer = self.0.entry(stage).or_default();
            *outer = outer.saturating_sub(time);
        }
    }

    /// As reports have them.
    pub(crate) fn seconds(&self) -> BTreeMap<String, f64> {
        self.0.iter().map(|(stage, time)| ((*stage).to_owned(), time.as_secs_f64())).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "the worker's one clock; it only measures")]
fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for the lines of a log.
#[expect(clippy::disallowed_methods, reason = "the worker's one clock; a log says when")]
pub(crate) fn milliseconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Says when it is time again.
#[derive(Debug)]
pub(crate) struct Every(Duration, Instant);

impl Every {
    /// For the first time after this long.
    pub(crate) fn new(span: Duration) -> Self {
        Self(span, now())
    }

    /// Whether so long has passed since it last was.
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.1.elapsed() >= self.0;
        if due {
            self.1 = now();
        }
        due
    }
}
