//! The shape of a stream.

use insta::assert_yaml_snapshot;
use serde_json::{Value, json};

use crate::support::{offline, request};

const SCRIPT: &str = "
rules:
  - name: everything
    when: {turn: 0}
    answer:
      thinking: The nodes answer but Redis does not.
      text: I look at Redis — from here.
      tools:
        - {name: shell, input: {command: redis-cli -h redis ping, reasoning: Is it there?}}
        - {name: conclude, input: {}}
";

#[tokio::test]
async fn has_the_events_of_the_real_one() {
    let offline = offline(SCRIPT).await;
    let answer = offline.stream("hello").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    let events: Vec<Value> = answer.events().into_iter().map(|(_, data)| data).collect();
    assert_yaml_snapshot!(events);
}

/// What a client puts together from the pieces is what it gets without streaming.
#[tokio::test]
async fn adds_up_to_the_whole_message() {
    let offline = offline(SCRIPT).await;
    let whole = offline.say("hello").await.json();
    let mut message = Value::Null;
    let mut json_text = String::new();
    for (name, data) in offline.stream("hello").await.events() {
        let index = usize::try_from(data["index"].as_u64().unwrap_or(0)).unwrap();
        match name.as_str() {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(content.len(), index);
                content.push(data["content_block"].clone());
                json_text.clear();
            }
            "content_block_delta" => {
                let delta = &data["delta"];
                let block = &mut message["content"][index];
                let add = |block: &mut Value, key: &str| {
                    let text = block[key].as_str().unwrap().to_owned() + delta[key].as_str().unwrap();
                    block[key] = json!(text);
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => add(block, "text"),
                    "thinking_delta" => add(block, "thinking"),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    _ => json_text += delta["partial_json"].as_str().unwrap(),
                }
            }
            "content_block_stop" if message["content"][index]["type"] == "tool_use" => {
                message["content"][index]["input"] = serde_json::from_str(&json_text).unwrap();
            }
            "message_delta" => {
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["usage"]["output_tokens"] = data["usage"]["output_tokens"].clone();
            }
            _ => {}
        }
    }
    assert_eq!(message, whole);
}

#[tokio::test]
async fn thinking_can_be_left_out() {
    let offline = offline(SCRIPT).await;
    let content = async |thinking: Value| {
        let mut body = request(json!([{"role": "user", "content": "hello"}]));
        body["thinking"] = thinking;
        offline.post(&body).await.json()["content"].clone()
    };
    let shown = content(json!({"type": "adaptive"})).await;
    assert_eq!(shown[0]["thinking"], "The nodes answer but Redis does not.");
    let omitted = content(json!({"type": "adaptive", "display": "omitted"})).await;
    assert_eq!((&omitted[0]["type"], &omitted[0]["thinking"]), (&json!("thinking"), &json!("")));
    let disabled = content(json!({"type": "disabled"})).await;
    assert_eq!(disabled[0]["type"], "text");
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer() {
    let one = offline(SCRIPT).await;
    let other = offline(SCRIPT).await;
    let first = one.say("hello").await.text;
    assert_eq!(first, one.say("hello").await.text);
    assert_eq!(first, other.say("hello").await.text, "in another process too");
    let id = |text: &str| serde_json::from_str::<Value>(text).unwrap()["content"][2]["id"].clone();
    let elsewhere = id(&one.say("another conversation").await.text);
    assert!(elsewhere.as_str().unwrap().starts_with("toolu_offline_"));
    assert_ne!(id(&first), elsewhere);
}
