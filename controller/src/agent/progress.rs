//! What a session shows of itself while it runs.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::prompt::seconds;
use crate::audit::entry::{ChangeEntry, ChangeOutcome, VerdictWord, VerificationEntry};
use crate::audit::{EntryBody, EntryKind};
use crate::model::Usage;
use crate::money::NanoDollars;
use crate::printable::short_line;

/// How many lines [`Progress::recent`] keeps.
const RECENT: usize = 12;
/// How many characters of an entry a line shows.
const LINE: usize = 160;
/// How many findings of a check a line names, at most.
const FINDINGS: usize = 3;

/// The state of a session, for the Incident's status and for screens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Model turns so far.
    pub turns: i64,
    /// Commands started so far.
    pub commands: i64,
    /// Tokens read so far, cached ones included.
    pub input_tokens: i64,
    /// Of the tokens read, those that came from the prompt cache.
    pub cached_tokens: i64,
    /// Tokens written so far.
    pub output_tokens: i64,
    /// What it cost so far; an upper bound unless `cost_known`.
    pub cost: NanoDollars,
    /// How many secrets were masked so far.
    #[serde(default)]
    pub redacted: u64,
    /// Whether the model has a price.
    pub cost_known: bool,
    /// How many of the Incident's notes the agent was told.
    #[serde(default)]
    pub notes: i64,
    /// Number of the last entry.
    pub last_seq: i64,
    /// The last dozen entries.
    pub recent: VecDeque<ProgressLine>,
    /// What it waits for, if for something unusual, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Why it stands still, while the whole installation is halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
    /// The command that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<RunningCommand>,
    /// The last check of the agent's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<LastCheck>,
}

/// A check of the agent's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastCheck {
    /// What it saw; none while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictWord>,
    /// What has to hold, or what was seen, as a short printable line.
    pub text: String,
}

/// One entry as a short printable line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressLine {
    /// The entry's number.
    pub seq: i64,
    /// Its kind.
    pub kind: EntryKind,
    /// When, about.
    pub at: Timestamp,
    /// What, at most some 160 characters, printable, without line breaks.
    pub text: String,
}

/// A command that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningCommand {
    /// The number of its `tool_call` entry.
    pub seq: i64,
    /// When it was started.
    pub since: Timestamp,
    /// Its text, as a short printable line.
    pub text: String,
}

impl Progress {
    /// Takes an entry into account.
    pub fn saw(&mut self, seq: i64, at: Timestamp, body: &EntryBody) {
        // A change's entry can be seen before or after its neighbours.
        self.last_seq = self.last_seq.max(seq);
        self.count(body);
        // The verbatim message is not for people: its words and calls have entries of their own.
        if body.kind() == EntryKind::Turn {
            return;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(ProgressLine { seq, kind: body.kind(), at, text: line_of(body) });
    }
}

impl Progress {
    fn count(&mut self, body: &EntryBody) {
        match body {
            EntryBody::Turn(turn) => {
                let usage = Usage::from_api(turn.usage.clone());
                self.turns = turn.turn;
                self.cost += turn.cost;
                self.input_tokens = self.input_tokens.saturating_add(whole(usage.total_input()));
                self.cached_tokens = self.cached_tokens.saturating_add(whole(usage.cache_read));
                self.output_tokens = self.output_tokens.saturating_add(whole(usage.output));
            }
            EntryBody::Note(note) => self.notes = self.notes.max(note.number),
            EntryBody::Verification(entry) => {
                let verdict = match entry {
                    VerificationEntry::Begun(_) => None,
                    VerificationEntry::Ended(ended) => Some(ended.verdict),
                    VerificationEntry::Healed { .. } => return,
                };
                self.check = Some(LastCheck { verdict, text: printable(&check_of(entry)) });
            }
            EntryBody::ToolResult(result) => self.redacted = self.redacted.saturating_add(result.redacted),
            // One without a limit is not to run.
            EntryBody::ToolCall(call) if call.timeout_ms.is_some() => self.commands += 1,
            _ => {}
        }
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An entry in one line.
fn line_of(body: &EntryBody) -> String {
    match body {
        EntryBody::Incident(incident) => {
            printable(incident.incident.get("title").and_then(|t| t.as_str()).unwrap_or(""))
        }
        EntryBody::Reasoning(reasoning) => printable(&reasoning.text),
        EntryBody::ToolCall(call) => match &call.command {
            Some(command) => printable(command),
            None => printable(&call.tool),
        },
        EntryBody::ToolResult(result) => printable(&result.content),
        EntryBody::Conclusion(conclusion) => printable(&conclusion.root_cause),
        EntryBody::Control(control) => printable(&control.message),
        EntryBody::Change(ChangeEntry::Begun(change)) => printable(&change.summary),
        EntryBody::Change(ChangeEntry::Completed(done)) => {
            format!("change {}: {}", done.change, outcome_of(&done.result.outcome))
        }
        EntryBody::Note(note) => printable(&format!("{}: {}", note.author(), note.text)),
        EntryBody::Verification(verification) => printable(&check_of(verification)),
        EntryBody::Turn(_) => String::new(),
    }
}

/// What the invariants said, in a few words.
fn check_of(verification: &VerificationEntry) -> String {
    match verification {
        VerificationEntry::Begun(begun) => {
            let (attempt, of, window) = (begun.attempt, begun.attempts, seconds(begun.stabilization_ms));
            format!("invariants must hold for {window}, seen fresh; attempt {attempt} of {of}")
        }
        VerificationEntry::Ended(ended) => match ended.verdict {
            VerdictWord::Holds => {
                format!("all invariants held for {}, seen in {} rounds", seconds(ended.window_ms), ended.seen)
            }
            VerdictWord::Violated => format!("violated: {}", ended.found(FINDINGS)),
            VerdictWord::Unknown => format!("nobody can say: {}", ended.found(FINDINGS)),
        },
        VerificationEntry::Healed { .. } => "all invariants hold again, and the agent is told".to_owned(),
    }
}

/// How a change ended, in a few words.
fn outcome_of(outcome: &ChangeOutcome) -> String {
    match outcome {
        ChangeOutcome::Succeeded { .. } => "done".to_owned(),
        ChangeOutcome::Failed { message, .. } => printable(&format!("failed: {message}")),
        ChangeOutcome::NotDone { reason } => printable(&format!("not done: {reason}")),
        ChangeOutcome::Unknown { reason } => printable(&format!("outcome unknown: {reason}")),
    }
}

/// `text` as one printable line of at most some 160 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    short_line(text, LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_and_printable() {
        assert_eq!(printable("a\n\tb\u{1b}[31m  c\u{202e}"), "a b c\\u{202e}");
        let long = printable(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), LINE + 1);
    }
}
