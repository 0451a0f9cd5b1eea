//! The guard that everything which acts holds: whether this process still leads, by its own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

/// What is refused to a process that does not lead any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this controller does not lead any more (its epoch was {0}): it does nothing")]
pub struct NotLeading(u64);

impl NotLeading {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        "not_leading"
    }
}

/// Whether this process leads, and in which epoch. Cheap to clone and to ask; clones are the same.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<State>);

#[derive(Debug)]
struct State {
    epoch: i64,
    /// Nanoseconds of [`now`].
    until: AtomicU64,
    lost: CancellationToken,
}

/// Time since the machine began, time asleep included: `std::time::Instant` does not count that, and a
/// machine that slept past the end of its lease must know it.
pub(super) fn now() -> Duration {
    // The kernel's clocks are not before their own beginning.
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or(Duration::MAX)
}

impl Leadership {
    pub(super) fn until(epoch: i64, until: Duration) -> Self {
        let state = State { epoch, until: AtomicU64::new(nanos(until)), lost: CancellationToken::new() };
        Self(Arc::new(state))
    }

    /// One that never runs out, for whoever is alone: measurements and tests.
    #[must_use]
    pub fn for_ever(epoch: i64) -> Self {
        Self::until(epoch, Duration::MAX)
    }

    /// The epoch, as frames and names carry it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.0.epoch.unsigned_abs()
    }

    /// The epoch, as the database has it.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.0.epoch
    }

    /// Whether something may be done now. To be asked right before it is done: between this answer and
    /// the deed nothing else guards what cannot refuse an old epoch itself.
    ///
    /// # Errors
    /// [`NotLeading`], from then on for ever.
    pub fn check(&self) -> Result<(), NotLeading> {
        if self.0.lost.is_cancelled() || nanos(now()) >= self.0.until.load(Ordering::Acquire) {
            return Err(NotLeading(self.epoch()));
        }
        Ok(())
    }

    /// Cancelled when the lease is lost. Who waits for this alone may hear of it late: ask
    /// [`Leadership::check`].
    #[must_use]
    pub fn lost(&self) -> &CancellationToken {
        &self.0.lost
    }

    /// From now on nothing passes.
    pub fn end(&self) {
        self.0.lost.cancel();
    }

    pub(super) fn extend(&self, until: Duration) {
        self.0.until.fetch_max(nanos(until), Ordering::AcqRel);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_by_the_clock_alone() {
        let leadership = Leadership::until(7, now() + Duration::from_mins(1));
        assert_eq!((leadership.check(), leadership.epoch()), (Ok(()), 7));
        let over = Leadership::until(7, now());
        assert_eq!(over.check(), Err(NotLeading(7)));
        over.extend(now() + Duration::from_mins(1));
        assert_eq!(over.check(), Ok(()));
        over.extend(Duration::ZERO);
        assert_eq!(over.check(), Ok(()), "a late answer takes nothing away");
    }

    #[test]
    fn an_end_is_an_end() {
        let leadership = Leadership::for_ever(1);
        let other = leadership.clone();
        leadership.end();
        other.extend(Duration::MAX);
        assert!(other.check().unwrap_err().to_string().contains("does not lead any more"));
        assert!(other.lost().is_cancelled());
    }
}
