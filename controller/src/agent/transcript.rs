//! Entries → the conversation, pure.
//!
//! The loop builds what it sends with the same function that rebuilds a session from its rows: each
//! entry is [taken](Transcript::take) once it is committed, and nothing else changes the
//! conversation. So what the model is sent after a restart is what it would have been sent without.
//!
//! What Operator says to the model apart from results stands in a `control` or `verification` entry, in its
//! details under [`TELL`].

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::compact::{self, Replaced, Shown, Window};
use super::notes;
use crate::audit::entry::{
    ControlEntry, ControlEvent, EntryBody, StreamRecord, ToolResultEntry, TurnEntry, VerificationEntry,
};
use crate::json::length;
use crate::model::Usage;
use crate::money::NanoDollars;

/// The key in an entry's details under which stands what the model is told.
pub const TELL: &str = "tell";

/// The key in a control entry's details under which stands what was put in the place of old results.
pub const REPLACED: &str = "replaced";

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
    /// Shared with the requests that are under way.
    messages: Vec<Arc<Value>>,
    /// What the agent said last in words.
    pub last_words: Option<String>,
    /// Number of the last of the Incident's notes that the model was told.
    pub heard: i64,
    /// Calls of the last turn that have no result yet, in order.
    open: Vec<ToolUse>,
    /// Results of the last turn.
    results: Vec<Value>,
    /// All results, in order, each with its place: message and block, or the block of what is sent next.
    shown: Vec<(Shown, Place)>,
    /// Bytes of the whole conversation.
    bytes: u64,
    /// Bytes that commands printed.
    pub output_bytes: u64,
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

/// Where a result stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In this block of this message.
    Sent(usize, usize),
    /// In this block of the message that is sent next.
    Next(usize),
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
                self.add(incident.system.len() + length(&incident.tools) + incident.user.len());
                self.notes.push(incident.user.clone());
                let notes = incident.incident.get("notes").and_then(Value::as_array).map_or(0, Vec::len);
                self.heard = i64::try_from(notes).unwrap_or(i64::MAX);
            }
            EntryBody::Note(note) => {
                let text = notes::told(note);
                self.added_bytes += len(text.len());
                self.notes.push(text);
                self.heard = self.heard.max(note.number);
            }
            EntryBody::Reasoning(reasoning) => self.last_words = Some(reasoning.text.clone()),
            EntryBody::Turn(turn) => self.take_turn(turn),
            EntryBody::ToolResult(result) => self.take_result(seq, result),
            EntryBody::Control(control) => self.take_control(control),
            EntryBody::Verification(VerificationEntry::Ended(ended)) => self.take_tell(&ended.details),
            EntryBody::Verification(VerificationEntry::Healed { details }) => self.take_tell(details),
            EntryBody::Verification(VerificationEntry::Begun(_))
            | EntryBody::ToolCall(_)
            | EntryBody::Change(_)
            | EntryBody::Conclusion(_) => {}
        }
    }

    /// Takes an entry into account that a newer version wrote: only what it says to the model.
    pub(super) fn take_unknown(&mut self, seq: i64, data: &Value) {
        self.last_seq = seq;
        self.take_tell(&data["details"]);
    }

    fn take_turn(&mut self, turn: &TurnEntry) {
        if let Some(message) = self.next_user_message() {
            let before = push(&mut self.messages, message);
            let sent = self.messages.len().saturating_sub(1);
            for (shown, place) in &mut self.shown {
                if let Place::Next(block) = *place {
                    *place = Place::Sent(sent, before + block);
                    shown.is_new = false;
                }
            }
        }
        self.results.clear();
        self.notes.clear();
        self.open = tool_uses(&turn.message);
        if let Some(message) = sendable(&turn.message) {
            self.bytes += len(length(&message));
            self.messages.push(Arc::new(message));
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

    fn take_result(&mut self, seq: i64, result: &ToolResultEntry) {
        let Some(at) = self.open.iter().position(|call| call.id == result.tool_use_id) else { return };
        self.open.remove(at);
        self.add(result.content.len());
        let bytes = |stream: &Option<StreamRecord>| stream.as_ref().map_or(0, |stream| stream.bytes);
        let written = (bytes(&result.stdout), bytes(&result.stderr));
        self.output_bytes = self.output_bytes.saturating_add(written.0).saturating_add(written.1);
        let shown = Shown {
            entry: seq,
            call: result.call,
            bytes: result.content.len(),
            is_replaced: false,
            is_new: true,
            headline: result.content.lines().next().unwrap_or_default().to_owned(),
            written,
        };
        self.shown.push((shown, Place::Next(self.results.len())));
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
            ControlEvent::Compacted => self.take_replaced(&control.details),
            _ => {}
        }
        self.take_tell(&control.details);
    }

    /// Puts texts in the places of results, as a control entry has them.
    fn take_replaced(&mut self, details: &Value) {
        let Ok(replaced) = Vec::<Replaced>::deserialize(&details[REPLACED]) else { return };
        for Replaced { entry, text, .. } in replaced {
            let Some((shown, place)) = self.shown.iter_mut().find(|(shown, _)| shown.entry == entry) else { continue };
            let block = match *place {
                Place::Sent(message, block) => {
                    self.messages.get_mut(message).map(|m| &mut Arc::make_mut(m)["content"][block])
                }
                Place::Next(block) => self.results.get_mut(block),
            };
            let Some(block) = block else { continue };
            let saved = len(shown.bytes).saturating_sub(len(text.len()));
            (shown.bytes, shown.is_replaced) = (text.len(), true);
            block["content"] = Value::String(text);
            match place {
                Place::Sent(..) => self.context = self.context.saturating_sub(share(self.context, saved, self.bytes)),
                Place::Next(_) => self.added_bytes = self.added_bytes.saturating_sub(saved),
            }
            self.bytes = self.bytes.saturating_sub(saved);
        }
    }

    /// The results in the conversation, with the text that stands there.
    pub(super) fn results(&self) -> impl Iterator<Item = (&Shown, &str)> {
        self.shown.iter().map(|(shown, place)| {
            let block = match *place {
                Place::Sent(message, block) => self.messages.get(message).map(|m| &m["content"][block]),
                Place::Next(block) => self.results.get(block),
            };
            (shown, block.and_then(|block| block["content"].as_str()).unwrap_or_default())
        })
    }

    /// The entries of results that are to be replaced before the model is asked again.
    pub(super) fn outgrown(&self, window: &Window) -> Vec<i64> {
        let tokens = self.next_input_tokens();
        if tokens <= window.compact_above {
            return Vec::new();
        }
        let shown: Vec<Shown> = self.shown.iter().map(|(shown, _)| shown.clone()).collect();
        // By the API's own count of what was sent; before the first count, by a guess on the high side.
        let counted = self.bytes.saturating_sub(self.added_bytes);
        let per_kib = if self.context == 0 { 341 } else { share(self.context, 1024, counted) };
        compact::plan(&shown, tokens, per_kib.clamp(64, 1024), window)
    }

    fn add(&mut self, bytes: usize) {
        self.added_bytes += len(bytes);
        self.bytes += len(bytes);
    }

    fn take_tell(&mut self, details: &Value) {
        if let Some(text) = details.get(TELL).and_then(Value::as_str) {
            self.add(text.len());
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
    pub fn messages(&self) -> Vec<Arc<Value>> {
        let mut messages = self.messages.clone();
        if let Some(message) = self.next_user_message() {
            push(&mut messages, message);
        }
        messages
    }

    fn next_user_message(&self) -> Option<Value> {
        let notes = self.notes.iter().map(|text| json!({"type": "text", "text": text}));
        let content: Vec<Value> = self.results.iter().cloned().chain(notes).collect();
        (!content.is_empty()).then(|| {
            // Put in, and not written into the macro, which would copy all of it.
            let mut message = json!({"role": "user"});
            message["content"] = Value::Array(content);
            message
        })
    }

    /// About how many tokens the next call reads: what the API counted, and a third of the bytes
    /// that were added since.
    #[must_use]
    pub fn next_input_tokens(&self) -> u64 {
        self.context.saturating_add(self.added_bytes / 3).saturating_add(100)
    }
}

/// `part` of `all` parts of `whole`.
fn share(whole: u64, part: u64, all: u64) -> u64 {
    let share = u128::from(whole) * u128::from(part) / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

fn len(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Appends a message; a user message behind a user message is joined to it. How many blocks stand before its own.
fn push(messages: &mut Vec<Arc<Value>>, mut message: Value) -> usize {
    if let Some(last) = messages.last_mut().filter(|last| last["role"] == message["role"])
        && let (Some(have), Some(more)) =
            (Arc::make_mut(last)["content"].as_array_mut(), message["content"].as_array_mut())
    {
        let before = have.len();
        have.append(more);
        return before;
    }
    messages.push(Arc::new(message));
    0
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
