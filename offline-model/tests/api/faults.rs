//! Errors, cuts, broken JSON and stop reasons on demand.

use std::time::{Duration, Instant};

use offline_model::{Options, ScriptSet};
use serde_json::json;

use crate::support::{events, offline, offline_with, request};

#[tokio::test]
async fn errors_come_as_often_as_asked() {
    let offline = offline(
        "
rules:
  - name: busy
    when: {user: ^busy}
    answer: {error: {status: 529, times: 2, retry_after: 1.5}}
  - name: mine
    when: {user: ^mine}
    answer: {error: {status: 429, type: my_error, message: Slow down.}}
  - name: then
    answer: {text: here I am}
",
    )
    .await;
    for _ in 0..2 {
        let answer = offline.say("busy").await;
        assert_eq!(answer.status, 529);
        assert_eq!(answer.headers["retry-after"], "1.5");
        assert_eq!(answer.json()["error"]["type"], "overloaded_error");
    }
    let answer = offline.say("busy").await;
    assert_eq!(answer.headers["x-offline-rule"], "then", "the fault is used up");
    assert_eq!(offline.say("busy too").await.status, 529, "another conversation has its own count");
    for _ in 0..5 {
        let answer = offline.say("mine").await.json();
        assert_eq!(answer["error"], json!({"type": "my_error", "message": "Slow down."}));
    }
}

#[tokio::test]
async fn an_error_in_the_stream() {
    let offline = offline(
        "rules: [{name: late, answer: {text: a text of some length, error: {status: 529, times: 1, after_events: 4}}}]",
    )
    .await;
    let events = offline.stream("hello").await.events();
    assert_eq!(events.len(), 5);
    let (name, data) = &events[4];
    assert_eq!((name.as_str(), &data["error"]["type"]), ("error", &json!("overloaded_error")));
    assert_eq!(offline.stream("hello").await.events().last().unwrap().0, "message_stop");
}

#[tokio::test]
async fn a_cut_stream() {
    let offline =
        offline("rules: [{name: cut, answer: {text: a text of some length, cut_after_events: 3, times: 2}}]").await;
    for streamed in [true, false] {
        let mut body = request(json!([{"role": "user", "content": "hello"}]));
        body["stream"] = json!(streamed);
        let sent = offline.request("POST", "/v1/messages").body(body.to_string());
        let mut response = sent.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut got = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => got.extend_from_slice(&chunk),
                Ok(None) => break "a good end",
                Err(_) => break "a cut",
            }
        };
        assert_eq!(end, "a cut");
        if streamed {
            assert_eq!(events(&String::from_utf8(got).unwrap()).len(), 3, "what came before arrives");
        }
    }
    assert_eq!(offline.stream("hello").await.events().last().unwrap().0, "message_stop");
}

#[tokio::test]
async fn broken_tool_json() {
    let offline = offline(
        "rules: [{name: broken, answer: {invalid_tool_json: true, times: 1, tools: [{name: shell, input: {command: ls}}]}}]",
    )
    .await;
    let input = async || -> String {
        let events = offline.stream("hello").await.events();
        events.iter().filter_map(|(_, data)| data["delta"]["partial_json"].as_str()).collect()
    };
    assert_eq!(input().await, "{\"command\":\"ls\",]");
    assert_eq!(input().await, "{\"command\":\"ls\"}");
}

#[tokio::test]
async fn stop_reasons() {
    for reason in [
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ] {
        let script = format!("rules: [{{name: r, answer: {{text: hm, stop_reason: {reason}}}}}]");
        let offline = offline(&script).await;
        let message = offline.say("hello").await.json();
        assert_eq!(message["stop_reason"], reason);
        assert_eq!(message["stop_details"].is_object(), reason == "refusal");
        let events = offline.stream("hello").await.events();
        let (_, delta) = &events[events.len() - 2];
        assert_eq!(delta["delta"]["stop_reason"], reason);
    }
}

#[tokio::test]
async fn an_answer_ends_where_the_request_says() {
    let offline = offline("rules: [{name: r, answer: {text: one two three, tools: [{name: shell, input: {}}]}}]").await;
    let ask = async |key: &str, value| {
        let mut body = request(json!([{"role": "user", "content": "hello"}]));
        body[key] = value;
        let message = offline.post(&body).await.json();
        (message["content"].clone(), message["stop_reason"].clone(), message["stop_sequence"].clone())
    };
    let (content, reason, _) = ask("max_tokens", json!(2)).await;
    assert_eq!((content, reason), (json!([{"type": "text", "text": "one two "}]), json!("max_tokens")));
    let (content, reason, word) = ask("stop_sequences", json!(["three", " two"])).await;
    assert_eq!(content, json!([{"type": "text", "text": "one"}]));
    assert_eq!((reason, word), (json!("stop_sequence"), json!(" two")));
}

#[tokio::test]
async fn usage_can_be_told() {
    let offline = offline(
        "rules: [{name: r, answer: {text: hm, usage: {input_tokens: 1, output_tokens: 2, cache_creation_input_tokens: 3, cache_read_input_tokens: 4}}}]",
    )
    .await;
    let usage = offline.say("hello").await.json()["usage"].clone();
    assert_eq!(usage["input_tokens"], 1);
    assert_eq!(usage["output_tokens"], 2);
    assert_eq!(usage["cache_creation_input_tokens"], 3);
    assert_eq!(usage["cache_read_input_tokens"], 4);
}

#[tokio::test]
async fn delays() {
    let script = "
delay_ms: 60000
rules:
  - {name: slow, when: {user: slow}, answer: {text: a, delay_ms: 250}}
  - {name: other, answer: {text: b}}
";
    let scripts = ScriptSet::new().with("test", script).unwrap();
    let options = Options { delay_ms: Some(0), ..Options::default() };
    let offline = offline_with(scripts, options).await;
    let began = Instant::now();
    offline.say("slow").await;
    assert!(began.elapsed() >= Duration::from_millis(250), "the rule's own delay");
    // The option goes before the script's minute; without it this test would not end.
    offline.say("hello").await;
}
