//! A disk without room is waited for: what was computed is not thrown away, and its attempt is nobody's fault.

use greenroom_artifacts::Result;
use greenroom_domain::Digest;
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::Bench;
use crate::fault::Fault;

/// Time between two tries.
const AGAIN: Duration = Duration::from_secs(1);

/// Told that a task waits, and for what; answers whether it is to go on.
type Ask = Box<dyn FnMut(&str) -> ControlFlow<()> + Send>;

/// Whom a task that waits asks whether anybody still wants it. Where there is nobody to ask, nothing is waited for.
#[derive(Clone, Default)]
pub(crate) struct Patience(Arc<Mutex<Option<Ask>>>);

impl Patience {
    /// This one is asked from now on.
    pub(crate) fn ask(&self, ask: impl FnMut(&str) -> ControlFlow<()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(ask));
    }

    /// Nobody is there to be asked.
    pub(crate) fn over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_wanted(&self) -> Option<ControlFlow<()>> {
        let mut ask = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ask.as_mut().map(|ask| ask("waiting: the disk that holds the artifacts is full"))
    }
}

impl Bench {
    /// Puts something into the artifact store, as soon as there is room for it.
    pub(super) fn put(&self, put: impl AsyncFn() -> Result<Digest>) -> std::result::Result<Digest, Fault> {
        let mut waits = false;
        loop {
            match self.runtime.block_on(put()) {
                Err(error) if error.is_full() => match self.patience.is_wanted() {
                    Some(ControlFlow::Continue(())) => {
                        if !std::mem::replace(&mut waits, true) {
                            tracing::warn!(remedy = error.problem().remedy, "{error}; waiting for room");
                        }
                        pause(AGAIN);
                    }
                    Some(ControlFlow::Break(())) => return Err(Fault::cancelled()),
                    None => return Err(error.into()),
                },
                other => return Ok(other?),
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nobody tells when a disk has room again")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
