//! Logs: to journald with their fields under systemd, to standard error otherwise. GREENROOM_LOG filters.

use std::{ffi::OsString, io::IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Call once, first.
pub(crate) fn init() {
    let filter = EnvFilter::try_from_env("GREENROOM_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    match under_systemd().then(tracing_journald::layer) {
        Some(Ok(journal)) => registry.with(journal).init(),
        Some(Err(_)) | None => {
            let colour = std::io::stderr().is_terminal() && set("NO_COLOR").is_none();
            let terminal = fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colour);
            registry.with(terminal).init();
        }
    }
}

/// systemd sets JOURNAL_STREAM for units whose output goes to the journal.
fn under_systemd() -> bool {
    set("JOURNAL_STREAM").is_some()
}

#[expect(clippy::disallowed_methods, reason = "how a terminal or systemd tells a service where its output goes")]
fn set(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}
