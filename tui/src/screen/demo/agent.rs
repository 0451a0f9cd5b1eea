//! What the agent does, in a few lines: from the entries of its session.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::feed::Entry;
use crate::text;
use crate::time;

/// Lines that are kept.
const KEPT: usize = 400;

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
    /// A change of the system, on record by itself.
    Change,
    /// Its conclusion.
    Conclusion,
    /// The proof, or what refuted it.
    Check {
        /// Whether it holds; nothing while it is looked at.
        good: Option<bool>,
    },
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
    /// How it ended, for a command: `0.4s  exit 0  5 lines`.
    pub end: String,
    call: i64,
}

/// A session, in lines.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Its id.
    pub session: String,
    /// The lines.
    pub lines: VecDeque<Line>,
    /// Steps so far: what it thought, did and concluded.
    pub steps: u64,
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

    /// Takes entries; those that were there already are passed over.
    pub fn take(&mut self, entries: &[Entry]) {
        for entry in entries {
            if entry.seq <= self.seq {
                continue;
            }
            self.seq = entry.seq;
            self.began.get_or_insert(entry.at);
            self.last = Some(entry.at);
            self.entry(entry);
            while self.lines.len() > KEPT {
                self.lines.pop_front();
            }
        }
    }

    fn push(&mut self, kind: Kind, entry: &Entry, words: &str) {
        let line = Line { kind, at: entry.at, text: text::one_line(words), end: String::new(), call: entry.seq };
        self.lines.push_back(line);
    }

    fn entry(&mut self, entry: &Entry) {
        let data = &entry.data;
        let word = |key: &str| data[key].as_str().unwrap_or_default();
        match entry.kind.as_str() {
            "reasoning" => {
                self.steps += 1;
                let said = entry.summary.as_deref().unwrap_or_else(|| word("text"));
                self.push(Kind::Thought, entry, said);
            }
            "tool_call" if word("tool") == "shell" => {
                self.steps += 1;
                self.push(Kind::Command { good: None }, entry, word("command"));
            }
            "tool_result" => self.result(entry),
            "change" if data["step"] == "begun" => {
                self.push(Kind::Change, entry, word("summary"));
            }
            "conclusion" => {
                self.steps += 1;
                let said = format!("{}: {}", word("outcome"), word("rootCause"));
                self.push(Kind::Conclusion, entry, &said);
            }
            "verification" => self.check(entry),
            "control" if matches!(word("event"), "resumed" | "cancelled" | "error" | "budget" | "sandbox_lost") => {
                self.push(Kind::Control, entry, word("message"));
            }
            _ => {}
        }
    }

    fn check(&mut self, entry: &Entry) {
        let data = &entry.data;
        let number = |key: &str| data[key].as_u64().unwrap_or_default();
        let seconds = |key: &str| number(key) / 1000;
        match data["step"].as_str().unwrap_or_default() {
            "begun" => {
                let (which, most) = (number("attempt"), number("attempts"));
                let held = seconds("stabilizationMs");
                let words =
                    format!("check {which} of {most}: all invariants must hold for {held} s, its container paused");
                self.push(Kind::Check { good: None }, entry, &words);
            }
            "ended" => {
                let verdict = data["verdict"].as_str().unwrap_or_default();
                let finding = &data["findings"][0];
                let words = match verdict {
                    "holds" => format!("proven: all invariants held for {} s", seconds("windowMs")),
                    "violated" => {
                        format!("NOT proven: {}", finding["message"].as_str().unwrap_or("something is violated"))
                    }
                    _ => format!("nobody can say: {}", finding["message"].as_str().unwrap_or("a reading is missing")),
                };
                self.push(Kind::Check { good: Some(verdict == "holds") }, entry, &words);
            }
            _ => self.push(Kind::Check { good: Some(true) }, entry, "all invariants hold again by themselves"),
        }
    }

    fn result(&mut self, entry: &Entry) {
        let data = &entry.data;
        let call = data["call"].as_i64().unwrap_or_default();
        let (good, how) = outcome(&data["outcome"]);
        let took = time::took(Duration::from_millis(data["durationMs"].as_u64().unwrap_or_default()));
        let printed = [&data["stdout"], &data["stderr"]].map(printed).concat();
        let mut lines = printed.lines().map(text::one_line).filter(|line| !line.is_empty());
        let first = lines.next();
        let more = lines.count();
        let Some(at) =
            self.lines.iter().rposition(|line| line.call == call && matches!(line.kind, Kind::Command { .. }))
        else {
            return;
        };
        let line = &mut self.lines[at];
        line.kind = Kind::Command { good: Some(good) };
        line.end = format!("{took}  {how}");
        if let Some(first) = first {
            let more = if more == 0 { String::new() } else { format!("  (+{})", text::count(more as u64, "line")) };
            let text = format!("{first}{more}");
            self.lines.push_back(Line { kind: Kind::Output, at: entry.at, text, end: String::new(), call: entry.seq });
        }
    }
}

/// Whether a call ended well, and how, in a word.
fn outcome(outcome: &Value) -> (bool, String) {
    match outcome["type"].as_str().unwrap_or_default() {
        "exited" => {
            let code = outcome["code"].as_i64().unwrap_or(-1);
            (code == 0, format!("exit {code}"))
        }
        "signaled" => (false, format!("signal {}", outcome["signal"])),
        "timed_out" => (false, "timed out".to_owned()),
        "cancelled" => (false, "cancelled".to_owned()),
        "not_started" => (false, "not started".to_owned()),
        "accepted" => (true, "accepted".to_owned()),
        _ => (false, "unknown".to_owned()),
    }
}

fn printed(stream: &Value) -> String {
    let head = &stream["head"];
    head["text"].as_str().or_else(|| head.as_str()).map(str::to_owned).unwrap_or_default()
}
