//! What the agent does, in a few lines: from the entries of its session.

use std::collections::VecDeque;

use audit_client::entry::VerdictWord;
use audit_client::{CallOutcome, ControlEvent};
use jiff::Timestamp;

use crate::feed::Entry;
use crate::screen::session::digest::{ChangeEnd, Digest, What};
use crate::screen::session::output::Kept;
use crate::text;
use crate::time;

/// Lines that are kept.
const KEPT: usize = 400;
/// Of a long text only so many bytes are looked at.
const LONGEST: usize = 2 << 10;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What it thinks or says.
    Thought,
    /// A command, with how it ended.
    Command {
        /// Whether it worked; nothing while it runs.
        good: Option<bool>,
    },
    /// The first of what it printed.
    Output,
    /// Its conclusion.
    Conclusion {
        /// Whether it says that the fault is gone.
        resolved: bool,
    },
    /// The proof, or what refuted it.
    Check {
        /// Whether it holds; nothing while it is looked at.
        good: Option<bool>,
    },
    /// What a person said to it.
    Note,
    /// What the controller did with the session.
    Control,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// It, clean.
    pub text: String,
    /// How it ended, for a command: `0.4s  exit 0`.
    pub end: String,
    /// The number of its entry.
    seq: i64,
}

/// A session, in lines.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Its id.
    pub session: String,
    /// The lines.
    pub lines: VecDeque<Line>,
    /// How many there were in all.
    pub count: usize,
    /// The last entry that is in it.
    pub seq: i64,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When its last entry was written.
    pub last: Option<Timestamp>,
}

impl Story {
    /// One of which nothing is known.
    #[must_use]
    pub fn of(session: &str) -> Self {
        Self { session: session.to_owned(), ..Self::default() }
    }

    /// Takes entries in their order; those that were there already, and those behind a gap, are passed over.
    pub fn take(&mut self, entries: &[Entry]) {
        for entry in entries {
            if entry.seq == self.seq + 1 {
                self.seq = entry.seq;
                self.began.get_or_insert(entry.at);
                self.last = Some(entry.at);
                self.entry(&Digest::of(entry.clone()));
            }
        }
        while self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }

    /// Whether a command or a check goes on.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let open = |line: &Line| matches!(line.kind, Kind::Command { good: None } | Kind::Check { good: None });
        self.lines.back().is_some_and(open)
    }

    fn push(&mut self, kind: Kind, entry: &Digest, words: &str) {
        let cut = words.floor_char_boundary(LONGEST);
        let text = text::one_line(&words[..cut]);
        self.lines.push_back(Line { kind, at: entry.at, text, end: String::new(), seq: entry.seq });
        self.count += 1;
    }

    fn entry(&mut self, entry: &Digest) {
        match &entry.what {
            What::Thought(thought) if !thought.is_empty() => {
                let said = entry.summary.as_deref().unwrap_or(&thought.head);
                self.push(Kind::Thought, entry, said);
            }
            What::Call { command, concludes: false, .. } => {
                self.push(Kind::Command { good: None }, entry, &command.head);
            }
            What::Result { .. } => self.result(entry),
            What::Changed { end, .. } => {
                let failed = match end {
                    ChangeEnd::Done => return,
                    ChangeEnd::Failed(why) => format!("the change failed: {why}"),
                    ChangeEnd::NotDone(why) => format!("the change was not made: {why}"),
                    ChangeEnd::Unknown(why) => format!("nobody knows whether the change was made: {why}"),
                };
                self.push(Kind::Control, entry, &failed);
            }
            What::Conclusion { resolved, cause, .. } => {
                let said = if *resolved { "says done" } else { "gives up" };
                self.push(Kind::Conclusion { resolved: *resolved }, entry, &format!("{said}: {cause}"));
            }
            What::Check { attempt, attempts, holds } => {
                let held = time::age(*holds);
                let words = format!("check {attempt} of {attempts}: all invariants have to hold for {held}");
                self.push(Kind::Check { good: None }, entry, &words);
            }
            What::Checked { verdict, words, findings, .. } => {
                let found = findings.first().map(|finding| format!(": {finding}")).unwrap_or_default();
                self.checked();
                self.push(
                    Kind::Check { good: Some(*verdict == VerdictWord::Holds) },
                    entry,
                    &format!("{words}{found}"),
                );
            }
            What::Healed => self.push(Kind::Check { good: Some(true) }, entry, "all invariants hold again"),
            What::Note { author, text } => self.push(Kind::Note, entry, &format!("{author}: {}", text.head)),
            What::Control { event, message, .. } if !matches!(event, ControlEvent::Started | ControlEvent::Sealed) => {
                self.push(Kind::Control, entry, message);
            }
            _ => {}
        }
    }

    /// The check that was going on is over: its end says all that its beginning did.
    fn checked(&mut self) {
        if self.lines.back().is_some_and(|line| line.kind == Kind::Check { good: None }) {
            self.lines.pop_back();
            self.count -= 1;
        }
    }

    fn result(&mut self, entry: &Digest) {
        let What::Result { call, end, took, out, err } = &entry.what else { return };
        let is_call = |line: &Line| line.seq == *call && matches!(line.kind, Kind::Command { .. });
        let Some(at) = self.lines.iter().rposition(is_call) else { return };
        let (good, how) = outcome(end);
        self.lines[at].kind = Kind::Command { good: Some(good) };
        self.lines[at].end = format!("{}  {how}", time::took(*took));
        // What went wrong is said on the other stream.
        let streams = if good { [out, err] } else { [err, out] };
        let first = streams.iter().find_map(|stream| first_line(stream));
        if let Some(first) = first {
            let more = (out.lines + err.lines).saturating_sub(1);
            let more = if more == 0 { String::new() } else { format!("  (+{})", text::count(more as u64, "line")) };
            let line = Line {
                kind: Kind::Output,
                at: entry.at,
                text: first,
                end: more.trim_start().to_owned(),
                seq: entry.seq,
            };
            // Right below its command, whatever was said meanwhile.
            self.lines.insert(at + 1, line);
            self.count += 1;
        }
    }
}

fn first_line(stream: &Kept) -> Option<String> {
    let clean = |line: &str| text::one_line(&line[..line.floor_char_boundary(LONGEST)]);
    stream.first().take(200).map(clean).find(|line| !line.is_empty())
}

/// Whether a call ended well, and how, in a word.
fn outcome(end: &CallOutcome) -> (bool, String) {
    match end {
        CallOutcome::Exited { code } => (*code == 0, format!("exit {code}")),
        CallOutcome::Accepted => (true, "accepted".to_owned()),
        other => {
            let word = serde_json::to_value(other).ok().and_then(|value| value["type"].as_str().map(str::to_owned));
            (false, word.unwrap_or_default().replace('_', " "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;

    #[test]
    fn a_session_in_lines() {
        let mut story = Story::of(session::SESSION);
        let entries = session::running();
        story.take(&entries[..5]);
        story.take(&entries[3..]);
        let said: Vec<(Kind, &str, &str)> =
            story.lines.iter().map(|line| (line.kind, line.text.as_str(), line.end.as_str())).collect();
        assert_eq!(said[0], (Kind::Thought, "Store 1 missed heartbeats; is the container gone or wedged?", ""));
        assert_eq!(
            said[1..3],
            [
                (
                    Kind::Command { good: Some(true) },
                    "docker ps -a --filter label=com.docker.compose.project=tikv",
                    "0.4s  exit 0"
                ),
                (Kind::Output, "NAMES STATUS", "(+3 lines)"),
            ]
        );
        assert_eq!(said[4].1, "Error: No such container: tikv-tikv1-1", "of what failed, the complaint");
        assert_eq!(said.last().unwrap().0, Kind::Command { good: None });
        assert!(story.is_busy());
        let whole = session::ended();
        story.take(&whole);
        let last = story.lines.back().unwrap();
        assert!(last.text.starts_with("proven: ") && last.kind == Kind::Check { good: Some(true) }, "{last:?}");
        assert_eq!(story.count, story.lines.len());
        assert!(!story.is_busy());
    }

    #[test]
    fn a_gap_is_not_jumped_over_and_hostile_output_is_harmless() {
        let mut story = Story::of(session::SESSION);
        story.take(&session::hostile()[3..]);
        assert_eq!(story.seq, 0);
        story.take(&session::hostile());
        let all: String = story.lines.iter().flat_map(|line| [line.text.as_str(), line.end.as_str()]).collect();
        assert!(!all.chars().any(text::is_dropped), "{all:?}");
    }
}
