//! What is logged while a task runs goes to the daemon too, where people read it.
//!
//! A worker runs one task at a time, so whatever is logged meanwhile, on whichever thread, is that task's.

use greenroom_proto::worker_v1::{Log, LogLine};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use crate::clock;

/// Lines go to the daemon so often.
pub(crate) const SENT_EVERY: Duration = Duration::from_millis(500);
/// Bytes that are held until then; what comes when they are full is counted and let go.
const HELD: usize = 512 << 10;
/// Of one line.
const LINE: usize = 16 << 10;

/// The lines of the task that runs. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    task: Option<(String, u64)>,
    lines: Vec<LogLine>,
    bytes: usize,
    lost: usize,
}

impl TaskLog {
    /// From now on lines are of this task.
    pub(crate) fn begin(&self, task: &str, epoch: u64) {
        *self.lock() = State { task: Some((task.to_owned(), epoch)), ..State::default() };
    }

    /// Adds a line: `error`, `warn`, `info`, or `output` for what a command said.
    pub(crate) fn add(&self, level: &str, text: &str) {
        let mut state = self.lock();
        if state.task.is_none() {
            return;
        }
        let text = &text[..text.floor_char_boundary(LINE)];
        if state.bytes + text.len() > HELD {
            state.lost += 1;
            return;
        }
        state.bytes += text.len();
        state.lines.push(line(level, text.to_owned()));
    }

    /// Takes out what has come since; none where nothing has.
    pub(crate) fn take(&self) -> Option<Log> {
        let mut state = self.lock();
        let (task, epoch) = state.task.clone()?;
        let mut lines = std::mem::take(&mut state.lines);
        state.bytes = 0;
        let lost = std::mem::take(&mut state.lost);
        if lost > 0 {
            lines.push(line("warn", format!("… {lost} lines came too fast and are left out here …")));
        }
        (!lines.is_empty()).then_some(Log { task, epoch, lines })
    }

    /// The same for the last time: what comes now is no task's.
    pub(crate) fn end(&self) -> Option<Log> {
        let last = self.take();
        self.lock().task = None;
        last
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(level: &str, text: String) -> LogLine {
    LogLine { at_ms: clock::milliseconds(), level: level.to_owned(), text }
}

impl<S: Subscriber> Layer<S> for TaskLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => return,
        };
        let mut words = Words::default();
        event.record(&mut words);
        self.add(level, &format!("{}{}", words.message, words.fields));
    }
}

/// An event in one line: its message, then `name=value`.
#[derive(Debug, Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn texts(log: Option<Log>) -> Vec<(String, String)> {
        log.map_or_else(Vec::new, |log| log.lines.into_iter().map(|line| (line.level, line.text)).collect())
    }

    #[test]
    fn what_is_logged_while_a_task_runs_is_its() {
        let log = TaskLog::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            log.begin("task_1", 2);
            tracing::warn!(frame = 7, name = "MARA", "no face");
            tracing::debug!("nobody's concern");
        });
        log.add("output", "said by a command");
        let sent = log.take();
        assert_eq!(sent.as_ref().map(|log| (log.task.as_str(), log.epoch)), Some(("task_1", 2)));
        let expected = [("warn", "no face frame=7 name=MARA"), ("output", "said by a command")];
        assert_eq!(texts(sent), expected.map(|(level, text)| (level.to_owned(), text.to_owned())));
        assert!(log.take().is_none() && log.end().is_none());
        log.add("info", "afterwards");
        assert!(log.take().is_none());
    }

    #[test]
    fn a_flood_is_counted() {
        let log = TaskLog::default();
        log.begin("task_1", 1);
        (0..1000).for_each(|_| log.add("output", &"x".repeat(1 << 10)));
        let lines = texts(log.end());
        assert_eq!(lines.len(), 513);
        assert_eq!(lines[512].1, "… 488 lines came too fast and are left out here …");
    }
}
