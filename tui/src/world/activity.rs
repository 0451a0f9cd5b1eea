//! How much changed in the last seconds: a pulse that shows that the screen lives.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::time;

/// How far back.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Changes of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// Each second once.
    seconds: VecDeque<(i64, [u32; 3])>,
}

impl Activity {
    /// Notes how many were added, deleted and changed.
    pub fn note(&mut self, now: Timestamp, counts: [u32; 3]) {
        let second = now.as_second();
        match self.seconds.back_mut().filter(|(last, _)| *last >= second) {
            Some((_, sums)) => sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum = sum.saturating_add(count)),
            None => self.seconds.push_back((second, counts)),
        }
        while self.seconds.len() > 16 {
            self.seconds.pop_front();
        }
    }

    /// How many were added, deleted and changed in the last seconds; none if nothing happened.
    #[must_use]
    pub fn recent(&self, now: Timestamp) -> Option<[u32; 3]> {
        let mut sums = [0u32; 3];
        for (_, counts) in self.recently(now) {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        }
        (sums != [0; 3]).then_some(sums)
    }

    /// How long until that changes by itself.
    #[must_use]
    pub fn tick(&self, now: Timestamp) -> Option<Duration> {
        let oldest = self.recently(now).next()?.0;
        let oldest = Timestamp::from_second(oldest).ok()?;
        // One more, as the second itself still counts.
        Some((WINDOW + Duration::from_secs(1)).saturating_sub(time::elapsed(oldest, now)))
    }

    fn recently(&self, now: Timestamp) -> impl Iterator<Item = &(i64, [u32; 3])> {
        let first = now.as_second() - WINDOW.as_secs().cast_signed();
        self.seconds.iter().filter(move |(second, _)| *second >= first)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::testing::now;

    #[test]
    fn what_is_old_is_forgotten() {
        let mut activity = Activity::default();
        assert_eq!((activity.recent(now()), activity.tick(now())), (None, None));
        activity.note(now(), [1, 0, 0]);
        activity.note(now(), [0, 0, 3]);
        let later = now() + SignedDuration::from_secs(6);
        activity.note(later, [0, 1, 0]);
        assert_eq!(activity.recent(later), Some([1, 1, 3]));
        let wait = activity.tick(later).unwrap();
        let then = later + SignedDuration::try_from(wait).unwrap();
        assert_eq!(activity.recent(then), Some([0, 1, 0]));
        assert_eq!(activity.recent(then + SignedDuration::from_mins(1)), None);
    }
}
