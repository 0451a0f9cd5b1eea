//! Text that comes in pieces: what is given out is what the whole would have become.
//!
//! A piece is held back as long as a secret could begin in it and go on in the next: the last lines, a
//! private key without its end, data of an object that has not said its kind. What is held back is
//! bounded. Where the bound is met it is given out as if a cut were there. Of what was given out a little
//! is kept to look at: a value may be secret by what stands some lines above it.

use super::blocks;
use super::custom::Custom;
use super::scan::{self, Found, line_start};
use super::{Edges, Redactor};

/// More than this is not held back.
const MOST: usize = 64 << 10;
/// A key that is longer is masked before its end is there.
const MOST_KEY: usize = 16 << 10;
/// Of a line without an end, this much is held back: no token is longer.
const REACH: usize = 16 << 10;
/// How much of what was given out is looked at again with what comes next.
const CONTEXT: usize = 4 << 10;
/// The same in an object that says that it is a Secret: its data may stand far below.
const SECRET_CONTEXT: usize = 64 << 10;

/// Masks the secrets in a text that comes in pieces.
pub struct StreamRedactor {
    redactor: Redactor,
    /// What was given out and still tells what the rest is, and behind it what is held back.
    text: Vec<u8>,
    /// Where in `text` begins what is held back.
    given: usize,
    /// Secrets in what is held that were found by what stood before it: from, to, kind.
    known: Vec<(usize, usize, String)>,
    count: u64,
    /// Inside of a private key whose begin is masked already.
    in_key: bool,
}

impl StreamRedactor {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, text: Vec::new(), given: 0, known: Vec::new(), count: 0, in_key: false }
    }

    /// How many secrets were masked so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held_back().len()
    }

    fn held_back(&self) -> &[u8] {
        self.text.get(self.given..).unwrap_or_default()
    }

    /// Takes the next piece, and gives what can be given out.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.text.extend_from_slice(piece);
        if self.in_key && !self.leave_key() {
            return Vec::new();
        }
        let custom = self.redactor.custom.clone();
        let known = std::mem::take(&mut self.known);
        let found = self.find(&custom, &known);
        let held = self.held_back();
        let most = held.len() > MOST;
        let mut safe = safe_end(held, custom.longest, most);
        if let Some(key) = blocks::open_key(held) {
            if held.len() - key > MOST_KEY {
                return self.enter_key(key, &found);
            }
            safe = safe.min(key);
        }
        // The last lines of a key whose begin nobody asked for (`tail key.pem`) say only at their end what they are.
        if !most {
            safe = safe.min(blocks::key_lines_above(held, line_start(held, held.len())));
        }
        if !most && let Some(object) = blocks::open_object(&self.text) {
            safe = safe.min(object.saturating_sub(self.given));
        }
        self.give(safe, &found, most)
    }

    /// The secrets in what is held back, by places in it.
    fn find<'a>(&self, custom: &'a Custom, known: &'a [(usize, usize, String)]) -> Vec<Found<'a>> {
        let seen = scan::find(custom, &self.text, Edges::WHOLE).into_iter().filter(|one| one.end > self.given);
        let mut found: Vec<_> = seen
            .map(|one| Found { start: one.start.saturating_sub(self.given), end: one.end - self.given, kind: one.kind })
            .collect();
        found.extend(known.iter().map(|(start, end, kind)| Found { start: *start, end: *end, kind }));
        scan::merge(found)
    }

    /// Gives the rest.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, u64) {
        if self.in_key && !self.leave_key() {
            return (Vec::new(), self.count);
        }
        let (custom, known) = (self.redactor.custom.clone(), std::mem::take(&mut self.known));
        let masked = self.redactor.marker.replace(self.held_back(), &self.find(&custom, &known));
        (masked.value, self.count + masked.count)
    }

    fn give(&mut self, safe: usize, found: &[Found<'_>], forced: bool) -> Vec<u8> {
        // Never inside of a secret.
        let inside = found.iter().find(|one| one.start < safe && safe < one.end);
        let safe = match inside {
            Some(one) if !forced => one.start,
            Some(one) => one.end,
            None => safe,
        };
        let before: Vec<_> = found.iter().copied().take_while(|one| one.end <= safe).collect();
        let held = self.held_back();
        let masked = self.redactor.marker.replace(held.get(..safe).unwrap_or_default(), &before);
        // In whole lines nothing changes any more, but what stands before them goes now. A secret that goes on
        // behind them (a password in one word with a key that has no end yet) is known as far as they go.
        let lines = line_start(held, held.len());
        let stays = found.iter().filter(|one| one.start >= safe && one.start < lines);
        self.known = stays.map(|one| (one.start - safe, one.end.min(lines) - safe, one.kind.to_owned())).collect();
        self.count += masked.count;
        self.given += safe;
        self.forget();
        masked.value
    }

    /// Drops what was given out and tells nothing about the rest any more.
    fn forget(&mut self) {
        let most = if blocks::in_a_secret(&self.text, self.given) { SECRET_CONTEXT } else { CONTEXT };
        if self.given > most {
            let from = self.given - most;
            let line = memchr::memchr(b'\n', self.text.get(from..self.given).unwrap_or_default());
            let from = line.map_or(from, |end| from + end + 1);
            self.text.drain(..from);
            self.given -= from;
        }
    }

    /// Gives what stands before a key that is too long to be held, and a mark for the key.
    fn enter_key(&mut self, key: usize, found: &[Found<'_>]) -> Vec<u8> {
        let mut all: Vec<_> = found.iter().copied().filter(|one| one.end <= key).collect();
        let held = self.held_back();
        all.push(Found { start: key, end: held.len(), kind: "private-key" });
        let masked = self.redactor.marker.replace(held, &all);
        self.count += masked.count;
        // From here on only its end matters, and that may be split over two pieces.
        let keep = self.text.len().saturating_sub(128).max(self.given + key);
        self.drop_before(keep);
        self.in_key = true;
        masked.value
    }

    /// Throws the rest of a key away; true once its end came.
    fn leave_key(&mut self) -> bool {
        if let Some(end) = blocks::find_end(&self.text) {
            self.drop_before(end);
            self.in_key = false;
            return true;
        }
        self.drop_before(self.text.len().saturating_sub(128));
        false
    }

    fn drop_before(&mut self, at: usize) {
        self.text.drain(..at);
        self.given = 0;
    }
}

/// Up to where nothing can change any more by what comes next.
fn safe_end(held: &[u8], longest_value: usize, forced: bool) -> usize {
    // A value may stand in the line below its name, so the last whole line waits, too.
    let last = line_start(held, held.len());
    let before = line_start(held, last.saturating_sub(1));
    let lines = if before > 0 && !forced {
        before
    } else if forced && last > 0 {
        last
    } else {
        0
    };
    let safe = if lines == 0 && forced { held.len().saturating_sub(REACH) } else { lines };
    safe.min(held.len().saturating_sub(longest_value))
}
