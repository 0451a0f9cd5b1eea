//! The last rounds of a Subject, for whoever looks at it and for a judge that begins anew. Bounded by number and bytes:
//! there may be a thousand Subjects.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::probe::Round;

/// How many rounds are kept.
const MOST: usize = 64;
/// How many bytes of them, as they travel; the last one is kept whatever its size.
const MOST_BYTES: usize = 128 << 10;

/// The last rounds, as JSON.
#[derive(Debug, Default)]
pub(super) struct Ring {
    rounds: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Ring {
    /// Keeps a round.
    pub(super) fn keep(&mut self, round: Arc<str>) {
        self.bytes += round.len();
        self.rounds.push_back(round);
        while self.rounds.len() > MOST || (self.bytes > MOST_BYTES && self.rounds.len() > 1) {
            let Some(gone) = self.rounds.pop_front() else { return };
            self.bytes -= gone.len();
        }
    }

    /// The rounds that are kept, the oldest first.
    #[must_use]
    pub(super) fn all(&self) -> Vec<Arc<str>> {
        self.rounds.iter().cloned().collect()
    }

    /// The same, read.
    #[must_use]
    pub(super) fn rounds(&self) -> Vec<Round> {
        self.rounds.iter().filter_map(|round| serde_json::from_str(round).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(size: usize) -> Arc<str> {
        Arc::from("x".repeat(size))
    }

    #[test]
    fn it_is_bounded_by_number_and_by_bytes() {
        let mut ring = Ring::default();
        (0..1000).for_each(|_| ring.keep(round(10)));
        assert_eq!((ring.all().len(), ring.bytes), (MOST, MOST * 10));
        (0..10).for_each(|_| ring.keep(round(60 << 10)));
        assert_eq!(ring.all().len(), 2);
        ring.keep(round(1 << 20));
        assert_eq!((ring.all().len(), ring.bytes), (1, 1 << 20), "the last one is always there");
        ring.keep(round(1));
        assert_eq!((ring.all().len(), ring.bytes), (1, 1));
    }
}
