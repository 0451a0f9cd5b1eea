//! Events of the stream → one message.
//!
//! Blocks are kept as the API sent them, deltas added where they belong; what this version does not
//! know is left out and counted. A tool's input comes as pieces of JSON text: they are joined and
//! parsed when the block ends, and text that is no JSON object is kept as text (see
//! [`INVALID_JSON`]), because that is the model's mistake and the model can correct it.

use serde_json::{Map, Value, json};

use super::failure::{self, Failure};
use super::sse::SseEvent;
use crate::depth::is_shallow;
use crate::model::{INVALID_JSON, ModelEvent, ModelMessage, OnEvent, StopReason, Usage};

/// More blocks than any message has.
const MOST_BLOCKS: usize = 10_000;
/// More bytes than any message has.
const MOST_BYTES: usize = 32 << 20;

/// Puts one message together.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    head: Option<Value>,
    usage: Map<String, Value>,
    blocks: Vec<Block>,
    stop_reason: Option<String>,
    stop_details: Value,
    bytes: usize,
    ignored: u64,
}

#[derive(Debug)]
struct Block {
    value: Value,
    json: String,
    stopped: bool,
}

impl Assembler {
    /// Takes an event; gives the message when it is whole.
    pub(super) fn take(&mut self, event: &SseEvent, on_event: OnEvent<'_>) -> Result<Option<ModelMessage>, Failure> {
        if event.name == "ping" {
            return Ok(None);
        }
        self.bytes += event.data.len();
        if self.bytes > MOST_BYTES {
            return Err(Failure::stream("the answer is larger than any message may be"));
        }
        let data: Value = serde_json::from_str(&event.data)
            .map_err(|error| failure_of(event, format!("an event is not JSON: {error}")))?;
        if !is_shallow(&data) {
            return Err(Failure::stream("an event is nested deeper than any message may be"));
        }
        let kind = data.get("type").and_then(Value::as_str).unwrap_or(&event.name);
        match kind {
            "ping" => {}
            "error" => return Err(failure::of_event(&data)),
            "message_start" => {
                self.start(&data)?;
                on_event(ModelEvent::Started);
            }
            "content_block_start" => self.start_block(&data)?,
            "content_block_delta" => self.delta(&data, on_event)?,
            "content_block_stop" => self.block(&data)?.stop(),
            "message_delta" => self.message_delta(&data),
            "message_stop" => return self.finish().map(Some),
            _ => self.ignored += 1,
        }
        Ok(None)
    }

    fn start(&mut self, data: &Value) -> Result<(), Failure> {
        let message = data.get("message").filter(|message| message.is_object());
        match (message, &self.head) {
            (Some(message), None) => {
                self.merge_usage(message.get("usage"));
                self.head = Some(message.clone());
                Ok(())
            }
            (None, _) => Err(Failure::stream("the stream begins without a message")),
            (_, Some(_)) => Err(Failure::stream("the stream begins a second message")),
        }
    }

    fn start_block(&mut self, data: &Value) -> Result<(), Failure> {
        let next = u64::try_from(self.blocks.len()).ok();
        let Some(value) = data.get("content_block").filter(|block| block.is_object()) else {
            return Err(Failure::stream("a content block is none"));
        };
        if self.head.is_none() || data.get("index").and_then(Value::as_u64) != next || self.blocks.len() >= MOST_BLOCKS
        {
            return Err(Failure::stream("the content blocks do not follow one another"));
        }
        self.blocks.push(Block { value: value.clone(), json: String::new(), stopped: false });
        Ok(())
    }

    fn block(&mut self, data: &Value) -> Result<&mut Block, Failure> {
        let index = data.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.blocks.get_mut(index))
            .filter(|block| !block.stopped)
            .ok_or_else(|| Failure::stream("an event belongs to no open content block"))
    }

    fn delta(&mut self, data: &Value, on_event: OnEvent<'_>) -> Result<(), Failure> {
        let block = self.block(data)?;
        let delta = data.get("delta").unwrap_or(&Value::Null);
        let piece = |key: &str| delta.get(key).and_then(Value::as_str);
        let known = match delta.get("type").and_then(Value::as_str) {
            Some("text_delta") => piece("text").is_some_and(|text| {
                on_event(ModelEvent::Words { text: text.to_owned(), thinking: false });
                block.append("text", text)
            }),
            Some("thinking_delta") => piece("thinking").is_some_and(|text| {
                on_event(ModelEvent::Words { text: text.to_owned(), thinking: true });
                block.append("thinking", text)
            }),
            Some("signature_delta") => piece("signature").is_some_and(|text| block.set("signature", json!(text))),
            Some("input_json_delta") => piece("partial_json").is_some_and(|text| {
                block.json.push_str(text);
                true
            }),
            Some("citations_delta") => delta.get("citation").is_some_and(|citation| block.cite(citation)),
            _ => false,
        };
        self.ignored += u64::from(!known);
        Ok(())
    }

    fn message_delta(&mut self, data: &Value) {
        let delta = data.get("delta").unwrap_or(&Value::Null);
        if let Some(reason) = delta.get("stop_reason").and_then(Value::as_str) {
            self.stop_reason = Some(reason.to_owned());
        }
        if let Some(details) = delta.get("stop_details").filter(|details| !details.is_null()) {
            self.stop_details = details.clone();
        }
        self.merge_usage(data.get("usage"));
    }

    /// The counts of a later event are totals: they replace, and what is absent or null stays.
    fn merge_usage(&mut self, usage: Option<&Value>) {
        let fields = usage.and_then(Value::as_object).into_iter().flatten();
        for (key, value) in fields.filter(|(_, value)| !value.is_null()) {
            self.usage.insert(key.clone(), value.clone());
        }
    }

    fn finish(&mut self) -> Result<ModelMessage, Failure> {
        let Some(head) = self.head.take() else {
            return Err(Failure::stream("the stream ends a message that it never began"));
        };
        let content: Vec<Value> = std::mem::take(&mut self.blocks)
            .into_iter()
            .map(|mut block| {
                block.stop();
                block.value
            })
            .collect();
        let text = |key: &str| head.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(ModelMessage {
            message: json!({"role": "assistant", "content": content}),
            stop_reason: StopReason::parse(self.stop_reason.as_deref()),
            stop_details: std::mem::take(&mut self.stop_details),
            usage: Usage::from_api(Value::Object(std::mem::take(&mut self.usage))),
            model: text("model").unwrap_or_default(),
            id: text("id"),
            request_id: None,
            ignored: self.ignored,
        })
    }
}

impl Block {
    /// Adds to a text field. False if the block has no such field.
    fn append(&mut self, key: &str, text: &str) -> bool {
        match self.value.get_mut(key) {
            Some(Value::String(have)) => {
                have.push_str(text);
                true
            }
            _ => false,
        }
    }

    fn set(&mut self, key: &str, value: Value) -> bool {
        self.value.as_object_mut().is_some_and(|block| {
            block.insert(key.to_owned(), value);
            true
        })
    }

    fn cite(&mut self, citation: &Value) -> bool {
        if let Some(Value::Array(have)) = self.value.get_mut("citations") {
            have.push(citation.clone());
            return true;
        }
        self.set("citations", json!([citation]))
    }

    /// The block is whole: its input is parsed.
    fn stop(&mut self) {
        self.stopped = true;
        if self.json.trim().is_empty() {
            return;
        }
        let input = match serde_json::from_str::<Value>(&self.json) {
            Ok(input @ Value::Object(_)) if is_shallow(&input) => input,
            _ => json!({INVALID_JSON: std::mem::take(&mut self.json)}),
        };
        self.set("input", input);
        self.json.clear();
    }
}

/// An event that cannot be read; one called `error` still says what went wrong.
fn failure_of(event: &SseEvent, reason: String) -> Failure {
    if event.name == "error" {
        failure::of_event(&json!({"error": {"message": event.data}}))
    } else {
        Failure::stream(reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::stream::read_in_pieces;
    use super::*;

    const STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","model":"m","content":[],"usage":{"input_tokens":7,"output_tokens":1,"cache_read_input_tokens":5}}}

: a comment
event: ping
data: {"type":"ping"}

data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hä"}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

data: {"type":"content_block_stop","index":0}

data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"shell","input":{}}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"command\""}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"brand_new_delta","x":1}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":":\"€\"}"}}

data: {"type":"content_block_stop","index":1}

data: {"type":"something_new"}

data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":42,"input_tokens":null}}

data: {"type":"message_stop"}

"#;

    fn read(chunks: &[&[u8]]) -> Option<ModelMessage> {
        read_in_pieces(chunks.iter().copied(), 1 << 20).end?.ok()
    }

    #[test]
    fn a_stream_is_one_message() {
        let message = read(&[STREAM.as_bytes()]).unwrap();
        assert_eq!(
            message.message["content"],
            json!([
                {"type": "thinking", "thinking": "hä", "signature": "c2ln"},
                {"type": "tool_use", "id": "t", "name": "shell", "input": {"command": "€"}},
            ])
        );
        assert_eq!((message.usage.input, message.usage.output, message.usage.cache_read), (7, 42, 5));
        assert_eq!((message.stop_reason, message.ignored), (StopReason::ToolUse, 2));
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_broken() {
        for data in [
            r#"{"type":"message_stop"}"#,
            r#"{"type":"message_start"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            "not json",
        ] {
            let event = SseEvent { name: String::new(), data: data.to_owned() };
            let failure = Assembler::default().take(&event, &|_| {}).unwrap_err();
            assert!(failure.retry, "{data}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_to_be_read_again_is_not_kept() {
        // As an argument of a tool it is the model's mistake: kept as the text that it is.
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let text = format!(r#"{{"x":{}}}"#, nested(100));
        let mut block = Block { value: json!({"type": "tool_use"}), json: text.clone(), stopped: false };
        block.stop();
        assert_eq!(block.value["input"][INVALID_JSON], text);
        let data = format!(r#"{{"type":"message_start","message":{{"x":{}}}}}"#, nested(100));
        assert!(Assembler::default().take(&SseEvent { name: String::new(), data }, &|_| {}).is_err());
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(mut cuts in proptest::collection::vec(0..STREAM.len(), 0..40)) {
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let bytes = STREAM.as_bytes();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&chunks), read(&[bytes]));
        }

        #[test]
        fn a_damaged_stream_breaks_nothing(at in 0..STREAM.len(), byte in any::<u8>(), cut in 0..STREAM.len() - 1) {
            let mut bytes = STREAM.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = read(&[&bytes]);
            let whole = read(&[&STREAM.as_bytes()[..cut]]).is_some();
            prop_assert!(!whole);
        }
    }
}
