//! What an entry can say. One struct a kind; the shapes are what readers of the trail rely on. Those of changes are in
//! `change`, those of what the invariants said in `verification`.

mod change;
mod verification;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::money::NanoDollars;
use crate::session::SessionId;

pub use change::{
    Change, ChangeEntry, ChangeOrigin, ChangeOutcome, ChangeResult, ChangeTarget, CompletedChange, InputRecord,
};
pub use verification::{BegunVerification, EndedVerification, Finding, VerdictWord, VerificationEntry};

/// One row of the trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The session it belongs to.
    pub session: SessionId,
    /// Its number in the session, from 1 without gaps.
    pub seq: i64,
    /// When it was written, by the controller's clock.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub body: EntryBody,
    /// The small model's summary, if there is one. Outside the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// The kinds of entries, as the column `kind` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// What the session was given.
    Incident,
    /// A message of the model, verbatim.
    Turn,
    /// What the model said or thought, readable.
    Reasoning,
    /// A tool call that is about to run.
    ToolCall,
    /// What came of it.
    ToolResult,
    /// A change through the gateway.
    Change,
    /// The agent's conclusion.
    Conclusion,
    /// What the invariants said.
    Verification,
    /// A person's words to the agent.
    Note,
    /// Started, resumed, cancelled, budget, error, sealed.
    Control,
}

impl EntryKind {
    /// The name in the column `kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "incident",
            Self::Turn => "turn",
            Self::Reasoning => "reasoning",
            Self::ToolCall => "tool_call",
            Self::ToolResult => "tool_result",
            Self::Change => "change",
            Self::Conclusion => "conclusion",
            Self::Verification => "verification",
            Self::Note => "note",
            Self::Control => "control",
        }
    }
}

/// An entry's content. A reader shows what it does not know as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum EntryBody {
    /// What the session was given.
    Incident(IncidentEntry),
    /// A message of the model.
    Turn(TurnEntry),
    /// What the model said or thought.
    Reasoning(ReasoningEntry),
    /// A tool call about to run.
    ToolCall(ToolCallEntry),
    /// What came of it.
    ToolResult(ToolResultEntry),
    /// A change through the gateway.
    Change(ChangeEntry),
    /// The agent's conclusion.
    Conclusion(ConclusionEntry),
    /// What the invariants said.
    Verification(VerificationEntry),
    /// A person's words.
    Note(NoteEntry),
    /// Started, resumed, cancelled and so on.
    Control(ControlEntry),
}

impl EntryBody {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Incident(_) => EntryKind::Incident,
            Self::Turn(_) => EntryKind::Turn,
            Self::Reasoning(_) => EntryKind::Reasoning,
            Self::ToolCall(_) => EntryKind::ToolCall,
            Self::ToolResult(_) => EntryKind::ToolResult,
            Self::Change(_) => EntryKind::Change,
            Self::Conclusion(_) => EntryKind::Conclusion,
            Self::Verification(_) => EntryKind::Verification,
            Self::Note(_) => EntryKind::Note,
            Self::Control(_) => EntryKind::Control,
        }
    }
}

/// The first entry: all that the session's course depends on, so that it can be rebuilt from its
/// rows whatever a later version's defaults are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentEntry {
    /// Namespace, name, uid, title, description, severity, evidence, attempt.
    pub incident: Value,
    /// Name, description, where.
    pub subject: Value,
    /// The model that plays.
    pub model: String,
    /// The system prompt, verbatim.
    pub system: String,
    /// The first user message, verbatim.
    pub user: String,
    /// The tools' definitions, verbatim.
    pub tools: Value,
    /// Prices in force for this model.
    pub prices: Value,
    /// Budgets in force.
    pub budgets: Value,
    /// Version of the controller.
    pub operator: String,
    /// What else the course depends on. Absent in sessions of a version that could not resume one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Box<Settings>>,
}

/// What a session's course depends on besides what the model is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// The thinking parameter of every call of the model; null for none.
    pub thinking: Value,
    /// How much of each output stream the model is shown.
    pub cut: Value,
    /// The container that was asked for.
    pub sandbox: Value,
    /// How it is proven that the Incident is over; null in sessions of a version that could not.
    pub proving: Value,
    /// Why no agent is asked, and what is said instead; null if one is.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub recurring: Value,
}

/// A message of the model, committed before anything in it is acted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnEntry {
    /// Which turn, from 1.
    pub turn: i64,
    /// The message as it is sent back: role and content blocks, verbatim.
    pub message: Value,
    /// The API's stop reason.
    pub stop_reason: Option<String>,
    /// The API's usage, verbatim.
    pub usage: Value,
    /// The model that the API says it was.
    pub model: String,
    /// The API's message id.
    pub message_id: Option<String>,
    /// The API's request id.
    pub request_id: Option<String>,
    /// What the turn cost.
    pub cost: NanoDollars,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// How many tokens it was allowed to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// More about a refusal, as the API has it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub stop_details: Value,
}

/// What the model said in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningEntry {
    /// The turn it belongs to.
    pub turn: i64,
    /// The words.
    pub text: String,
    /// Whether it was thinking rather than said.
    #[serde(default)]
    pub thinking: bool,
}

/// A tool call, committed before it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallEntry {
    /// The turn it belongs to.
    pub turn: i64,
    /// The API's id of the call.
    pub tool_use_id: String,
    /// The tool: `shell`, `conclude`, or whatever the model made up.
    pub tool: String,
    /// The input, verbatim.
    pub input: Value,
    /// For `shell`: the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// For `shell`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// For `shell`: its limit in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum CallOutcome {
    /// The main process exited.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// The main process died of a signal that Operator did not send.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The limit passed and Operator killed the process group.
    TimedOut {
        /// The limit in milliseconds.
        limit_ms: i64,
    },
    /// Operator killed it because the session was cancelled or ended.
    Cancelled,
    /// It never started: a bad input, an unknown tool, a shell that cannot be executed.
    NotStarted {
        /// Why, as the model is told.
        reason: String,
    },
    /// It was started, and what came of it cannot be had.
    Unknown {
        /// Why.
        reason: String,
    },
    /// A tool without a process (`conclude`) did what it does.
    Accepted,
}

/// What came of a tool call, committed before the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResultEntry {
    /// The turn it belongs to.
    pub turn: i64,
    /// The entry of its call.
    pub call: i64,
    /// The API's id of the call.
    pub tool_use_id: String,
    /// How it ended.
    pub outcome: CallOutcome,
    /// How long it ran, in milliseconds.
    pub duration_ms: i64,
    /// Standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<StreamRecord>,
    /// Standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<StreamRecord>,
    /// What the model is sent for it, verbatim.
    pub content: String,
    /// Whether it is sent as an error.
    pub is_error: bool,
    /// How many secrets were masked in it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redacted: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One output stream as kept on record: whole up to the record's limit, else its head and tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRecord {
    /// All bytes that the command wrote, kept or not.
    pub bytes: u64,
    /// The start (or all) of it.
    pub head: Bytes,
    /// The end of it, when something in the middle was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<Bytes>,
}

/// Bytes in JSON without loss: as text when they are UTF-8, else as base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Bytes {
    /// Valid UTF-8.
    Text(String),
    /// Anything else.
    Base64(String),
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(STANDARD.encode(error.as_bytes())),
        }
    }
}

/// The agent's conclusion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConclusionEntry {
    /// The turn it belongs to.
    pub turn: i64,
    /// What the agent claims.
    pub outcome: Outcome,
    /// The root cause, in the agent's words.
    pub root_cause: String,
    /// What happened and what was done.
    pub summary: String,
    /// Numbers of the entries that show it. Numbers that do not exist are dropped and named in a
    /// `control` entry.
    pub evidence: Vec<i64>,
    /// What a person should do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<String>,
}

/// What the agent claims at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The fault is gone.
    Resolved,
    /// It is not.
    Unresolved,
}

/// A person's words to the agent, committed before the model hears them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoteEntry {
    /// Its number in the Incident's `spec.notes`, from 1. Notes are only ever added, so the number stays.
    pub number: i64,
    /// Who says that they said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The words.
    pub text: String,
    /// When it was said, by its author's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl NoteEntry {
    /// The notes of an Incident, in order.
    #[must_use]
    pub fn all(notes: &[crds::incident::Note]) -> Vec<Self> {
        let entry = |(number, note): (i64, &crds::incident::Note)| Self {
            number,
            author: note.author.clone(),
            text: note.text.clone(),
            at: note.at.as_ref().map(|at| at.0),
        };
        (1..).zip(notes).map(entry).collect()
    }

    /// Who said it, for people.
    #[must_use]
    pub fn author(&self) -> &str {
        self.author.as_deref().unwrap_or("somebody")
    }
}

/// Something that Operator itself did or met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlEntry {
    /// What.
    pub event: ControlEvent,
    /// In a sentence.
    pub message: String,
    /// More, where there is more.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// The kinds of control entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlEvent {
    /// The session began, with container and image.
    Started,
    /// A new controller took it over.
    Resumed,
    /// Old results were replaced by summaries.
    Compacted,
    /// A person cancelled it or deleted the Incident.
    Cancelled,
    /// The whole installation was halted: nothing goes on until `released`.
    Halted,
    /// The halt is over.
    Released,
    /// A budget was used up.
    Budget,
    /// Something failed, inside Operator or at the model's API.
    Error,
    /// The model was asked to go on or to conclude.
    Nudged,
    /// The container was lost or replaced.
    SandboxLost,
    /// More was seen of the Incident since it was opened: the agent is told.
    Evidence,
    /// The same came again too often: a person is needed, and the agent is not asked.
    Recurring,
    /// The last entry: the phase in which it ended, and why.
    Sealed,
}
