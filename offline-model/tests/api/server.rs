//! Headers, limits, models and the other endpoints.

use offline_model::{Options, ScriptSet};
use serde_json::{Value, json};

use crate::support::{Answer, offline, offline_with, request, send};

const SCRIPT: &str = "rules: [{name: any, answer: {text: ok}}]";

fn hello() -> Value {
    request(json!([{"role": "user", "content": "hello"}]))
}

fn error_of(answer: &Answer) -> (u16, String) {
    assert!(answer.headers.contains_key("request-id"));
    let kind = answer.json()["error"]["type"].as_str().unwrap().to_owned();
    (answer.status, kind)
}

#[tokio::test]
async fn headers_are_asked_for() {
    let offline = offline(SCRIPT).await;
    let post = || offline.bare("POST", "/v1/messages").body(hello().to_string());
    let unauthorized = (401, "authentication_error".to_owned());
    let invalid = (400, "invalid_request_error".to_owned());
    let version = "anthropic-version";
    assert_eq!(error_of(&send(post().header(version, "2023-06-01")).await), unauthorized);
    let keyed = |key: &'static str| post().header("x-api-key", key);
    assert_eq!(error_of(&send(keyed("").header(version, "2023-06-01")).await), unauthorized);
    let bearer = |token: &'static str| post().header("authorization", token).header(version, "2026-10-21");
    assert_eq!(error_of(&send(bearer("Bearer ")).await), unauthorized);
    assert_eq!(send(bearer("Bearer any")).await.status, 200);
    assert_eq!(error_of(&send(keyed("any")).await), invalid);
    assert_eq!(error_of(&send(keyed("any").header(version, "2020-01-01")).await), invalid);
    assert_eq!(send(keyed("any").header(version, "2023-06-01")).await.status, 200);
}

#[tokio::test]
async fn broken_and_huge_bodies() {
    let offline = offline(SCRIPT).await;
    let post = |body: String| send(offline.request("POST", "/v1/messages").body(body));
    let broken = post("{\"model\": ".to_owned()).await;
    assert_eq!(error_of(&broken), (400, "invalid_request_error".to_owned()));
    assert!(broken.message().contains("not valid JSON"));
    let huge = post(" ".repeat(33 * 1024 * 1024)).await;
    assert_eq!(error_of(&huge), (413, "request_too_large".to_owned()));
}

#[tokio::test]
async fn models_are_honest() {
    let offline = offline(SCRIPT).await;
    let named = async |model: &str| {
        let mut body = hello();
        body["model"] = json!(model);
        offline.post(&body).await
    };
    let answer = named("offline-test").await;
    assert_eq!(answer.json()["model"], "offline-test");
    let unknown = named("offline-redis").await;
    assert_eq!(error_of(&unknown), (404, "not_found_error".to_owned()));
    assert!(unknown.message().contains("offline-summary, offline-auto, offline-test"), "{}", unknown.text);
    let real = named("claude-opus-5").await;
    assert_eq!(error_of(&real), (404, "not_found_error".to_owned()));
    assert!(real.message().contains("This is the offline model"), "{}", real.text);
}

#[tokio::test]
async fn the_summary_is_one_line() {
    let offline = offline(SCRIPT).await;
    let mut body = hello();
    body["model"] = json!("offline-summary");
    body["messages"][0]["content"] = json!(format!("\n  {}\nrest", "redis ".repeat(50)));
    let answer = offline.post(&body).await.json();
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("redis redis") && text.ends_with('…'));
    assert!(text.chars().count() <= 100 && !text.contains('\n'));
}

#[tokio::test]
async fn other_endpoints() {
    let offline = offline(SCRIPT).await;
    let get = |path: &'static str| send(offline.request("GET", path));
    assert_eq!(send(offline.bare("GET", "/healthz")).await.text, "ok\n");
    let models = get("/v1/models").await.json();
    assert_eq!(models["data"][2]["id"], "offline-test");
    assert_eq!(get("/v1/models/offline-test").await.json()["type"], "model");
    assert_eq!(get("/v1/models/offline-other").await.status, 404);
    assert_eq!(send(offline.bare("GET", "/v1/models")).await.status, 401);
    assert_eq!(error_of(&get("/v1/complete").await), (404, "not_found_error".to_owned()));
    assert_eq!(get("/v1/messages").await.status, 405);

    let mut body = hello();
    body.as_object_mut().unwrap().remove("max_tokens");
    let count = send(offline.request("POST", "/v1/messages/count_tokens").body(body.to_string())).await;
    assert!(count.json()["input_tokens"].as_u64().unwrap() > 10);
    body["max_tokens"] = json!(9);
    let extra = send(offline.request("POST", "/v1/messages/count_tokens").body(body.to_string())).await;
    assert!(extra.message().contains("max_tokens: Extra inputs are not permitted"));
}

#[tokio::test]
async fn the_cache_pays() {
    let offline = offline(SCRIPT).await;
    let mark = json!({"type": "ephemeral"});
    let mut body = hello();
    body["system"] = json!([{"type": "text", "text": "s".repeat(8000), "cache_control": mark}]);
    let usage = async |body: &Value| offline.post(body).await.json()["usage"].clone();
    let first = usage(&body).await;
    let written = first["cache_creation_input_tokens"].as_u64().unwrap();
    assert!(written >= 2000 && first["cache_read_input_tokens"] == 0);
    assert_eq!(first["cache_creation"]["ephemeral_5m_input_tokens"], written);

    // The next turn: the mark in the messages moves, the prefix stays.
    body["messages"] = json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": [{"type": "text", "text": "n".repeat(400), "cache_control": mark}]},
    ]);
    let second = usage(&body).await;
    assert_eq!(second["cache_read_input_tokens"], written);
    assert_eq!(second["input_tokens"], 0, "the mark is at the end");
    assert_eq!(usage(&body).await["cache_creation_input_tokens"], 0);
    body["system"][0]["text"] = json!("t".repeat(8000));
    assert_eq!(usage(&body).await["cache_read_input_tokens"], 0, "a changed front is read by nobody");
}

#[tokio::test]
async fn requests_are_recorded_and_bounded() {
    let scripts = ScriptSet::new().with("test", SCRIPT).unwrap();
    let options = Options { recorded_requests: 2, ..Options::default() };
    let offline = offline_with(scripts, options).await;
    for text in ["one", " ", "three"] {
        offline.say(text).await;
    }
    let requests = offline.handle.requests();
    let seen: Vec<(u16, Option<&str>)> =
        requests.iter().map(|request| (request.status, request.rule.as_deref())).collect();
    assert_eq!(seen, [(400, None), (200, Some("any"))]);
    assert_eq!(requests[1].body["messages"][0]["content"], "three");
    offline.handle.forget_requests();
    assert!(offline.handle.requests().is_empty());
    offline.handle.shutdown().await;
}
