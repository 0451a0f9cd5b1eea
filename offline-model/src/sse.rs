//! The answer as a stream of server-sent events, in the order and shapes of the real API.

use serde_json::{Value, json};

use crate::answer::{OutBlock, Reply};

/// Characters in one delta: small enough that a client has to put pieces together.
const CHUNK: usize = 24;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// Its name, which is also the type of its data.
    pub(crate) name: &'static str,
    /// Its data.
    pub(crate) data: Value,
}

impl Event {
    fn new(name: &'static str, fields: Value) -> Self {
        let mut data = json!({"type": name});
        if let (Some(data), Value::Object(fields)) = (data.as_object_mut(), fields) {
            data.extend(fields);
        }
        Self { name, data }
    }

    /// An error in the middle of a stream; its data is an error body.
    pub(crate) fn error(body: Value) -> Self {
        Self { name: "error", data: body }
    }

    /// The event on the wire. JSON has no raw line break, so one `data:` line is enough.
    pub(crate) fn frame(&self) -> String {
        format!("event: {}\ndata: {}\n\n", self.name, self.data)
    }
}

/// All events of an answer.
pub(crate) fn events(reply: &Reply, broken_json: bool) -> Vec<Event> {
    let mut events = vec![Event::new("message_start", json!({"message": reply.opening()}))];
    let last = reply.blocks.len().saturating_sub(1);
    for (index, block) in reply.blocks.iter().enumerate() {
        events.push(Event::new("content_block_start", json!({"index": index, "content_block": opening(block)})));
        if index == 0 {
            events.push(Event::new("ping", json!({})));
        }
        for delta in deltas(block, broken_json && index == last) {
            events.push(Event::new("content_block_delta", json!({"index": index, "delta": delta})));
        }
        events.push(Event::new("content_block_stop", json!({"index": index})));
    }
    events.push(Event::new(
        "message_delta",
        json!({
            "delta": {
                "stop_reason": reply.stop_reason.as_str(),
                "stop_sequence": reply.stop_sequence,
                "stop_details": reply.stop_details(),
            },
            "usage": reply.final_usage(),
        }),
    ));
    events.push(Event::new("message_stop", json!({})));
    events
}

/// A block before any of its content.
fn opening(block: &OutBlock) -> Value {
    match block {
        OutBlock::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
        OutBlock::Text(_) => json!({"type": "text", "text": ""}),
        OutBlock::ToolUse { id, name, .. } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": {}})
        }
    }
}

fn deltas(block: &OutBlock, broken_json: bool) -> Vec<Value> {
    match block {
        OutBlock::Thinking { text, signature } => chunks(text)
            .map(|part| json!({"type": "thinking_delta", "thinking": part}))
            .chain([json!({"type": "signature_delta", "signature": signature})])
            .collect(),
        OutBlock::Text(text) => chunks(text).map(|part| json!({"type": "text_delta", "text": part})).collect(),
        OutBlock::ToolUse { input, .. } => {
            let mut text = input.to_string();
            if broken_json {
                // A comma and a bracket that closes nothing: even a parser that puts up with what
                // is not complete cannot make sense of it.
                text.pop();
                text.push_str(",]");
            }
            // The real stream begins an input with an empty piece.
            std::iter::once(String::new())
                .chain(chunks(&text))
                .map(|part| json!({"type": "input_json_delta", "partial_json": part}))
                .collect()
        }
    }
}

/// Pieces of a text, cut between characters.
fn chunks(text: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = chars.chunks(CHUNK).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}
