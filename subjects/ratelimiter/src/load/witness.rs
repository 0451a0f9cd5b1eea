//! A witness from outside: what the clients were allowed in one window, whoever allowed it.
//!
//! Neither the nodes' counts nor Redis' are trusted here, so this is what shows that more was let
//! through than the limit allows. Answers that were late may fall into one window although they were
//! decided in two: a few per cent above the limit are not yet a finding.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ask::Client;
use super::view::View;
use crate::limits::Limit;

const ASK_LIMITS_EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Seen {
    limit: Option<Limit>,
    allowed: VecDeque<Instant>,
}

/// What was allowed, by key. The keys are those of the flags, so this is bounded.
pub(super) struct Witness {
    keys: BTreeMap<String, Seen>,
}

impl Witness {
    pub(super) fn new(keys: &[String]) -> Self {
        let keys = keys.iter().map(|key| (key.clone(), Seen::default()));
        Self { keys: keys.collect() }
    }

    pub(super) fn allowed(&mut self, key: &str, at: Instant) {
        if let Some(seen) = self.keys.get_mut(key) {
            seen.allowed.push_back(at);
            seen.forget(at);
        }
    }

    pub(super) fn set_limit(&mut self, key: &str, limit: Limit) {
        if let Some(seen) = self.keys.get_mut(key) {
            seen.limit = Some(limit);
        }
    }

    /// Key, allowed in the last window, limit; only for keys whose limit is known.
    pub(super) fn windows(&mut self, now: Instant) -> Vec<(String, u64, u64)> {
        self.keys
            .iter_mut()
            .filter_map(|(key, seen)| {
                seen.forget(now);
                let limit = seen.limit?.limit;
                Some((key.clone(), seen.allowed.len() as u64, limit))
            })
            .collect()
    }
}

impl Seen {
    fn forget(&mut self, now: Instant) {
        let window = Duration::from_millis(self.limit.map_or(60_000, |limit| limit.window_ms));
        while self.allowed.front().is_some_and(|at| now.duration_since(*at) >= window) {
            self.allowed.pop_front();
        }
    }
}

/// Asks for the limits now and then; the last known one stays while nobody answers.
pub(super) async fn follow_limits(client: Arc<Client>, view: Arc<View>, mut keys: Vec<String>) {
    keys.sort();
    keys.dedup();
    loop {
        for key in &keys {
            if let Some(limit) = client.limit(key).await {
                view.set_limit(key, limit);
            }
        }
        tokio::time::sleep(ASK_LIMITS_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_window_counts() {
        let mut witness = Witness::new(&["a".to_owned()]);
        let start = Instant::now();
        assert!(witness.windows(start).is_empty(), "no limit known yet");
        witness.set_limit("a", Limit { limit: 2, window_ms: 1000 });
        for ms in [0, 500, 900, 1100] {
            witness.allowed("a", start + Duration::from_millis(ms));
        }
        witness.allowed("unknown", start);
        let windows = witness.windows(start + Duration::from_millis(1100));
        assert_eq!(windows, [("a".to_owned(), 3, 2)]);
    }
}
