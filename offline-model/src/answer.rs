//! The answer as the API says it: blocks, a stop reason and a bill.

mod limit;

use serde_json::{Value, json};

use crate::cache::InputUsage;
use crate::hash;
use crate::play::Draft;
use crate::request::{Request, Thinking};
use crate::script::StopReason;
use crate::tokens;

/// A content block of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OutBlock {
    /// Thinking, with the signature by which it is known when it comes back.
    Thinking { text: String, signature: String },
    /// Words.
    Text(String),
    /// A call.
    ToolUse { id: String, name: String, input: Value },
}

impl OutBlock {
    /// What it costs.
    pub(crate) fn tokens(&self) -> u64 {
        match self {
            Self::Thinking { text, .. } | Self::Text(text) => tokens::of(text),
            Self::ToolUse { name, input, .. } => tokens::of(name) + tokens::of(&input.to_string()),
        }
    }

    /// The block in a message.
    fn to_json(&self) -> Value {
        match self {
            Self::Thinking { text, signature } => {
                json!({"type": "thinking", "thinking": text, "signature": signature})
            }
            Self::Text(text) => json!({"type": "text", "text": text}),
            Self::ToolUse { id, name, input } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        }
    }
}

/// The signature of a thinking block. Nobody has to keep it secret: it only shows whether the
/// block came back as it went out.
pub(crate) fn signature(thinking: &str) -> String {
    format!("offline-signature-{:016x}", hash::of(thinking.as_bytes()))
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) blocks: Vec<OutBlock>,
    pub(crate) stop_reason: StopReason,
    pub(crate) stop_sequence: Option<String>,
    pub(crate) input: InputUsage,
    pub(crate) output_tokens: u64,
}

impl Reply {
    /// Makes the answer that a draft becomes under the request's limits.
    pub(crate) fn new(draft: Draft, request: &Request, turn: usize, input: InputUsage) -> Self {
        let usage = draft.usage;
        let wanted = draft.stop_reason;
        let mut limited = limit::apply(blocks(draft, request, turn), request);
        if let Some(wanted) = wanted {
            limited.stop_reason = wanted;
        }
        let spent: u64 = limited.blocks.iter().map(OutBlock::tokens).sum();
        Self {
            id: format!("msg_offline_{:016x}", request.state),
            model: request.model.clone(),
            blocks: limited.blocks,
            stop_reason: limited.stop_reason,
            stop_sequence: limited.stop_sequence,
            input: InputUsage {
                input: usage.input.unwrap_or(input.input),
                read: usage.read.unwrap_or(input.read),
                written_short: usage.written.unwrap_or(input.written_short),
                written_long: usage.written.map_or(input.written_long, |_| 0),
            },
            output_tokens: usage.output.unwrap_or(spent.max(1)),
        }
    }

    /// The answer to a request that does not stream.
    pub(crate) fn message(&self) -> Value {
        let content: Vec<Value> = self.blocks.iter().map(OutBlock::to_json).collect();
        self.envelope(&content, Some(self.stop_reason), &self.usage(self.output_tokens))
    }

    /// The message of `message_start`, which has no content yet.
    pub(crate) fn opening(&self) -> Value {
        self.envelope(&[], None, &self.usage(1))
    }

    fn envelope(&self, content: &[Value], stop: Option<StopReason>, usage: &Value) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop.map(StopReason::as_str),
            "stop_sequence": stop.and(self.stop_sequence.as_ref()),
            "stop_details": stop.map_or(Value::Null, |_| self.stop_details()),
            "usage": usage,
        })
    }

    /// What the API adds to a refusal.
    pub(crate) fn stop_details(&self) -> Value {
        match self.stop_reason {
            StopReason::Refusal => json!({
                "type": "refusal",
                "category": null,
                "explanation": "The offline script asked for this refusal.",
            }),
            _ => Value::Null,
        }
    }

    fn usage(&self, output_tokens: u64) -> Value {
        let input = &self.input;
        json!({
            "input_tokens": input.input,
            "cache_creation_input_tokens": input.written_short + input.written_long,
            "cache_read_input_tokens": input.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": input.written_short,
                "ephemeral_1h_input_tokens": input.written_long,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        })
    }

    /// The usage of `message_delta`: totals, the details left out.
    pub(crate) fn final_usage(&self) -> Value {
        let input = &self.input;
        json!({
            "input_tokens": input.input,
            "cache_creation_input_tokens": input.written_short + input.written_long,
            "cache_read_input_tokens": input.read,
            "output_tokens": self.output_tokens,
        })
    }
}

fn blocks(draft: Draft, request: &Request, turn: usize) -> Vec<OutBlock> {
    let thinking = draft.thinking.and_then(|text| match request.thinking {
        Thinking::Shown => Some(text),
        Thinking::Omitted => Some(String::new()),
        Thinking::Disabled => None,
    });
    let thinking = thinking.map(|text| OutBlock::Thinking { signature: signature(&text), text });
    // The turn makes the id unique within a conversation, whatever its hash does; the hash makes
    // it differ from the ids of other conversations.
    let calls = draft.calls.into_iter().enumerate().map(|(index, (name, input))| OutBlock::ToolUse {
        id: format!("toolu_offline_{:016x}_{turn}_{index}", request.state),
        name,
        input,
    });
    thinking.into_iter().chain(draft.text.map(OutBlock::Text)).chain(calls).collect()
}
