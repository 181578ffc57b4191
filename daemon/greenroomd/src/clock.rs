//! The one place that reads the time and draws entropy; everything else gets both as arguments.

#![expect(clippy::disallowed_methods, reason = "the daemon's one clock and its one source of entropy")]

use std::sync::atomic::{AtomicI64, Ordering};

use greenroom_domain::{CharacterId, Entropy, JobId, ProjectId, TaskId, Timestamp, TokenId, UserId, WorkerId};

/// How wrong the clock is to be, ms; 0 unless somebody tries what a wrong clock does.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// From here on the clock is so much ahead of the machine's.
pub(crate) fn set_ahead(seconds: i64) {
    AHEAD.store(seconds.saturating_mul(1000), Ordering::Relaxed);
}

/// Now.
pub(crate) fn now() -> Timestamp {
    #[cfg(any(test, feature = "chaos"))]
    if let Some(now) = simulated::now() {
        return now;
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(ms.saturating_add(AHEAD.load(Ordering::Relaxed)))
}

/// Now, to measure from.
pub(crate) fn instant() -> std::time::Instant {
    std::time::Instant::now()
}

/// A moment, in UTC, for programs: RFC 3339.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default().to_string()
}

/// A moment, in UTC, for names of files: `20270331T120000Z`.
pub(crate) fn compact(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// How long ago a file's time was.
pub(crate) fn age(at: std::time::SystemTime) -> std::time::Duration {
    at.elapsed().unwrap_or_default()
}

/// Time that goes on evenly from what the clock said once, whatever is done to the clock: for everything that takes or waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steady {
    began: Timestamp,
    at: tokio::time::Instant,
}

impl Steady {
    /// Begins with what the clock says.
    pub(crate) fn begin() -> Self {
        Self { began: now(), at: tokio::time::Instant::now() }
    }

    /// Now.
    pub(crate) fn now(self) -> Timestamp {
        self.began.after(self.at.elapsed())
    }
}

/// The day of a moment, in UTC, for people: `2027-03-31`.
pub(crate) fn day(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%Y-%m-%d").to_string()
}

/// A moment, in UTC, for people: `2027-03-31 12:00 UTC`.
pub(crate) fn minute(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    instant.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// (year, month, day) so many days from today, in UTC.
pub(crate) fn date(days: i64) -> (i32, u8, u8) {
    let at = now().as_millis().saturating_add(days.saturating_mul(86_400_000));
    let date = jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    (i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
}

/// The last day before a moment, for what holds until then.
pub(crate) fn last_day(end: Timestamp) -> String {
    day(Timestamp::from_millis(end.as_millis() - 1))
}

macro_rules! new_ids {
    ($($name:ident -> $id:ident)*) => {$(
        /// A new id.
        pub(crate) fn $name() -> $id {
            $id::new(now(), chance())
        }
    )*};
}

new_ids! {
    new_project -> ProjectId
    new_character -> CharacterId
    new_job -> JobId
    new_task -> TaskId
    new_worker -> WorkerId
    new_user -> UserId
    new_token -> TokenId
}

/// A new secret, 256 bits as hexadecimal digits.
pub(crate) fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

fn chance() -> Entropy {
    #[cfg(any(test, feature = "chaos"))]
    if let Some(drawn) = simulated::chance() {
        return drawn;
    }
    rand::random()
}

/// A clock that goes with the runtime's and can be set, and chance that can be repeated: for a simulated farm, on its own thread
/// and nowhere else. Nothing that ships has it.
#[cfg(any(test, feature = "chaos"))]
pub(crate) mod simulated {
    use greenroom_domain::{Entropy, Seed, Timestamp};
    use std::cell::RefCell;
    use tokio::time::Instant;

    thread_local! {
        static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
    }

    struct Clock {
        began: Instant,
        wall: i64,
        seed: Seed,
        drawn: u32,
    }

    /// From here on this thread's time is the runtime's, beginning at a fixed day. Ends with the answer.
    pub(crate) fn begin(seed: Seed) -> Guard {
        let clock = Clock { began: Instant::now(), wall: 1_800_000_000_000, seed, drawn: 0 };
        CLOCK.with_borrow_mut(|slot| *slot = Some(clock));
        Guard(())
    }

    /// Sets the clock forward or back, as a wrong time server does.
    pub(crate) fn step(ms: i64) {
        CLOCK.with_borrow_mut(|clock| clock.iter_mut().for_each(|clock| clock.wall += ms));
    }

    pub(super) fn now() -> Option<Timestamp> {
        CLOCK.with_borrow(|clock| {
            let clock = clock.as_ref()?;
            Some(Timestamp::from_millis(clock.wall).after(clock.began.elapsed()))
        })
    }

    pub(super) fn chance() -> Option<Entropy> {
        CLOCK.with_borrow_mut(|clock| {
            let clock = clock.as_mut()?;
            clock.drawn += 1;
            let mut bytes = Entropy::default();
            bytes[..8].copy_from_slice(&clock.seed.derive("id", clock.drawn).0.to_be_bytes());
            Some(bytes)
        })
    }

    /// While it is there, the clock is simulated.
    pub(crate) struct Guard(());

    impl Drop for Guard {
        fn drop(&mut self) {
            CLOCK.with_borrow_mut(Option::take);
        }
    }
}
