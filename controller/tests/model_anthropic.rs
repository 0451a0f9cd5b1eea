//! The client of the Messages API against the strict offline model: errors, retries, streams, caching,
//! and that the key shows nowhere.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::sync::Mutex;
use std::time::Duration;

use controller::model::anthropic::AnthropicOptions;
use controller::model::{
    Anthropic, ErrorKind, INVALID_JSON, Model, ModelError, ModelEvent, ModelMessage, ModelRequest, StopReason,
};
use offline_model::{Handle, Options, ScriptSet, Server};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const KEY: &str = "sk-ant-very-secret-0123456789";

async fn server(rules: &str) -> Handle {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let scripts = ScriptSet::new().with("test", rules).unwrap();
    Server::start(scripts, Options::default()).await.unwrap()
}

fn options(url: &str) -> AnthropicOptions {
    let mut options = AnthropicOptions::new(url, Some(KEY.to_owned().into()));
    options.retry.first_pause = Duration::from_millis(5);
    options
}

fn request() -> ModelRequest {
    ModelRequest {
        model: "offline-test".to_owned(),
        system: "Be brief.".into(),
        messages: vec![json!({"role": "user", "content": [{"type": "text", "text": "Hello."}]}).into()],
        tools: json!([{"name": "shell", "description": "d", "input_schema": {"type": "object", "properties": {}}}])
            .into(),
        max_tokens: 1000,
        thinking: None,
    }
}

async fn ask(rules: &str) -> (Result<ModelMessage, ModelError>, Vec<ModelEvent>, usize) {
    let server = server(rules).await;
    let model = Anthropic::new(options(&server.url())).unwrap();
    let events = Mutex::new(Vec::new());
    let on_event = |event| events.lock().unwrap().push(event);
    let answer = model.complete(&request(), &on_event, &CancellationToken::new()).await;
    let asked = server.requests().len();
    server.shutdown().await;
    (answer, events.into_inner().unwrap(), asked)
}

fn retries(events: &[ModelEvent]) -> Vec<&'static str> {
    events
        .iter()
        .filter_map(|event| if let ModelEvent::Retry { category, .. } = event { Some(*category) } else { None })
        .collect()
}

#[tokio::test]
async fn a_message_is_put_together() {
    let (answer, events, _) = ask(
        "rules: [{name: a, answer: {thinking: Let me see., text: Hi there., tools: [{name: shell, input: {command: ls, list: [1, 2.5, null]}}]}}]",
    )
    .await;
    let message = answer.unwrap();
    let content = message.message["content"].as_array().unwrap();
    let kinds: Vec<&str> = content.iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"]);
    assert!(!content[0]["signature"].as_str().unwrap().is_empty());
    assert_eq!(content[1]["text"], "Hi there.");
    assert_eq!(content[2]["input"], json!({"command": "ls", "list": [1, 2.5, null]}));
    assert_eq!(message.stop_reason, StopReason::ToolUse);
    assert!(message.request_id.is_some() && message.id.is_some());
    assert!(message.usage.total() > 0 && message.ignored == 0);
    assert_eq!(events[0], ModelEvent::Started);
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let cases = [
        ("{error: {status: 429, retry_after: 0.05, times: 2}, text: ok}", "ModelRateLimited", 3),
        ("{error: {status: 500, times: 1}, text: ok}", "ModelServerError", 2),
        ("{error: {status: 503, times: 1}, text: ok}", "ModelServerError", 2),
        ("{error: {status: 529, times: 3}, text: ok}", "ModelOverloaded", 4),
        ("{error: {status: 529, times: 1, after_events: 2}, text: ok}", "ModelOverloaded", 2),
        ("{cut_after_events: 3, times: 2, text: ok}", "ModelStreamBroken", 3),
    ];
    for (answer, category, asked) in cases {
        let begun = std::time::Instant::now();
        let (message, events, requests) = ask(&format!("rules: [{{name: a, answer: {answer}}}]")).await;
        assert_eq!(message.unwrap().message["content"][0]["text"], "ok", "{answer}");
        assert_eq!(retries(&events), vec![category; asked - 1], "{answer}");
        assert_eq!(requests, asked, "{answer}");
        if answer.contains("retry_after") {
            assert!(begun.elapsed() >= Duration::from_millis(100));
        }
    }
}

#[tokio::test]
async fn what_does_not_pass_is_named_at_once() {
    let cases = [
        (400, ErrorKind::InvalidRequest),
        (401, ErrorKind::Authentication),
        (403, ErrorKind::Permission),
        (404, ErrorKind::NotFound),
        (413, ErrorKind::TooLarge),
    ];
    for (status, kind) in cases {
        let (answer, events, asked) =
            ask(&format!("rules: [{{name: a, answer: {{error: {{status: {status}, message: bad key {KEY} here}}}}}}]"))
                .await;
        let error = answer.unwrap_err();
        assert_eq!((error.kind, asked, retries(&events).len()), (kind, 1, 0), "{status}");
        assert!(error.request_id.is_some(), "{status}");
        assert!(!format!("{error} {error:?}").contains(KEY), "{error}");
    }
}

#[tokio::test]
async fn it_gives_up_after_its_attempts() {
    let (answer, events, asked) = ask("rules: [{name: a, answer: {error: {status: 500}}}]").await;
    let error = answer.unwrap_err();
    assert_eq!((error.kind, error.attempts, asked, retries(&events).len()), (ErrorKind::Server, 8, 8, 7));
    assert!(error.to_string().contains("after 8 attempts"), "{error}");
    let (answer, _, asked) = ask("rules: [{name: a, answer: {error: {status: 429, retry_after: 3600}}}]").await;
    assert_eq!((answer.unwrap_err().kind, asked), (ErrorKind::RateLimited, 1));
}

#[tokio::test]
async fn invalid_json_of_a_tool_is_kept_as_text() {
    let (answer, _, _) =
        ask("rules: [{name: a, answer: {tools: [{name: shell, input: {command: ls}}], invalid_tool_json: true}}]")
            .await;
    let block = answer.unwrap().message["content"][0].clone();
    let text = block["input"][INVALID_JSON].as_str().unwrap();
    assert!(text.contains("command") && serde_json::from_str::<Value>(text).is_err(), "{block}");
}

#[tokio::test]
async fn each_stop_reason_comes_through() {
    for word in ["end_turn", "max_tokens", "stop_sequence", "pause_turn", "refusal", "model_context_window_exceeded"] {
        let (answer, _, _) = ask(&format!("rules: [{{name: a, answer: {{text: hm, stop_reason: {word}}}}}]")).await;
        assert_eq!(answer.unwrap().stop_reason.as_str(), Some(word));
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once() {
    let server = server("rules: [{name: a, answer: {text: late, delay_ms: 20000}}]").await;
    let model = Anthropic::new(options(&server.url())).unwrap();
    let cancel = CancellationToken::new();
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        later.cancel();
    });
    let begun = std::time::Instant::now();
    let error = model.complete(&request(), &|_| {}, &cancel).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn silence_ends_at_its_limit() {
    let server = server("rules: [{name: a, answer: {text: late, delay_ms: 20000}}]").await;
    let mut options = options(&server.url());
    options.timeouts.first_byte = Duration::from_millis(100);
    options.timeouts.idle = Duration::from_millis(100);
    options.retry.attempts = 2;
    let error =
        Anthropic::new(options).unwrap().complete(&request(), &|_| {}, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Network | ErrorKind::Stream), "{error}");
    assert_eq!(error.attempts, 2);
}

#[tokio::test]
async fn nobody_listens() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut options = options(&url);
    options.retry.attempts = 2;
    let error =
        Anthropic::new(options).unwrap().complete(&request(), &|_| {}, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Network);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn the_key_shows_nowhere() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let model = Anthropic::new(options("http://127.0.0.1:1")).unwrap();
    assert!(!format!("{model:?} {:?}", options("http://127.0.0.1:1")).contains(KEY));
    let broken = AnthropicOptions::new("http://127.0.0.1:1", Some(format!("{KEY}\nx").into()));
    let error = Anthropic::new(broken).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(KEY) && error.to_string().contains("ANTHROPIC_API_KEY"), "{error}");
    for url in ["", "localhost:80", "ftp://x", "file:///etc/passwd"] {
        let error = Anthropic::new(options(url)).unwrap_err();
        assert!(error.to_string().contains("ANTHROPIC_BASE_URL"), "{error}");
    }
}
