//! Logs: to journald with their fields under systemd, to the terminal otherwise. GREENROOM_LOG filters.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Call once, first.
pub(crate) fn init() {
    let filter = EnvFilter::try_from_env("GREENROOM_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    match under_systemd().then(tracing_journald::layer) {
        Some(Ok(journal)) => registry.with(journal).init(),
        Some(Err(_)) | None => registry.with(fmt::layer().with_writer(std::io::stderr).with_target(false)).init(),
    }
}

/// systemd sets JOURNAL_STREAM for units whose output goes to the journal.
#[expect(clippy::disallowed_methods, reason = "how systemd tells a service where its output goes")]
fn under_systemd() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}
