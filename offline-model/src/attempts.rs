//! How often the same conversation has come: the one thing that the server remembers about it.
//!
//! A retry looks exactly like the request before it, so "fail twice, then work" cannot be read
//! from the conversation. The count is bounded and is lost with the process.

use std::collections::{HashMap, VecDeque};

/// Conversations counted at most.
const CAPACITY: usize = 4096;

/// Counts faults given, by conversation state and rule.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    counts: HashMap<(u64, usize), u32>,
    order: VecDeque<(u64, usize)>,
}

impl Attempts {
    /// True as long as the rule's fault has been given fewer than `times` times to this state, and
    /// counts this one. Without a limit it is always true.
    pub(crate) fn take(&mut self, state: u64, rule: usize, times: Option<u32>) -> bool {
        let Some(times) = times else { return true };
        let key = (state, rule);
        if !self.counts.contains_key(&key) {
            self.order.push_back(key);
            if self.order.len() > CAPACITY
                && let Some(oldest) = self.order.pop_front()
            {
                self.counts.remove(&oldest);
            }
        }
        let count = self.counts.entry(key).or_insert(0);
        if *count >= times {
            return false;
        }
        *count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_own_count() {
        let mut attempts = Attempts::default();
        assert!(attempts.take(1, 0, Some(2)));
        assert!(attempts.take(1, 0, Some(2)));
        assert!(!attempts.take(1, 0, Some(2)));
        assert!(attempts.take(2, 0, Some(2)));
        assert!(attempts.take(1, 1, Some(2)));
        assert!(attempts.take(1, 0, None));
    }
}
