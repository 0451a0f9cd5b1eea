//! Entries → where a session stands, pure.
//!
//! Each entry is [taken](State::take) once it is committed, by the loop that wrote it as by one that
//! finds it; and the [next step](super::step::next) follows from the state alone. So a session that is
//! resumed at any row goes on as it would have gone on.
//!
//! What the loop does not write itself (changes, notes, what an older or a newer version wrote) passes
//! by without disturbing anything: only its number and its time are seen.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use super::budget::Limit;
use super::claim::Checks;
use super::transcript::{Transcript, tool_uses};
use super::{Findings, SessionEnd};
use crate::audit::entry::{
    CallOutcome, ChangeEntry, ChangeOrigin, ConclusionEntry, ControlEntry, ControlEvent, EntryBody, Outcome,
    ToolCallEntry, TurnEntry,
};
use crate::audit::{EntryKind, StoredEntry};
use crate::model::StopReason;

/// The key in a control entry's details under which stands the limit that is reached.
pub const LIMIT: &str = "limit";
/// The key beside it under which stands how many tokens the last turn may write; 0 for no last turn.
pub const MAX_TOKENS: &str = "maxTokens";
/// The key in a control entry's details under which stands the share of a budget, in percent, at which the model
/// was told how much is left.
pub const SHARE: &str = "share";
/// The key in a control entry's details under which stands the end that it decides.
pub const END: &str = "end";
/// The key in a `cancelled` entry's details under which stands what was found by then.
pub const FINDINGS: &str = "findings";
/// The key in a `released` entry's details that says that the container is replaced after the halt.
pub const REPLACE: &str = "replace";
/// The key in an `evidence` entry's details under which stands how many pieces of evidence are known with it.
pub const KNOWN: &str = "known";

/// Where a session stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The conversation and what it cost.
    pub transcript: Transcript,
    /// The model's last message.
    pub(super) message: Option<Message>,
    /// The call that is on record and has no result.
    pub(super) call: Option<BegunCall>,
    /// The limit that is reached, once that is on record.
    pub(super) last_turn: Option<LastTurn>,
    /// The end, once an entry has decided it.
    pub(super) ending: Option<SessionEnd>,
    /// What became of the container since the last message.
    pub(super) loss: Loss,
    /// The container that was handed out last.
    pub(super) container: Option<Container>,
    /// Whether a person said something since the last message.
    pub(super) note_waits: bool,
    /// What became of the agent's word that the fault is gone.
    pub(super) checks: Checks,
    /// How many of the Incident's pieces of evidence the model knows.
    pub(super) evidence: usize,
    /// Containers that were replaced because of a halt: they count for no fault.
    pub(super) replaced_by_halts: u32,
    /// Since when it stands still.
    halted: Option<Timestamp>,
    /// The share of a budget at which the model was told last how much is left.
    pub(super) told_share: u64,
    begun: bool,
    unpriced_said: bool,
    sealed: Option<Sealed>,
    open_changes: BTreeMap<i64, Option<ChangeOrigin>>,
    used: Duration,
    last_at: Option<Timestamp>,
}

/// What became of the container since the last message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Why it was given up, until that is said.
    pub(super) unsaid: Option<String>,
    /// Whether it is said that it was given up.
    pub(super) is_said: bool,
    /// Whether a command was under way then.
    pub(super) interrupted: bool,
}

/// A message of the model, as far as it decides what follows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) turn: i64,
    /// What it says and thinks, in order; and how much of it stands in entries of its own.
    pub(super) words: Vec<Words>,
    pub(super) said: usize,
    pub(super) stop: StopReason,
    pub(super) stop_details: Value,
    /// How many tokens it was allowed, if that is on record.
    pub(super) max_tokens: Option<u32>,
    /// How many tools it calls.
    pub(super) calls: usize,
    /// Whether it was answered by a nudge.
    pub(super) nudged: bool,
    /// What it concludes.
    pub(super) conclusion: Option<ConclusionEntry>,
}

/// Text or thinking of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) text: String,
    pub(super) thinking: bool,
}

/// A call on record that has no result yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BegunCall {
    pub(super) seq: i64,
    pub(super) tool_use_id: String,
    /// Its command, if it has one.
    pub(super) command: Option<String>,
    /// Its limit; absent if it is not to run.
    pub(super) timeout: Option<Duration>,
    /// Whether its conclusion stands.
    pub(super) concluded: bool,
    /// Whether it is said which of its evidence does not exist.
    pub(super) evidence_named: bool,
}

/// The limit that is reached, and the last turn because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastTurn {
    pub(super) limit: Limit,
    pub(super) sentence: String,
    pub(super) max_tokens: Option<u32>,
    /// Whether the model's last message stands.
    pub(super) answered: bool,
}

/// A container that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) name: String,
    /// How many were lost before it.
    pub(super) replacement: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sealed {
    phase: String,
    reason: String,
    message: String,
}

/// An entry on which the course depends, in a shape that is not known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} ({kind}) cannot be read by this version of operator, so the session cannot be gone on with")]
pub struct UnknownEntry {
    /// Its number.
    pub seq: i64,
    /// Its kind.
    pub kind: String,
}

impl UnknownEntry {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        "entry_unknown"
    }
}

impl State {
    /// Rebuilds a session from its entries as they are stored, in order.
    ///
    /// # Errors
    /// [`UnknownEntry`] when one on which the conversation depends has a shape that is not known here. One of
    /// a kind that is not known is passed by.
    pub fn rebuild(entries: &[StoredEntry]) -> Result<Self, UnknownEntry> {
        let mut state = Self::default();
        for entry in entries {
            state.see(entry)?;
        }
        Ok(state)
    }

    /// Takes a stored entry into account, and gives what it says if that is known here.
    pub(super) fn see(&mut self, entry: &StoredEntry) -> Result<Option<EntryBody>, UnknownEntry> {
        let body = entry.body();
        match &body {
            Some(body) => self.take(entry.seq, entry.at, body),
            None if is_vital(&entry.kind) => {
                return Err(UnknownEntry { seq: entry.seq, kind: entry.kind.clone() });
            }
            None => self.take_unknown(entry.seq, entry.at, &entry.data),
        }
        Ok(body)
    }

    /// Takes the next entry into account.
    pub fn take(&mut self, seq: i64, at: Timestamp, body: &EntryBody) {
        self.tick(at);
        self.transcript.take(seq, body);
        match body {
            EntryBody::Incident(incident) => {
                self.begun = true;
                self.evidence = incident.incident.get("evidence").and_then(Value::as_array).map_or(0, Vec::len);
            }
            EntryBody::Turn(turn) => self.take_turn(turn),
            EntryBody::Reasoning(reasoning) => {
                if let Some(message) = self.message.as_mut().filter(|message| message.turn == reasoning.turn) {
                    message.said += 1;
                }
            }
            EntryBody::ToolCall(call) => self.take_call(seq, call),
            EntryBody::ToolResult(result) => {
                if self.call.as_ref().is_some_and(|call| call.seq == result.call) {
                    self.call = None;
                }
                if let CallOutcome::Unknown { reason } = &result.outcome {
                    self.loss.unsaid = Some(reason.clone());
                    self.loss.interrupted = true;
                }
            }
            EntryBody::Conclusion(conclusion) => {
                if let Some(message) = &mut self.message {
                    message.conclusion = Some(conclusion.clone());
                }
                if let Some(call) = &mut self.call {
                    call.concluded = true;
                }
            }
            EntryBody::Change(ChangeEntry::Begun(change)) => drop(self.open_changes.insert(seq, change.origin)),
            EntryBody::Change(ChangeEntry::Completed(done)) => drop(self.open_changes.remove(&done.change)),
            EntryBody::Control(control) => self.take_control(control),
            EntryBody::Note(_) => self.note_waits = true,
            EntryBody::Verification(verification) => {
                let claimed = self.message.as_ref().and_then(|message| message.conclusion.as_ref());
                self.checks.take(verification, claimed.is_some_and(|said| said.outcome == Outcome::Resolved));
            }
        }
    }

    /// Takes an entry into account that a newer version wrote.
    fn take_unknown(&mut self, seq: i64, at: Timestamp, data: &Value) {
        self.tick(at);
        self.transcript.take_unknown(seq, data);
    }

    fn take_turn(&mut self, turn: &TurnEntry) {
        (self.loss, self.call) = (Loss::default(), None);
        self.note_waits = false;
        self.checks.forget();
        if let Some(last) = &mut self.last_turn {
            last.answered = true;
        }
        self.message = Some(Message {
            turn: turn.turn,
            words: words(&turn.message),
            said: 0,
            stop: StopReason::parse(turn.stop_reason.as_deref()),
            stop_details: turn.stop_details.clone(),
            max_tokens: turn.max_tokens,
            calls: tool_uses(&turn.message).len(),
            nudged: false,
            conclusion: None,
        });
    }

    fn take_call(&mut self, seq: i64, call: &ToolCallEntry) {
        if !self.transcript.open_calls().iter().any(|open| open.id == call.tool_use_id) {
            return;
        }
        let timeout = call.timeout_ms.map(|limit| Duration::from_millis(u64::try_from(limit).unwrap_or(0)));
        let (tool_use_id, command) = (call.tool_use_id.clone(), call.command.clone());
        self.call = Some(BegunCall { seq, tool_use_id, command, timeout, concluded: false, evidence_named: false });
    }

    fn take_control(&mut self, control: &ControlEntry) {
        let details = &control.details;
        match control.event {
            ControlEvent::Nudged => {
                if let Some(message) = &mut self.message {
                    message.nudged = true;
                }
            }
            ControlEvent::SandboxLost => (self.loss.unsaid, self.loss.is_said) = (None, true),
            ControlEvent::Started => {
                if let Some(name) = details["container"].as_str().map(str::to_owned) {
                    let replacement = details["replacement"].as_u64().and_then(|number| u32::try_from(number).ok());
                    self.container = Some(Container { name, replacement: replacement.unwrap_or(0) });
                }
            }
            ControlEvent::Budget => match details[LIMIT].as_str().and_then(Limit::parse) {
                Some(limit) => {
                    let max_tokens = details[MAX_TOKENS].as_u64().and_then(|most| u32::try_from(most).ok());
                    let sentence = control.message.clone();
                    self.last_turn = Some(LastTurn { limit, sentence, max_tokens, answered: false });
                }
                None => match details[SHARE].as_u64() {
                    Some(share) => self.told_share = share,
                    None => self.unpriced_said = true,
                },
            },
            ControlEvent::Error => {
                if let Some(call) = self.call.as_mut().filter(|_| details.get("evidence").is_some()) {
                    call.evidence_named = true;
                }
            }
            ControlEvent::Cancelled => {
                let findings = details.get(FINDINGS).and_then(|findings| Findings::deserialize(findings).ok());
                self.ending = Some(SessionEnd::Cancelled { message: control.message.clone(), findings });
            }
            ControlEvent::Sealed => {
                let word = |key: &str| details[key].as_str().unwrap_or_default().to_owned();
                let message = control.message.clone();
                self.sealed = Some(Sealed { phase: word("phase"), reason: word("reason"), message });
            }
            ControlEvent::Halted => self.halted = self.last_at,
            ControlEvent::Released => {
                self.halted = None;
                if details[REPLACE] == true {
                    self.replaced_by_halts += 1;
                    self.loss.unsaid = Some(OVERSLEPT.to_owned());
                }
            }
            ControlEvent::Evidence => {
                let known = details[KNOWN].as_u64().and_then(|known| usize::try_from(known).ok());
                self.evidence = self.evidence.max(known.unwrap_or(0));
            }
            ControlEvent::Resumed | ControlEvent::Compacted | ControlEvent::Recurring => {}
        }
        if let Some(end) = details.get(END).and_then(|end| SessionEnd::decided(end, &control.message)) {
            self.ending = Some(end);
        }
    }

    /// Time that passed between two entries counts; a clock that was set back meanwhile takes nothing away.
    fn tick(&mut self, at: Timestamp) {
        self.used = self.wall_time(at);
        self.last_at = Some(at);
    }

    /// How long the session runs at `now`, by the times of its entries.
    #[must_use]
    pub fn wall_time(&self, now: Timestamp) -> Duration {
        // It does not run while the installation is halted, nor while Operator looks for itself.
        let runs = self.halted.is_none() && !self.checks.is_open();
        let since = self.last_at.filter(|_| runs).map(|last| now.duration_since(last));
        self.used.saturating_add(since.and_then(|since| Duration::try_from(since).ok()).unwrap_or_default())
    }

    /// Whether it stands still, because the installation was halted.
    pub(super) fn is_halted(&self) -> bool {
        self.halted.is_some()
    }

    /// For how long it has stood still at `now`.
    pub(super) fn halted_for(&self, now: Timestamp) -> Duration {
        self.halted.and_then(|since| Duration::try_from(now.duration_since(since)).ok()).unwrap_or_default()
    }

    /// How long it ran up to its last entry.
    #[must_use]
    pub fn used(&self) -> Duration {
        self.used
    }

    /// Whether its first entry stands.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.begun
    }

    /// Whether it is still to be said that the model has no price.
    pub(super) fn is_unpriced_unsaid(&self) -> bool {
        !self.unpriced_said && self.message.is_none()
    }

    /// Whether its last entry stands.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// The end as the last entry tells it, in the words that are left of it there; `likely` is the end that the
    /// entries before it lead to, which says more.
    pub(super) fn sealed_end(&self, likely: Option<SessionEnd>) -> Option<SessionEnd> {
        let sealed = self.sealed.as_ref()?;
        if let Some(end) = likely.filter(|end| end.phase() == sealed.phase && end.reason() == sealed.reason) {
            return Some(end);
        }
        let (reason, message) = (sealed.reason.clone(), sealed.message.clone());
        let said = self.message.as_ref().and_then(|message| message.conclusion.clone());
        Some(match (sealed.phase.as_str(), said) {
            ("Resolved", Some(conclusion)) => SessionEnd::Resolved { conclusion, message },
            ("Concluded", Some(conclusion)) => SessionEnd::Concluded(conclusion),
            ("Cancelled", _) => SessionEnd::Cancelled { message, findings: None },
            ("Escalated", _) => SessionEnd::Escalated { reason, message, findings: None },
            _ => SessionEnd::Failed { reason, message },
        })
    }

    /// Changes of the subject of which only the beginning is on record, by their entry.
    #[must_use]
    pub fn open_changes(&self) -> &BTreeMap<i64, Option<ChangeOrigin>> {
        &self.open_changes
    }
}

/// Why a container is replaced after a long halt.
const OVERSLEPT: &str = "the halt was so long that it would end by its own clock";

/// Whether the conversation depends on entries of this kind.
fn is_vital(kind: &str) -> bool {
    [EntryKind::Incident, EntryKind::Turn, EntryKind::ToolCall, EntryKind::ToolResult, EntryKind::Conclusion]
        .iter()
        .any(|vital| vital.as_str() == kind)
}

impl Message {
    /// What it says, if it says anything.
    pub(super) fn findings(&self) -> Option<Findings> {
        let texts: Vec<&str> =
            self.words.iter().filter(|words| !words.thinking).map(|words| words.text.as_str()).collect();
        let summary = texts.join("\n");
        (!summary.is_empty()).then_some(Findings { root_cause: None, summary, follow_up: None })
    }
}

/// What a message says and thinks, without what is empty.
fn words(message: &Value) -> Vec<Words> {
    let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |block: &Value| {
        let (key, thinking) = match block["type"].as_str()? {
            "text" => ("text", false),
            "thinking" => ("thinking", true),
            _ => return None,
        };
        let text = block[key].as_str().map(str::trim).filter(|text| !text.is_empty())?;
        Some(Words { text: text.to_owned(), thinking })
    };
    blocks.iter().filter_map(read).collect()
}
