//! The script as it is written in YAML. The README of this crate explains it to its authors.

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::pattern::{Patterns, Range};

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// For the reader of the file.
    #[serde(default)]
    #[allow(dead_code, reason = "part of the format, read by people only")]
    pub(crate) description: Option<String>,
    /// How long each answer takes, unless its rule says otherwise.
    #[serde(default)]
    pub(crate) delay_ms: Option<u64>,
    /// The rules; the first that matches answers.
    pub(crate) rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// For logs, for the answer's `x-offline-rule` header and for error messages.
    pub(crate) name: Spanned<String>,
    /// When it answers; always, without this.
    #[serde(default)]
    pub(crate) when: When,
    /// What it answers.
    pub(crate) answer: Answer,
}

/// Conditions, all of which must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct When {
    /// How many times the model has answered.
    pub(crate) turn: Option<Range>,
    /// On all the user's words.
    pub(crate) user: Patterns,
    /// On the user's words since the last answer.
    pub(crate) newest_user: Patterns,
    /// On the system prompt.
    pub(crate) system: Patterns,
    /// On the newest results; each pattern must be found in one of them.
    pub(crate) result: Patterns,
    /// On any result so far, the newest first.
    pub(crate) any_result: Patterns,
    /// Found in none of the newest results.
    pub(crate) not_result: Patterns,
    /// Found in no result so far.
    pub(crate) not_any_result: Patterns,
    /// The tool called last.
    pub(crate) last_tool: Option<String>,
    /// Whether one of the newest results is an error.
    pub(crate) is_error: Option<bool>,
    /// How many times this rule may answer in one conversation.
    pub(crate) uses: Option<u32>,
}

/// What a rule answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answer {
    /// A thinking block.
    pub(crate) thinking: Option<String>,
    /// A text block.
    pub(crate) text: Option<String>,
    /// Calls of tools, in this order.
    pub(crate) tools: Vec<Call>,
    /// Another stop reason than the one that follows from the content.
    pub(crate) stop_reason: Option<StopReason>,
    /// An error instead of the answer, or in the middle of it.
    pub(crate) error: Option<Fault>,
    /// The connection is dropped after so many events.
    pub(crate) cut_after_events: Option<usize>,
    /// The input of the last call arrives as broken JSON.
    pub(crate) invalid_tool_json: bool,
    /// How many attempts at the same conversation are cut or broken; all, without this.
    pub(crate) times: Option<u32>,
    /// Token counts to report instead of the computed ones.
    pub(crate) usage: Usage,
    /// How long this answer takes.
    pub(crate) delay_ms: Option<u64>,
}

impl Answer {
    /// Whether there is anything to say besides a fault.
    pub(crate) fn has_content(&self) -> bool {
        self.thinking.is_some() || self.text.is_some() || !self.tools.is_empty() || self.stop_reason.is_some()
    }
}

/// A call of a tool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// The tool's name.
    pub(crate) name: String,
    /// Its input: any JSON object, with placeholders in its strings.
    pub(crate) input: Value,
}

/// An error on demand.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The error type; the one that belongs to the status, without this.
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    /// The error message.
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// The `retry-after` header, in seconds.
    #[serde(default)]
    pub(crate) retry_after: Option<f64>,
    /// How many attempts at the same conversation get the error; all, without this.
    #[serde(default)]
    pub(crate) times: Option<u32>,
    /// In a stream, the error comes as an event after so many others.
    #[serde(default)]
    pub(crate) after_events: Option<usize>,
}

/// Token counts to report instead of the computed ones.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Usage {
    #[serde(rename = "input_tokens")]
    pub(crate) input: Option<u64>,
    #[serde(rename = "output_tokens")]
    pub(crate) output: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    pub(crate) written: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    pub(crate) read: Option<u64>,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StopReason {
    /// It is complete.
    EndTurn,
    /// It is as long as the request allows.
    MaxTokens,
    /// One of the request's stop sequences came.
    StopSequence,
    /// Tools are to be called.
    ToolUse,
    /// The turn is paused; the client sends it back to go on.
    PauseTurn,
    /// The model declines.
    Refusal,
    /// The conversation is as long as the model can read.
    ModelContextWindowExceeded,
}

impl StopReason {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::EndTurn => "end_turn",
            Self::MaxTokens => "max_tokens",
            Self::StopSequence => "stop_sequence",
            Self::ToolUse => "tool_use",
            Self::PauseTurn => "pause_turn",
            Self::Refusal => "refusal",
            Self::ModelContextWindowExceeded => "model_context_window_exceeded",
        }
    }
}
