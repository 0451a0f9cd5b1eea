//! Entries as a screen needs them: masked, and bounded however large they are on record.

use std::time::Duration;

use audit_client::entry::{
    Change, ChangeEntry, ChangeOutcome, CompletedChange, ControlEntry, EndedVerification, Finding, IncidentEntry,
    NoteEntry, VerdictWord, VerificationEntry,
};
use audit_client::redact::Redactor;
use audit_client::{
    CallOutcome, ConclusionEntry, ControlEvent, EntryBody, Outcome, SessionId, StoredEntry, ToolCallEntry,
    ToolResultEntry,
};
use jiff::Timestamp;

use super::output::Kept;
use crate::feed::Entry;
use crate::{text, time};

/// How many findings of a check are kept.
const FINDINGS: usize = 20;
/// The most bytes of a text of one line.
const LINE: usize = 4 << 10;

/// An entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    /// Its number.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub what: What,
    /// The small model's summary, if there is one.
    pub summary: Option<String>,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// What the session was given.
    Incident {
        /// In a line.
        title: String,
        /// At length.
        description: Kept,
    },
    /// A message of the model, which is shown only if it ended in an unusual way.
    Turn {
        /// Why it ended.
        stop: Option<String>,
    },
    /// What the model said or thought.
    Thought(Kept),
    /// A command, or another tool.
    Call {
        /// It.
        command: Kept,
        /// Why it is run.
        why: Kept,
        /// Whether it only asks for the end: the conclusion says it again.
        concludes: bool,
    },
    /// What came of a call.
    Result {
        /// The call's number.
        call: i64,
        /// How it ended.
        end: CallOutcome,
        /// How long it took.
        took: Duration,
        /// What it printed.
        out: Kept,
        /// What it complained.
        err: Kept,
    },
    /// A change of the subject that is about to happen.
    Change(String),
    /// What came of a change.
    Changed {
        /// The change's number.
        change: i64,
        /// How it ended.
        end: ChangeEnd,
        /// How long it took.
        took: Duration,
    },
    /// The agent's conclusion.
    Conclusion {
        /// Whether it says that the fault is gone.
        resolved: bool,
        /// The root cause.
        cause: String,
        /// What happened.
        summary: String,
        /// The entries that show it.
        evidence: Vec<i64>,
        /// What a person should do next.
        follow_up: Option<String>,
    },
    /// A check of the invariants begins.
    Check {
        /// Which.
        attempt: u32,
        /// Of how many.
        attempts: u32,
        /// For how long all has to hold.
        holds: Duration,
    },
    /// What a check saw.
    Checked {
        /// Which.
        attempt: u32,
        /// The verdict.
        verdict: VerdictWord,
        /// In words.
        words: String,
        /// What was found.
        findings: Vec<String>,
    },
    /// All invariants hold again before the agent said so.
    Healed,
    /// A person's words.
    Note {
        /// Whose.
        author: String,
        /// They.
        text: Kept,
    },
    /// Something that Operator did or met.
    Control {
        /// What.
        event: ControlEvent,
        /// In a sentence.
        message: String,
        /// Of the last one: the phase in which it ended.
        phase: Option<String>,
    },
    /// A line of the Incident's status, when the session itself cannot be read.
    Recent {
        /// The kind of entry.
        kind: String,
        /// It.
        text: String,
    },
    /// What this version does not know.
    Unknown {
        /// The kind.
        kind: String,
        /// It, as JSON.
        data: Kept,
    },
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeEnd {
    /// As it should.
    Done,
    /// The engine refused it, or it failed.
    Failed(String),
    /// It was not done.
    NotDone(String),
    /// Nobody knows.
    Unknown(String),
}

/// An entry as the audit API's client has it.
#[must_use]
pub fn stored(session: &str, entry: &Entry) -> StoredEntry {
    StoredEntry {
        session: SessionId::from(session.to_owned()),
        seq: entry.seq,
        at: entry.at,
        kind: entry.kind.clone(),
        data: entry.data.clone(),
        summary: entry.summary.clone(),
    }
}

impl Digest {
    /// Of an entry.
    #[must_use]
    pub fn of(entry: Entry) -> Self {
        let summary = entry.summary.as_deref().map(line).filter(|summary| !summary.is_empty());
        let (seq, at) = (entry.seq, entry.at);
        Self { seq, at, what: what(entry), summary }
    }

    /// The bytes that it takes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let inner = match &self.what {
            What::Incident { title, description } => title.len() + description.size(),
            What::Thought(text) | What::Note { text, .. } | What::Unknown { data: text, .. } => text.size(),
            What::Call { command: one, why: other, .. } | What::Result { out: one, err: other, .. } => {
                one.size() + other.size()
            }
            What::Change(text) | What::Recent { text, .. } | What::Control { message: text, .. } => text.len(),
            What::Conclusion { cause, summary, evidence, .. } => cause.len() + summary.len() + evidence.len() * 8,
            What::Checked { findings, .. } => findings.iter().map(String::len).sum(),
            What::Turn { .. } | What::Changed { .. } | What::Check { .. } | What::Healed => 0,
        };
        inner + size_of::<Self>() + self.summary.as_ref().map_or(0, String::len)
    }

    /// Whether nothing will follow.
    #[must_use]
    pub fn is_seal(&self) -> bool {
        matches!(self.what, What::Control { event: ControlEvent::Sealed, .. })
    }
}

fn what(entry: Entry) -> What {
    if entry.kind == "turn" {
        // The message itself is large, and its parts are entries of their own.
        let stop = entry.data["stopReason"].as_str().filter(|stop| !matches!(*stop, "tool_use" | "end_turn"));
        return What::Turn { stop: stop.map(line) };
    }
    let kind = entry.kind.clone();
    let stored = StoredEntry {
        session: SessionId::from(String::new()),
        seq: entry.seq,
        at: entry.at,
        kind: entry.kind,
        data: entry.data,
        summary: None,
    };
    let Some(body) = stored.body() else {
        return What::Unknown { kind: line(&kind), data: Kept::text(&format!("{:#}", stored.data)) };
    };
    // The model's own words stand in the trail as they were, and are masked wherever people look.
    match Redactor::for_readers().shown(&body).into_owned() {
        EntryBody::Incident(incident) => incident_of(&incident),
        EntryBody::Turn(_) => What::Turn { stop: None },
        EntryBody::Reasoning(reasoning) => What::Thought(Kept::text(reasoning.text.trim())),
        EntryBody::ToolCall(call) => call_of(&call),
        EntryBody::ToolResult(result) => result_of(result),
        EntryBody::Change(change) => change_of(&change),
        EntryBody::Conclusion(conclusion) => conclusion_of(conclusion),
        EntryBody::Verification(verification) => verification_of(&verification),
        EntryBody::Note(note) => note_of(&note),
        EntryBody::Control(ControlEntry { event, message, details }) => {
            let phase = details["phase"].as_str().filter(|_| event == ControlEvent::Sealed).map(line);
            What::Control { event, message: line(&message), phase }
        }
    }
}

fn incident_of(incident: &IncidentEntry) -> What {
    let said = |key: &str| incident.incident[key].as_str().unwrap_or_default();
    What::Incident { title: line(said("title")), description: Kept::text(said("description")) }
}

fn call_of(call: &ToolCallEntry) -> What {
    let command = match &call.command {
        Some(command) => Kept::text(command),
        None => Kept::text(&format!("{} {}", call.tool, call.input)),
    };
    let why = Kept::text(call.reasoning.as_deref().unwrap_or_default().trim());
    What::Call { command, why, concludes: call.tool == "conclude" }
}

fn result_of(result: ToolResultEntry) -> What {
    let kept = |stream: &Option<audit_client::StreamRecord>| stream.as_ref().map(Kept::stream).unwrap_or_default();
    let (out, err) = (kept(&result.stdout), kept(&result.stderr));
    What::Result { call: result.call, end: result.outcome, took: millis(result.duration_ms), out, err }
}

fn change_of(change: &ChangeEntry) -> What {
    match change {
        ChangeEntry::Begun(Change { summary, .. }) => What::Change(line(summary)),
        ChangeEntry::Completed(CompletedChange { change, result }) => {
            let end = match &result.outcome {
                ChangeOutcome::Succeeded { .. } => ChangeEnd::Done,
                ChangeOutcome::Failed { status, message } => {
                    ChangeEnd::Failed(line(&format!("status {status}: {message}")))
                }
                ChangeOutcome::NotDone { reason } => ChangeEnd::NotDone(line(reason)),
                ChangeOutcome::Unknown { reason } => ChangeEnd::Unknown(line(reason)),
            };
            What::Changed { change: *change, end, took: millis(result.duration_ms) }
        }
    }
}

fn conclusion_of(conclusion: ConclusionEntry) -> What {
    What::Conclusion {
        resolved: conclusion.outcome == Outcome::Resolved,
        cause: line(&conclusion.root_cause),
        summary: line(&conclusion.summary),
        evidence: conclusion.evidence.into_iter().take(64).collect(),
        follow_up: conclusion.follow_up.as_deref().map(line).filter(|text| !text.is_empty()),
    }
}

fn verification_of(verification: &VerificationEntry) -> What {
    match verification {
        VerificationEntry::Begun(begun) => What::Check {
            attempt: begun.attempt,
            attempts: begun.attempts,
            holds: Duration::from_millis(begun.stabilization_ms),
        },
        VerificationEntry::Ended(ended) => What::Checked {
            attempt: ended.attempt,
            verdict: ended.verdict,
            words: verdict(ended),
            findings: findings(ended),
        },
        VerificationEntry::Healed { .. } => What::Healed,
    }
}

fn verdict(ended: &EndedVerification) -> String {
    match ended.verdict {
        VerdictWord::Holds => format!(
            "proven: all invariants held for {}, seen in {} of readings",
            time::took(Duration::from_millis(ended.window_ms)),
            text::count(ended.seen, "round")
        ),
        VerdictWord::Violated => "not true: the fault is not gone".to_owned(),
        VerdictWord::Unknown => "not proven: nobody can say whether the fault is gone".to_owned(),
    }
}

fn findings(ended: &EndedVerification) -> Vec<String> {
    let mut lines: Vec<String> =
        ended.findings.iter().take(FINDINGS).map(|finding| line(&Finding::line(finding))).collect();
    let more = (ended.findings.len() - lines.len()) as u64 + ended.more;
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn note_of(note: &NoteEntry) -> What {
    What::Note { author: line(note.author()), text: Kept::text(note.text.trim()) }
}

/// A text of one line, clean and bounded.
fn line(text: &str) -> String {
    let cut = text.floor_char_boundary(LINE);
    let mut clean = text::one_line(&text[..cut]);
    if cut < text.len() {
        clean.push('…');
    }
    clean
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
