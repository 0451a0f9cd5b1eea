//! How many Incidents the monitor opens: ten at once, then ten a minute, of all Subjects together. When something that
//! many systems share breaks, a thousand Incidents would say nothing that ten do not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At once.
const BURST: f64 = 10.0;
/// After that, one each.
const EACH: Duration = Duration::from_secs(6);

/// Why one waits.
pub const WHY: &str =
    "no Incident yet: many Subjects are violated at once, and the monitor opens at most 10 Incidents a minute";

/// Who may open one now.
#[derive(Debug)]
pub struct Rate {
    most: f64,
    each: Duration,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Instant,
}

impl Default for Rate {
    fn default() -> Self {
        Self::new(BURST, EACH)
    }
}

impl Rate {
    /// So many at once, and after that one each.
    #[must_use]
    pub fn new(most: f64, each: Duration) -> Self {
        Self { most, each, bucket: Mutex::new(Bucket { left: most, filled: Instant::now() }) }
    }

    /// The time after which the next one comes, if there is none.
    #[must_use]
    pub fn each(&self) -> Duration {
        self.each
    }

    /// Whether one may be opened now; it then counts.
    pub fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(bucket.filled);
        bucket.left = (bucket.left + since.as_secs_f64() / self.each.as_secs_f64()).min(self.most);
        bucket.filled = bucket.filled.max(now);
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_at_once_and_then_ten_a_minute() {
        let rate = Rate::default();
        let begin = Instant::now();
        let taken =
            |after: u64, asked: usize| (0..asked).filter(|_| rate.take(begin + Duration::from_secs(after))).count();
        assert_eq!(taken(0, 200), 10);
        assert_eq!(taken(5, 200), 0);
        assert_eq!((taken(6, 200), taken(30, 200)), (1, 4));
        assert_eq!(taken(3600, 200), 10, "no more than that are saved up");
    }
}
