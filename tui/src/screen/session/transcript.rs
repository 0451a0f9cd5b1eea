//! The part of a session that is in memory.
//!
//! A window of entries without gaps. What lies before and behind it is asked for, page by page, when somebody gets
//! there, and the other end is let go: a session of any length takes the same room.

use std::collections::VecDeque;

use super::digest::Digest;
use crate::feed::{Entry, Place};

/// The most entries that are held.
pub const MOST: usize = 2_000;
/// The most bytes that they may take, about.
pub const MOST_BYTES: usize = 16 << 20;
/// How many entries are asked for at once.
pub const PAGE: usize = 400;
/// So many entries before an end of the window the next page is asked for.
pub const MARGIN: usize = 100;
/// Before a number that no entry has: the last ones.
pub const END: Place = Place::Before(i64::MAX);
/// The first ones.
pub const START: Place = Place::After(0);

/// Which end stays when there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The first ones: somebody reads there.
    First,
    /// The last ones: somebody follows.
    Last,
}

/// A page that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    place: Place,
    /// Whether it replaces all that is there.
    jump: bool,
}

/// The window.
#[derive(Debug, Default)]
pub struct Transcript {
    entries: VecDeque<Digest>,
    bytes: usize,
    /// The highest number that is known to exist.
    last: i64,
    sealed: bool,
    /// Whether anything ever came.
    begun: bool,
    asked: Option<Asked>,
    version: u64,
}

impl Transcript {
    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &VecDeque<Digest> {
        &self.entries
    }

    /// Raised whenever the entries change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of the last entry that is known to exist.
    #[must_use]
    pub fn last(&self) -> i64 {
        self.last
    }

    /// The number of the last entry that is here.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.entries.back().map_or(0, |entry| entry.seq)
    }

    /// Whether the last entry is here.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.end() >= self.last
    }

    /// Whether the first entry is here.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        self.entries.front().is_none_or(|entry| entry.seq <= 1)
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether an answer has come, be it that there is nothing.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether a page is awaited.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// The bytes that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entry with this number, if it is here.
    #[must_use]
    pub fn get(&self, seq: i64) -> Option<&Digest> {
        let index = self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.entries.get(index)
    }

    /// Takes what was just written.
    pub fn written(&mut self, entries: Vec<Entry>, keep: Keep) {
        self.begun = true;
        for entry in entries {
            let at_end = self.is_at_end();
            let next = self.entries.is_empty() || entry.seq == self.end() + 1;
            self.noticed(&entry);
            // Behind a gap, or what nobody sees while the window is full: it is asked for when somebody gets there.
            if at_end && next && !(keep == Keep::First && self.is_full()) {
                self.push_back(Digest::of(entry));
            }
        }
        self.trim(keep);
    }

    /// Takes a page; whether it was awaited. One that is not any more is of a place where nobody is now.
    pub fn page(&mut self, place: Place, entries: Vec<Entry>) -> bool {
        let Some(asked) = self.asked.take_if(|asked| asked.place == place) else { return false };
        self.begun = true;
        if asked.jump {
            self.clear();
        }
        let forward = matches!(asked.place, Place::After(_));
        for entry in &entries {
            self.noticed(entry);
        }
        if self.entries.is_empty() {
            for entry in entries {
                self.push_back(Digest::of(entry));
            }
            self.trim(if forward { Keep::First } else { Keep::Last });
        } else if forward {
            for entry in entries {
                if entry.seq == self.end() + 1 {
                    self.push_back(Digest::of(entry));
                }
            }
            self.trim(Keep::Last);
        } else {
            for entry in entries.into_iter().rev() {
                if self.entries.front().is_some_and(|first| entry.seq + 1 == first.seq) {
                    self.push_front(Digest::of(entry));
                }
            }
            self.trim(Keep::First);
        }
        // An empty page behind the window is its end, whatever was announced.
        if !asked.jump && asked.place == Place::After(self.end()) {
            self.last = self.end();
        }
        true
    }

    /// Shows other entries instead: lines of a status, say.
    pub fn replace(&mut self, entries: Vec<Digest>) {
        self.clear();
        self.begun = true;
        self.asked = None;
        self.last = 0;
        for entry in entries {
            self.last = self.last.max(entry.seq);
            self.push_back(entry);
        }
    }

    /// The page that is to be asked for when the entries from `first` to `last` (by number) are in sight.
    pub fn wants(&mut self, first: i64, last: i64) -> Option<Place> {
        if self.asked.is_some() {
            return None;
        }
        let (front, back) = (self.entries.front()?.seq, self.end());
        let margin = i64::try_from(MARGIN).unwrap_or(i64::MAX);
        let place = if front > 1 && first - front < margin {
            Place::Before(front)
        } else if back < self.last && back - last < margin {
            Place::After(back)
        } else {
            return None;
        };
        self.asked = Some(Asked { place, jump: false });
        Some(place)
    }

    /// The page behind the last entry that is here, or before the first: to look for something.
    pub fn beyond(&mut self, forward: bool) -> Option<Place> {
        let front = self.entries.front()?.seq;
        let place = match forward {
            true if !self.is_at_end() => Place::After(self.end()),
            false if front > 1 => Place::Before(front),
            _ => return None,
        };
        self.asked = Some(Asked { place, jump: false });
        Some(place)
    }

    /// The page that is to be asked for to get somewhere else altogether.
    pub fn jump(&mut self, place: Place) -> Place {
        self.asked = Some(Asked { place, jump: true });
        place
    }

    /// Whether one has to [`Self::jump`] to be there.
    #[must_use]
    pub fn is_far(&self, place: Place) -> bool {
        match place {
            Place::Before(_) => !self.is_at_end(),
            Place::After(_) => !self.is_at_start(),
        }
    }

    /// The answer will not come: the connection is gone.
    pub fn give_up(&mut self) {
        self.asked = None;
    }

    fn noticed(&mut self, entry: &Entry) {
        self.last = self.last.max(entry.seq);
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= MOST || self.bytes >= MOST_BYTES
    }

    fn push_back(&mut self, entry: Digest) {
        self.sealed |= entry.is_seal();
        self.bytes += entry.size();
        self.version += 1;
        self.entries.push_back(entry);
    }

    fn push_front(&mut self, entry: Digest) {
        self.sealed |= entry.is_seal();
        self.bytes += entry.size();
        self.version += 1;
        self.entries.push_front(entry);
    }

    fn trim(&mut self, keep: Keep) {
        // One entry always stays, however large.
        while self.entries.len() > MOST || (self.bytes > MOST_BYTES && self.entries.len() > 1) {
            let gone = match keep {
                Keep::First => self.entries.pop_back(),
                Keep::Last => self.entries.pop_front(),
            };
            self.bytes = self.bytes.saturating_sub(gone.map_or(0, |entry| entry.size()));
            self.version += 1;
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.version += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries(range: std::ops::RangeInclusive<i64>) -> Vec<Entry> {
        let at = "2026-01-28T12:00:00Z".parse().unwrap();
        range
            .map(|seq| Entry {
                seq,
                at,
                kind: "reasoning".into(),
                data: json!({"turn": 1, "text": format!("thought {seq}")}),
                summary: None,
            })
            .collect()
    }

    fn span(transcript: &Transcript) -> (i64, i64) {
        (transcript.entries().front().unwrap().seq, transcript.end())
    }

    #[test]
    fn fifty_thousand_entries_take_the_room_of_two_thousand() {
        let mut transcript = Transcript::default();
        assert_eq!(transcript.jump(END), END);
        assert!(transcript.page(END, entries(49_601..=50_000)));
        // Up to the first, page by page.
        let mut pages = 0;
        while let Some(place) = transcript.wants(transcript.entries().front().unwrap().seq, transcript.end()) {
            let Place::Before(before) = place else { panic!("{place:?}") };
            let page = i64::try_from(PAGE).unwrap();
            transcript.page(place, entries((before - page).max(1)..=before - 1));
            pages += 1;
            assert!(transcript.entries().len() <= MOST && transcript.bytes() <= MOST_BYTES);
            if transcript.is_at_start() {
                break;
            }
        }
        assert_eq!((pages, span(&transcript)), (124, (1, 2_000)));
        // And down again.
        for _ in 0..120 {
            let place = transcript.wants(transcript.end() - 10, transcript.end());
            let Some(Place::After(after)) = place else { panic!("{place:?}") };
            transcript.page(Place::After(after), entries(after + 1..=(after + 400).min(50_000)));
        }
        assert_eq!(span(&transcript).1, 50_000);
        assert!(transcript.is_at_end() && transcript.entries().len() <= MOST);
        let numbers: Vec<i64> = transcript.entries().iter().map(|entry| entry.seq).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "there is no gap");
    }

    #[test]
    fn what_comes_twice_is_there_once() {
        let mut transcript = Transcript::default();
        transcript.jump(END);
        transcript.page(END, entries(1..=10));
        transcript.written(entries(8..=12), Keep::Last);
        transcript.written(entries(12..=12), Keep::Last);
        assert_eq!((span(&transcript), transcript.entries().len()), ((1, 12), 12));
        assert!(!transcript.page(START, entries(1..=3)), "nobody asked");
    }

    #[test]
    fn who_reads_further_up_is_not_disturbed() {
        let mut transcript = Transcript::default();
        transcript.jump(START);
        transcript.page(START, entries(1..=2_000));
        transcript.written(entries(2_001..=2_500), Keep::First);
        assert_eq!((span(&transcript), transcript.last()), ((1, 2_000), 2_500));
        assert!(transcript.is_far(END) && !transcript.is_far(START));
        assert_eq!(transcript.wants(1, 20), None);
        assert_eq!(transcript.wants(1_950, 1_990), Some(Place::After(2_000)));
        assert_eq!(transcript.wants(1_950, 1_990), None, "one page at a time");
        transcript.give_up();
        transcript.jump(END);
        transcript.page(Place::After(2_000), entries(2_001..=2_400));
        assert_eq!(span(&transcript), (1, 2_000), "what was asked for before is not wanted any more");
        transcript.page(END, entries(2_101..=2_500));
        assert_eq!(span(&transcript), (2_101, 2_500));
        transcript.written(entries(2_501..=2_501), Keep::Last);
        assert_eq!(span(&transcript), (2_101, 2_501));
    }

    #[test]
    fn large_entries_leave_earlier() {
        let at = "2026-01-28T12:00:00Z".parse().unwrap();
        let big = |seq| Entry {
            seq,
            at,
            kind: "reasoning".into(),
            data: json!({"turn": 1, "text": "x".repeat(64 << 10)}),
            summary: None,
        };
        let mut transcript = Transcript::default();
        for seq in 1..=800 {
            transcript.written(vec![big(seq)], Keep::Last);
        }
        assert!(transcript.bytes() <= MOST_BYTES && transcript.entries().len() < 600);
        assert_eq!(transcript.end(), 800);
    }

    #[test]
    fn a_page_that_is_empty_is_the_end() {
        let mut transcript = Transcript::default();
        transcript.jump(START);
        transcript.page(START, entries(1..=10));
        transcript.last = 20;
        assert_eq!(transcript.wants(9, 10), Some(Place::After(10)));
        transcript.page(Place::After(10), Vec::new());
        assert!(transcript.is_at_end());
    }
}
