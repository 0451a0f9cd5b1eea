//! The request as it is sent: the conversation with its cache marks.
//!
//! Marks stand on the last tool, on the system prompt, and on the last two user messages: the newest
//! so that the next call finds all of this one, the one before so that this call finds the last.
//! Four is the most that the API takes. They are put in when a request is sent and kept nowhere, so
//! the conversation on record has none.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use crate::model::ModelRequest;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Cow<'a, Value>>,
    messages: Vec<Cow<'a, Value>>,
}

/// The request as bytes.
pub(super) fn encode(request: &ModelRequest) -> Result<Vec<u8>, serde_json::Error> {
    let mut system = Vec::new();
    if !request.system.trim().is_empty() {
        let mut block = json!({"type": "text", "text": *request.system});
        mark(&mut block);
        system.push(block);
    }
    let mut tools: Vec<Cow<'_, Value>> = request.tools.as_array().into_iter().flatten().map(Cow::Borrowed).collect();
    if let Some(last) = tools.last_mut() {
        mark(last.to_mut());
    }
    let mut messages: Vec<Cow<'_, Value>> = request.messages.iter().map(|message| Cow::Borrowed(&**message)).collect();
    let users = messages.iter_mut().rev().filter(|message| message.get("role").and_then(Value::as_str) == Some("user"));
    for message in users.take(2) {
        mark_message(message.to_mut());
    }
    let thinking = request.thinking.as_ref();
    let (model, max_tokens) = (request.model.as_str(), request.max_tokens);
    serde_json::to_vec(&Body { model, max_tokens, stream: true, thinking, system, tools, messages })
}

fn mark(block: &mut Value) {
    if let Some(block) = block.as_object_mut() {
        block.insert("cache_control".to_owned(), json!({"type": "ephemeral"}));
    }
}

/// Marks the last block of a message, if it is of a kind that takes a mark.
fn mark_message(message: &mut Value) {
    let Some(content) = message.get_mut("content") else { return };
    if let Value::String(text) = content {
        *content = json!([{"type": "text", "text": std::mem::take(text)}]);
    }
    let Some(last) = content.as_array_mut().and_then(|blocks| blocks.last_mut()) else { return };
    let takes_mark = match last.get("type").and_then(Value::as_str) {
        Some("text") => last.get("text").and_then(Value::as_str).is_some_and(|text| !text.is_empty()),
        Some("tool_result" | "image" | "document") => true,
        _ => false,
    };
    if takes_mark {
        mark(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Value {
        json!({"role": "user", "content": [{"type": "text", "text": text}]})
    }

    #[test]
    fn never_more_than_four_marks_and_the_conversation_keeps_none() {
        let assistant =
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": "s"}]});
        let request = ModelRequest {
            model: "m".to_owned(),
            system: "be careful".into(),
            messages: vec![
                user("1").into(),
                assistant.clone().into(),
                user("2").into(),
                assistant.clone().into(),
                json!({"role": "user", "content": "3"}).into(),
            ],
            tools: json!([{"name": "a"}, {"name": "b"}]).into(),
            max_tokens: 5,
            thinking: None,
        };
        let body: Value = serde_json::from_slice(&encode(&request).unwrap()).unwrap();
        assert_eq!(body.to_string().matches("cache_control").count(), 4);
        assert!(body["tools"][1].get("cache_control").is_some());
        assert!(body["messages"][0]["content"][0].get("cache_control").is_none());
        assert!(body["messages"][2]["content"][0].get("cache_control").is_some());
        assert!(body["messages"][4]["content"][0].get("cache_control").is_some());
        assert_eq!(body["messages"][1], assistant);
        assert_eq!(body["stream"], true);
        assert!(body.get("thinking").is_none());
        assert_eq!(*request.messages[0], user("1"));
    }
}
