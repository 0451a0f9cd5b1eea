//! Keeps a stream's beginning and end in bounded memory.

use std::collections::VecDeque;

use crate::sandbox::CapturedStream;

/// A stream of output while it is read.
pub(super) struct Capture {
    head: Vec<u8>,
    head_cap: usize,
    tail: VecDeque<u8>,
    tail_cap: usize,
    total: u64,
}

impl Capture {
    pub(super) fn new(head_cap: usize, tail_cap: usize) -> Self {
        Self { head: Vec::new(), head_cap, tail: VecDeque::new(), tail_cap, total: 0 }
    }

    /// Takes the next bytes and returns those that went past the head.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.total += bytes.len() as u64;
        let room = self.head_cap - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        let kept = &rest[rest.len().saturating_sub(self.tail_cap)..];
        let surplus = (self.tail.len() + kept.len()).saturating_sub(self.tail_cap);
        self.tail.drain(..surplus);
        self.tail.extend(kept);
        rest
    }

    /// The beginning, as far as it was read.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// What was kept. If that is everything, it all stands in the head.
    pub(super) fn finish(mut self) -> CapturedStream {
        let mut tail = Vec::from(self.tail);
        if (self.head.len() + tail.len()) as u64 == self.total {
            self.head.append(&mut tail);
        }
        CapturedStream { head: self.head, tail, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_both_ends(chunks: Vec<Vec<u8>>, head in 0usize..64, tail in 1usize..64) {
            let mut capture = Capture::new(head, tail);
            let mut past = Vec::new();
            for chunk in &chunks {
                past.extend_from_slice(capture.push(chunk));
            }
            let all = chunks.concat();
            prop_assert_eq!([capture.head(), &past].concat(), all.clone());
            let kept = capture.finish();
            prop_assert_eq!(kept.total, all.len() as u64);
            if all.len() <= head + tail {
                prop_assert_eq!(kept.head, all);
                prop_assert!(kept.tail.is_empty());
            } else {
                prop_assert_eq!(&kept.head, &all[..head]);
                prop_assert_eq!(&kept.tail, &all[all.len() - tail..]);
            }
        }
    }
}
