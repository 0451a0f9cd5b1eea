//! When a failed attempt is made again.

use std::time::Duration;

use super::failure::Failure;

/// Bounded in attempts and in time; the pause doubles, with jitter so that many sessions do not come
/// back at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// The first pause.
    pub first_pause: Duration,
    /// The longest pause of its own.
    pub longest_pause: Duration,
    /// The longest pause that the API may ask for; asked for more, it gives up.
    pub longest_retry_after: Duration,
    /// No attempt begins later than this after the first.
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(20),
            longest_retry_after: Duration::from_secs(90),
            total: Duration::from_mins(5),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after the failure of attempt number `attempt` (from 1); `None` gives up.
    pub(super) fn wait(&self, failure: &Failure, attempt: u32, elapsed: Duration) -> Option<Duration> {
        if !failure.retry || attempt >= self.attempts {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        // Between three quarters and all of it.
        let jitter = 0.75 + f64::from(rand::random::<u16>()) / f64::from(u16::MAX) / 4.0;
        let pause = doubled.min(self.longest_pause).mul_f64(jitter);
        let wait = match failure.error.retry_after {
            Some(asked) if asked > self.longest_retry_after => return None,
            Some(asked) => asked.max(pause),
            None => pause,
        };
        (elapsed.saturating_add(wait) <= self.total).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_and_ends() {
        let policy = RetryPolicy::default();
        let failure = Failure::network("");
        let wait = |attempt| policy.wait(&failure, attempt, Duration::ZERO);
        assert!(wait(1).unwrap() <= Duration::from_millis(500));
        assert!(wait(3).unwrap() >= Duration::from_millis(1500));
        assert!(wait(7).unwrap() <= Duration::from_secs(20));
        assert_eq!(wait(8), None);
        assert_eq!(policy.wait(&failure, 1, Duration::from_mins(5)), None);
    }

    #[test]
    fn does_as_the_api_asks_within_bounds() {
        let policy = RetryPolicy::default();
        let mut failure = Failure::network("");
        failure.error.retry_after = Some(Duration::from_secs(7));
        assert_eq!(policy.wait(&failure, 1, Duration::ZERO), Some(Duration::from_secs(7)));
        failure.error.retry_after = Some(Duration::from_hours(1));
        assert_eq!(policy.wait(&failure, 1, Duration::ZERO), None);
        assert_eq!(policy.wait(&Failure::network("").for_good(), 1, Duration::ZERO), None);
    }
}
