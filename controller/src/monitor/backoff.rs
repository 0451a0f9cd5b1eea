//! How long to wait before something is tried again: longer each time, and briefly again once it went well for a while.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_mins(1);
/// What ran for so long went well.
const WELL: Duration = Duration::from_mins(2);

/// Waits of one thing that is tried again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    /// How often it failed, one after the other.
    pub(super) failures: u32,
}

impl Backoff {
    /// It failed after it had run for so long: the wait until the next try.
    pub(super) fn failed(&mut self, ran: Duration) -> Duration {
        if ran >= WELL {
            self.failures = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_begin_anew_after_a_good_run() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..8).map(|_| backoff.failed(Duration::from_secs(1)).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((backoff.failed(WELL).as_secs(), backoff.failures), (1, 1));
        (0..100).for_each(|_| assert!(backoff.failed(Duration::ZERO) <= LONGEST));
    }
}
