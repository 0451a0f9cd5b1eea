//! From what an observer's container wrote to rounds. What runs in it is the Subject's (`exec` probes), so nothing of
//! it is trusted: a line that is too long or is no round is counted, passed over, and forgotten.

use std::sync::Arc;

use crate::probe::Round;
use crate::probe::round::LONGEST_LINE;

/// A round, and the line that it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The round.
    pub round: Round,
    /// As it was written.
    pub text: Arc<str>,
}

impl Heard {
    /// A round that was made here.
    #[must_use]
    pub fn own(round: Round) -> Self {
        // A round is JSON; a value that is none could not have been made.
        let text = serde_json::to_string(&round).unwrap_or_default().into();
        Self { round, text }
    }
}

/// Takes pieces of lines.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
    /// The rest of a line that is too long is still to come.
    skipping: bool,
    bad: u64,
}

impl Lines {
    /// The rounds that this piece completes.
    pub fn take(&mut self, mut piece: &[u8]) -> Vec<Heard> {
        let mut rounds = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', piece) {
            self.add(&piece[..end]);
            piece = &piece[end + 1..];
            rounds.extend(self.end_of_line());
        }
        self.add(piece);
        rounds
    }

    /// How many lines were no rounds, since this was last asked.
    pub fn bad(&mut self) -> u64 {
        std::mem::take(&mut self.bad)
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.begun.len() + bytes.len() >= LONGEST_LINE {
            self.skipping = true;
            self.begun = Vec::new();
            return;
        }
        self.begun.extend_from_slice(bytes);
    }

    fn end_of_line(&mut self) -> Option<Heard> {
        let line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.skipping) {
            self.bad += 1;
            return None;
        }
        if line.trim_ascii().is_empty() {
            return None;
        }
        let text = std::str::from_utf8(&line).ok();
        let heard = text.and_then(|text| Some(Heard { round: serde_json::from_str(text).ok()?, text: text.into() }));
        self.bad += u64::from(heard.is_none());
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{"probe":"web","at":"2026-01-28T20:54:48Z","readings":{"":{"ok":true,"ms":3}}}"#;

    fn probes(heard: &[Heard]) -> Vec<&str> {
        heard.iter().map(|heard| heard.round.probe.as_str()).collect()
    }

    #[test]
    fn pieces_become_rounds_wherever_they_are_cut() {
        let text = format!("{GOOD}\n\n{}\n", GOOD.replace("web", "db"));
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut rounds = lines.take(&text.as_bytes()[..cut]);
            rounds.extend(lines.take(&text.as_bytes()[cut..]));
            assert_eq!((probes(&rounds), lines.bad()), (vec!["web", "db"], 0), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_round_is_counted_and_passed_over() {
        let mut lines = Lines::default();
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let rounds = lines.take(format!("hello\n{{}}\n\u{fffd}\n{deep}\n{GOOD}\n{GOOD}").as_bytes());
        assert_eq!((probes(&rounds), lines.bad()), (vec!["web"], 4));
        assert_eq!(probes(&lines.take(b"\n")), ["web"]);
        assert_eq!(lines.bad(), 0, "counted once");
    }

    #[test]
    fn a_line_without_end_is_forgotten_as_it_comes() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            assert!(lines.take(&[b'x'; 1000]).is_empty());
        }
        assert!(lines.begun.capacity() <= LONGEST_LINE * 2);
        let rounds = lines.take(format!("\n{GOOD}\n").as_bytes());
        assert_eq!((probes(&rounds), lines.bad()), (vec!["web"], 1));
    }

    proptest! {
        #[test]
        fn anything_is_survived(pieces in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let mut lines = Lines::default();
            for piece in &pieces {
                lines.take(piece);
            }
            lines.take(format!("\n{GOOD}\n").as_bytes());
        }
    }
}
