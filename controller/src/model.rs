//! The language model: one call, one message.
//!
//! [`Model`] is what the agent needs of it. The real part speaks the Anthropic Messages API and
//! streams inside; the fake plays a script. Content blocks stay [`serde_json::Value`]s, because a
//! message must go back to the API as it came (thinking with its signature, and block types that
//! this version has never heard of); only what the loop decides on is read out of them.

pub mod anthropic;
pub mod error;
pub mod fake;
pub mod price;
pub mod usage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use anthropic::{Anthropic, AnthropicOptions, RetryPolicy, Timeouts};
pub use error::{ErrorKind, ModelError};
pub use price::{Price, PriceTable, Pricing};
pub use usage::Usage;

/// The only key of the `input` of a tool call whose JSON could not be parsed; its value is the text
/// as it came. The API wants an object there when the message goes back, and nothing may be lost.
pub const INVALID_JSON: &str = "invalid_json";

/// What is asked of the model. Its large parts are shared with the session that asks: hundreds wait for an answer at
/// once.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    /// The model's name.
    pub model: String,
    /// The system prompt.
    pub system: Arc<str>,
    /// The conversation: objects with `role` and `content`, without cache marks.
    pub messages: Vec<Arc<Value>>,
    /// The tools' definitions, an array (or null for none), without cache marks.
    pub tools: Arc<Value>,
    /// How many tokens it may write, thinking included.
    pub max_tokens: u32,
    /// How it is to think, in the API's own words; `None` leaves it to the model.
    pub thinking: Option<Value>,
}

/// A whole message of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelMessage {
    /// As it is sent back: `{"role": "assistant", "content": [...]}`, content verbatim.
    pub message: Value,
    /// Why it stopped.
    pub stop_reason: StopReason,
    /// More about a refusal, as the API has it; else null.
    pub stop_details: Value,
    /// What it used.
    pub usage: Usage,
    /// The model that the API says it was.
    pub model: String,
    /// The API's message id.
    pub id: Option<String>,
    /// The API's request id.
    pub request_id: Option<String>,
    /// Stream events and deltas that this version does not know and left out.
    pub ignored: u64,
}

/// Why a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It said all that it wanted to say.
    EndTurn,
    /// It waits for the results of its tool calls.
    ToolUse,
    /// It was cut at `max_tokens`.
    MaxTokens,
    /// It wrote a stop sequence (Operator sets none).
    StopSequence,
    /// A long turn was paused; sent back as it is, it goes on.
    PauseTurn,
    /// A classifier refused.
    Refusal,
    /// The conversation fills the model's window.
    ContextWindow,
    /// A reason that this version does not know.
    Other(String),
    /// The API gave none.
    Missing,
}

impl StopReason {
    /// From the API's word.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Self {
        match word {
            Some("end_turn") => Self::EndTurn,
            Some("tool_use") => Self::ToolUse,
            Some("max_tokens") => Self::MaxTokens,
            Some("stop_sequence") => Self::StopSequence,
            Some("pause_turn") => Self::PauseTurn,
            Some("refusal") => Self::Refusal,
            Some("model_context_window_exceeded") => Self::ContextWindow,
            Some(other) => Self::Other(other.to_owned()),
            None => Self::Missing,
        }
    }

    /// The API's word, if it gave one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        Some(match self {
            Self::EndTurn => "end_turn",
            Self::ToolUse => "tool_use",
            Self::MaxTokens => "max_tokens",
            Self::StopSequence => "stop_sequence",
            Self::PauseTurn => "pause_turn",
            Self::Refusal => "refusal",
            Self::ContextWindow => "model_context_window_exceeded",
            Self::Other(word) => word,
            Self::Missing => return None,
        })
    }
}

/// What happens while a call runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelEvent {
    /// The first event of an answer is here.
    Started,
    /// A piece of text or thinking.
    Words {
        /// The piece.
        text: String,
        /// Whether it is thinking.
        thinking: bool,
    },
    /// An attempt failed and another will be made.
    Retry {
        /// Which attempt failed, from 1.
        attempt: u32,
        /// What failed, in a sentence.
        error: String,
        /// The error's category.
        category: &'static str,
        /// How long it waits before the next.
        wait: Duration,
    },
}

/// Hears of events while a call runs. Must not block.
pub type OnEvent<'a> = &'a (dyn Fn(ModelEvent) + Send + Sync);

/// A language model.
#[async_trait]
pub trait Model: Send + Sync + 'static {
    /// Asks for one message. Retries inside, bounded in attempts and in time; a cancelled call ends
    /// at once with [`ErrorKind::Cancelled`]. Nothing of a message is acted on before it is whole,
    /// so a retry repeats nothing.
    async fn complete(
        &self,
        request: &ModelRequest,
        on_event: OnEvent<'_>,
        cancel: &CancellationToken,
    ) -> Result<ModelMessage, ModelError>;
}

/// The thinking parameter that suits a model: summaries of what it thinks are asked for where the
/// model thinks adaptively, because newer models put even their words between tool calls into
/// thinking blocks, which are empty unless they are asked for, and the trail should say why a
/// command was run. Others, and names that are not known, get no parameter.
#[must_use]
pub fn thinking_for(model: &str) -> Option<Value> {
    const ADAPTIVE: [&str; 9] = [
        "claude-fable-",
        "claude-mythos-5",
        "claude-opus-5",
        "claude-opus-4-8",
        "claude-opus-4-7",
        "claude-opus-4-6",
        "claude-sonnet-5",
        "claude-sonnet-4-6",
        "claude-haiku-5",
    ];
    ADAPTIVE
        .iter()
        .any(|prefix| model.starts_with(prefix))
        .then(|| serde_json::json!({"type": "adaptive", "display": "summarized"}))
}
