//! What this node itself allowed, kept apart from Redis' record, so that the two can be compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::Limit;

/// A key that was not asked for this long is forgotten, if its window is over too.
const IDLE: Duration = Duration::from_mins(1);

struct Entry {
    buckets: BTreeMap<u64, u64>,
    checks: u64,
    asked: Instant,
    window_ms: u64,
}

/// Counts by key. Bounded: beyond the most keys, further ones are not followed.
pub struct Tally {
    entries: Mutex<HashMap<String, Entry>>,
    most: usize,
}

impl Tally {
    /// Follows at most `most` keys.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { entries: Mutex::new(HashMap::new()), most }
    }

    /// Notes a check: `units` were charged in the bucket (none, when it was denied).
    pub fn note(&self, key: &str, limit: Limit, bucket_ms: u64, units: u64) {
        let mut entries = self.lock();
        if !entries.contains_key(key) {
            if entries.len() >= self.most {
                return;
            }
            entries.insert(
                key.to_owned(),
                Entry { buckets: BTreeMap::new(), checks: 0, asked: Instant::now(), window_ms: limit.window_ms },
            );
        }
        let Some(entry) = entries.get_mut(key) else {
            return;
        };
        entry.checks += 1;
        entry.asked = Instant::now();
        entry.window_ms = limit.window_ms;
        if units > 0 {
            *entry.buckets.entry(bucket_ms).or_default() += units;
        }
        // Two buckets more than a window: the audit looks back one window.
        let oldest = bucket_ms.saturating_sub(limit.window_ms + 2 * limit.bucket_width_ms());
        if bucket_ms > 0 && entry.buckets.first_key_value().is_some_and(|(at, _)| *at < oldest) {
            entry.buckets = entry.buckets.split_off(&oldest);
        }
    }

    /// The keys followed now, after forgetting the idle ones.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.asked.elapsed() < IDLE.max(Duration::from_millis(2 * entry.window_ms)));
        let mut keys: Vec<String> = entries.keys().cloned().collect();
        keys.sort();
        keys
    }

    /// Units charged for a key in buckets that start in `[from, to)`.
    #[must_use]
    pub fn units(&self, key: &str, from: u64, to: u64) -> u64 {
        self.lock().get(key).map_or(0, |entry| entry.buckets.range(from..to.max(from)).map(|(_, n)| n).sum())
    }

    // A panic elsewhere cannot leave the map half-written: every change is one call.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { limit: 10, window_ms: 1000 };

    #[test]
    fn units_are_summed_by_bucket_and_old_ones_forgotten() {
        let tally = Tally::new(10);
        tally.note("a", LIMIT, 10_000, 2);
        tally.note("a", LIMIT, 10_050, 3);
        tally.note("a", LIMIT, 10_050, 0);
        assert_eq!(tally.units("a", 10_000, 10_050), 2);
        assert_eq!(tally.units("a", 10_000, 10_100), 5);
        tally.note("a", LIMIT, 12_000, 1);
        assert_eq!(tally.units("a", 0, 20_000), 1);
        assert_eq!(tally.units("b", 0, 20_000), 0);
        assert_eq!(tally.units("a", 20_000, 10_000), 0);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let tally = Tally::new(2);
        for key in ["a", "b", "c"] {
            tally.note(key, LIMIT, 10_000, 1);
        }
        assert_eq!(tally.keys(), ["a", "b"]);
    }
}
