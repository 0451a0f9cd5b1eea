//! Entries → the conversation, pure.
//!
//! The loop builds what it sends with the same function that rebuilds a session from its rows: each
//! entry is [taken](Transcript::take) once it is committed, and nothing else changes the
//! conversation. So what the model is sent after a restart is what it would have been sent without.
//!
//! What Operator says to the model apart from results stands in a `control` entry, in its details
//! under [`TELL`].

use serde_json::{Value, json};

use crate::audit::entry::{ControlEntry, ControlEvent, EntryBody, ToolResultEntry, TurnEntry};
use crate::model::Usage;
use crate::money::NanoDollars;

/// The key in a control entry's details under which stands what the model is told.
pub const TELL: &str = "tell";

/// A call of a tool in a message.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolUse {
    /// The API's id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The input.
    pub input: Value,
    /// Whether it is the last block of the message.
    pub last: bool,
}

/// A session as its entries tell it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    messages: Vec<Value>,
    /// Calls of the last turn that have no result yet, in order.
    open: Vec<ToolUse>,
    /// Results of the last turn.
    results: Vec<Value>,
    /// What else the model is told in its next user message.
    notes: Vec<String>,
    /// Number of the last entry.
    pub last_seq: i64,
    /// Turns so far.
    pub turns: i64,
    /// Turns in a row that called no tool and were answered by a nudge.
    pub idle_turns: u32,
    /// Pauses of a turn in a row.
    pub pauses: u32,
    /// Messages in a row that were cut before they called a tool.
    pub cuts: u32,
    /// Containers that were lost.
    pub lost_sandboxes: u32,
    /// Tokens so far, read and written.
    pub tokens: u64,
    /// Cost so far.
    pub cost: NanoDollars,
    /// Tokens that the conversation measured after the last turn.
    pub context: u64,
    /// Bytes that were added since.
    pub added_bytes: u64,
}

impl Transcript {
    /// Rebuilds a session from its entries, in order.
    pub fn rebuild<'a>(entries: impl IntoIterator<Item = (i64, &'a EntryBody)>) -> Self {
        let mut transcript = Self::default();
        for (seq, body) in entries {
            transcript.take(seq, body);
        }
        transcript
    }

    /// Takes the next entry into account.
    pub fn take(&mut self, seq: i64, body: &EntryBody) {
        self.last_seq = seq;
        match body {
            EntryBody::Incident(incident) => {
                self.added_bytes += len(incident.system.len() + incident.tools.to_string().len() + incident.user.len());
                self.notes.push(incident.user.clone());
            }
            EntryBody::Turn(turn) => self.take_turn(turn),
            EntryBody::ToolResult(result) => self.take_result(result),
            EntryBody::Control(control) => self.take_control(control),
            EntryBody::Reasoning(_)
            | EntryBody::ToolCall(_)
            | EntryBody::Change(_)
            | EntryBody::Conclusion(_)
            | EntryBody::Verification(_)
            | EntryBody::Note(_) => {}
        }
    }

    /// Takes an entry into account that a newer version wrote: only what it says to the model.
    pub(super) fn take_unknown(&mut self, seq: i64, data: &Value) {
        self.last_seq = seq;
        self.take_tell(&data["details"]);
    }

    fn take_turn(&mut self, turn: &TurnEntry) {
        if let Some(message) = self.next_user_message() {
            push(&mut self.messages, message);
        }
        self.results.clear();
        self.notes.clear();
        self.open = tool_uses(&turn.message);
        if let Some(message) = sendable(&turn.message) {
            self.messages.push(message);
        }
        self.turns = turn.turn;
        if self.open.is_empty() {
            self.pauses = if turn.stop_reason.as_deref() == Some("pause_turn") { self.pauses + 1 } else { 0 };
            self.cuts = if turn.stop_reason.as_deref() == Some("max_tokens") { self.cuts + 1 } else { 0 };
        } else {
            (self.idle_turns, self.pauses, self.cuts) = (0, 0, 0);
        }
        let usage = Usage::from_api(turn.usage.clone());
        self.tokens = self.tokens.saturating_add(usage.total());
        self.cost += turn.cost;
        self.context = usage.total();
        self.added_bytes = 0;
    }

    fn take_result(&mut self, result: &ToolResultEntry) {
        let Some(at) = self.open.iter().position(|call| call.id == result.tool_use_id) else { return };
        self.open.remove(at);
        self.added_bytes += len(result.content.len());
        let mut block = json!({"type": "tool_result", "tool_use_id": result.tool_use_id, "content": result.content});
        if result.is_error {
            block["is_error"] = json!(true);
        }
        self.results.push(block);
    }

    fn take_control(&mut self, control: &ControlEntry) {
        match control.event {
            ControlEvent::Nudged if self.cuts == 0 => self.idle_turns += 1,
            ControlEvent::SandboxLost => self.lost_sandboxes += 1,
            _ => {}
        }
        self.take_tell(&control.details);
    }

    fn take_tell(&mut self, details: &Value) {
        if let Some(text) = details.get(TELL).and_then(Value::as_str) {
            self.added_bytes += len(text.len());
            self.notes.push(text.to_owned());
        }
    }

    /// Calls of the last turn that have no result yet.
    #[must_use]
    pub fn open_calls(&self) -> &[ToolUse] {
        &self.open
    }

    /// The conversation as it is sent next: results first, in the order of their calls, then what
    /// else the model is told.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        let mut messages = self.messages.clone();
        if let Some(message) = self.next_user_message() {
            push(&mut messages, message);
        }
        messages
    }

    fn next_user_message(&self) -> Option<Value> {
        let notes = self.notes.iter().map(|text| json!({"type": "text", "text": text}));
        let content: Vec<Value> = self.results.iter().cloned().chain(notes).collect();
        (!content.is_empty()).then(|| json!({"role": "user", "content": content}))
    }

    /// About how many tokens the next call reads: what the API counted, and a third of the bytes
    /// that were added since.
    #[must_use]
    pub fn next_input_tokens(&self) -> u64 {
        self.context.saturating_add(self.added_bytes / 3).saturating_add(100)
    }
}

fn len(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Appends a message; a user message behind a user message is joined to it.
fn push(messages: &mut Vec<Value>, mut message: Value) {
    if let Some(last) = messages.last_mut().filter(|last| last["role"] == message["role"])
        && let (Some(have), Some(more)) = (last["content"].as_array_mut(), message["content"].as_array_mut())
    {
        have.append(more);
        return;
    }
    messages.push(message);
}

/// The tool calls of a message, in order.
#[must_use]
pub fn tool_uses(message: &Value) -> Vec<ToolUse> {
    let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |(index, block): (usize, &Value)| {
        let text = |key: &str| block.get(key).and_then(Value::as_str).map(str::to_owned);
        (block["type"] == "tool_use").then_some(())?;
        Some(ToolUse {
            id: text("id")?,
            name: text("name")?,
            input: block["input"].clone(),
            last: index + 1 == blocks.len(),
        })
    };
    blocks.iter().enumerate().filter_map(read).collect()
}

/// A message as the API takes it back: as it came, without what the API gives and does not take
/// (text that is empty or only space, thinking that was cut before its signature). `None` if nothing
/// is left of it.
fn sendable(message: &Value) -> Option<Value> {
    let filled = |block: &Value, key: &str| block[key].as_str().is_some_and(|text| !text.trim().is_empty());
    let taken = |block: &&Value| match block["type"].as_str() {
        Some("text") => filled(block, "text"),
        Some("thinking") => filled(block, "signature"),
        _ => true,
    };
    let blocks = message["content"].as_array()?;
    let content: Vec<&Value> = blocks.iter().filter(taken).collect();
    if content.len() == blocks.len() && !content.is_empty() {
        return Some(message.clone());
    }
    (!content.is_empty()).then(|| json!({"role": "assistant", "content": content}))
}
