//! The session's log: what the official crate says of itself and of its commands, secrets blanked out already.

use log::{Level, LevelFilter, Log, Metadata, Record};
use openjd_sessions::LogContent;
use std::{
    io::{self, Stdout},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::wire::{Said, send};

/// Where everything is said to the worker.
#[derive(Debug)]
pub(super) struct Voice(Mutex<Stdout>);

impl Voice {
    /// Of this process, from now on its one logger too.
    pub(super) fn take() -> &'static Self {
        let voice: &'static Self = Box::leak(Box::new(Self(Mutex::new(io::stdout()))));
        // It fails only where there is one already; then that one speaks.
        if log::set_logger(voice).is_ok() {
            log::set_max_level(LevelFilter::Info);
        }
        voice
    }

    /// Says something. Where nobody listens any more, the session is about to end anyway.
    pub(super) fn say(&self, said: &Said) {
        let _ = send(&mut *self.lock(), said);
    }

    /// Lets bytes follow a line, with nothing in between.
    pub(super) fn with<T>(&self, write: impl FnOnce(&mut Stdout) -> io::Result<T>) -> io::Result<T> {
        write(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Stdout> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Voice {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info && metadata.target().starts_with("openjd")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let content = record.key_values().get("openjd_log_content".into()).and_then(|value| value.to_u64());
        let output = content.is_some_and(|bits| bits == u64::from(LogContent::COMMAND_OUTPUT.bits()));
        let line = record.args().to_string();
        if let Some(text) = line.strip_prefix("openjd_status: ").filter(|_| output) {
            // The official crate's own account of it is not blanked out; this line is.
            self.say(&Said::Status { text: text.to_owned() });
        }
        self.say(&Said::Log { line, output });
    }

    fn flush(&self) {}
}
