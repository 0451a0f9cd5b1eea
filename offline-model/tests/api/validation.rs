//! Each thing that the real API refuses with 400 is refused here, and in its words.

use serde_json::{Value, json};

use crate::support::{Offline, offline, request, send};

const SCRIPT: &str = "
rules:
  - name: think
    when: {user: think}
    answer: {thinking: hm, text: ok}
  - name: any
    answer: {text: ok}
";

fn user(content: Value) -> Value {
    request(json!([{"role": "user", "content": content}]))
}

/// A good request in which one thing is put wrong.
fn with(key: &str, value: Value) -> Value {
    let mut body = user(json!("hello"));
    body[key] = value;
    body
}

fn without(key: &str) -> Value {
    let mut body = user(json!("hello"));
    body.as_object_mut().unwrap().remove(key);
    body
}

fn tool_use(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "shell", "input": {}})
}

fn tool_result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "done"})
}

/// user, assistant with these blocks, user with these.
fn exchange(assistant: Value, answer: Value) -> Value {
    request(json!([
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": assistant},
        {"role": "user", "content": answer},
    ]))
}

async fn refused(offline: &Offline, body: &Value) -> String {
    let answer = offline.post(body).await;
    assert_eq!(answer.status, 400, "{body}\n{}", answer.text);
    let said = answer.json();
    assert_eq!(said["type"], "error");
    assert_eq!(said["error"]["type"], "invalid_request_error");
    assert_eq!(said["request_id"], answer.headers["request-id"].to_str().unwrap());
    answer.message()
}

async fn all_refused(cases: Vec<(Value, &str)>) {
    let offline = offline(SCRIPT).await;
    for (body, expected) in cases {
        let message = refused(&offline, &body).await;
        assert!(message.contains(expected), "{body}\nsaid: {message}\nnot:  {expected}");
    }
}

#[tokio::test]
async fn fields() {
    all_refused(vec![
        (without("model"), "model: Field required"),
        (with("model", json!(3)), "model: Input should be a valid string"),
        (with("model", json!("")), "model: String should have at least 1 character"),
        (without("max_tokens"), "max_tokens: Field required"),
        (with("max_tokens", json!(0)), "max_tokens: Input should be greater than or equal to 1"),
        (with("max_tokens", json!(-1)), "max_tokens: Input should be greater than or equal to 1"),
        (with("max_tokens", json!(1.5)), "max_tokens: Input should be a valid integer"),
        (with("max_tokens", json!("9")), "max_tokens: Input should be a valid integer"),
        (with("stream", json!("yes")), "stream: Input should be a valid boolean"),
        (with("max_token", json!(9)), "max_token: Extra inputs are not permitted"),
        (with("temperature", json!(0.5)), "temperature: Extra inputs are not permitted"),
        (with("system", json!([{"type": "text", "text": ""}])), "system: text content blocks must be non-empty"),
        (
            with("system", json!([{"type": "text", "text": " "}])),
            "system: text content blocks must contain non-whitespace text",
        ),
        (with("system", json!([{"type": "image"}])), "system.0.type: Input should be 'text'"),
        (with("metadata", json!({"session": "x"})), "metadata.session: Extra inputs are not permitted"),
        (with("stop_sequences", json!([" "])), "stop_sequences: each stop sequence must contain non-whitespace"),
        (
            with("thinking", json!({"type": "enabled", "budget_tokens": 1000})),
            "thinking.budget_tokens: Input should be greater than or equal to 1024",
        ),
        (
            with("thinking", json!({"type": "enabled", "budget_tokens": 4096})),
            "`max_tokens` must be greater than `thinking.budget_tokens`",
        ),
        (with("thinking", json!({"type": "yes"})), "thinking.type: Input should be 'enabled' or"),
        (with("output_config", json!({"effort": "huge"})), "output_config.effort: Input should be 'low' or"),
        (json!([1]), "Input should be an object"),
    ])
    .await;
}

#[tokio::test]
async fn tools() {
    let tool = |tool: Value| with("tools", json!([tool]));
    let schema = json!({"type": "object"});
    let pattern = "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'";
    all_refused(vec![
        (tool(json!({"name": "a b", "input_schema": schema})), pattern),
        (tool(json!({"name": "", "input_schema": schema})), pattern),
        (tool(json!({"name": "x".repeat(129), "input_schema": schema})), pattern),
        (tool(json!({"name": "a"})), "tools.0.custom.input_schema: Field required"),
        (tool(json!({"name": "a", "input_schema": []})), "tools.0.custom.input_schema: Input should be an object"),
        (tool(json!({"name": "a", "input_schema": {}})), "tools.0.custom.input_schema.type: Field required"),
        (tool(json!({"name": "a", "input_schema": {"type": "string"}})), "tools.0.custom.input_schema.type: Input should be 'object'"),
        (tool(json!({"name": "a", "input_schema": schema, "inputs": 1})), "tools.0.custom.inputs: Extra inputs are not permitted"),
        (with("tools", json!([{"name": "a", "input_schema": schema}, {"name": "a", "input_schema": schema}])), "tools: Tool names must be unique."),
        (with("tool_choice", json!({"type": "tool", "name": "nothing"})), "Tool 'nothing' not found in provided tools"),
        (with("tool_choice", json!({"type": "some"})), "tool_choice.type: Input should be 'auto' or"),
        (
            json!({"model": "offline-test", "max_tokens": 9, "tool_choice": {"type": "any"}, "messages": [{"role": "user", "content": "hello"}]}),
            "tool_choice may only be specified while providing tools",
        ),
    ])
    .await;
}

#[tokio::test]
async fn messages() {
    let messages = |list: Value| request(list);
    all_refused(vec![
        (messages(json!([])), "messages: at least one message is required"),
        (messages(json!([{"role": "assistant", "content": "hi"}])), "first message must use the \"user\" role"),
        (
            messages(json!([{"role": "system", "content": "hi"}])),
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        (messages(json!([{"role": "user"}])), "messages.0.content: Field required"),
        (
            messages(json!([{"role": "user", "content": "a", "name": "b"}])),
            "messages.0.name: Extra inputs are not permitted",
        ),
        (user(json!("")), "messages.0: all messages must have non-empty content"),
        (user(json!([])), "messages.0: all messages must have non-empty content"),
        (user(json!(" \n")), "text content blocks must contain non-whitespace text"),
        (user(json!([{"type": "text", "text": ""}])), "text content blocks must be non-empty"),
        (user(json!([{"type": "text", "text": "\t"}])), "text content blocks must contain non-whitespace text"),
        (user(json!([{"type": "text"}])), "messages.0.content.0.text.text: Field required"),
        (user(json!([{"text": "a"}])), "messages.0.content.0.type: Field required"),
        (
            user(json!([{"type": "texts", "text": "a"}])),
            "Input tag 'texts' found using 'type' does not match any of the expected tags",
        ),
        (
            user(json!([{"type": "text", "text": "a", "citations": [{}]}])),
            "citations are not permitted in `user` messages",
        ),
        (user(json!([tool_use("a")])), "`tool_use` blocks can only be in `assistant` messages"),
        (
            messages(json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b "}])),
            "final assistant content cannot end with trailing whitespace",
        ),
        (exchange(json!([tool_result("a")]), json!("x")), "`tool_result` blocks can only be in `user` messages"),
        (exchange(json!([]), json!("x")), "messages.1: all messages must have non-empty content"),
    ])
    .await;
}

#[tokio::test]
async fn calls_and_results() {
    let orphan = "`tool_use` ids were found without `tool_result` blocks immediately after: ";
    let no_tools = {
        let mut body = exchange(json!([tool_use("a")]), json!([tool_result("a")]));
        body.as_object_mut().unwrap().remove("tools");
        body
    };
    let text = json!({"type": "text", "text": "and"});
    all_refused(vec![
        (exchange(json!([tool_use("a")]), json!("no result")), orphan),
        (exchange(json!([tool_use("a"), tool_use("b")]), json!([tool_result("a")])), "immediately after: b."),
        // A result has to come first: behind a text it does not count.
        (exchange(json!([tool_use("a")]), json!([text, tool_result("a")])), orphan),
        (
            exchange(json!([tool_use("a"), tool_use("b")]), json!([tool_result("a"), text, tool_result("b")])),
            "immediately after: b.",
        ),
        (request(json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": [tool_use("a")]}])), orphan),
        (user(json!([tool_result("a")])), "messages.0: unexpected `tool_use_id` found in `tool_result` blocks: a."),
        (exchange(json!("no call"), json!([tool_result("a")])), "messages.2: unexpected `tool_use_id`"),
        (
            exchange(json!([tool_use("a")]), json!([tool_result("a"), tool_result("b")])),
            "unexpected `tool_use_id` found in `tool_result` blocks: b.",
        ),
        (exchange(json!([tool_use("a"), tool_use("a")]), json!([tool_result("a")])), "`tool_use` ids must be unique"),
        (
            exchange(json!([tool_use("a")]), json!([tool_result("a"), tool_result("a")])),
            "each tool_use must have a single result",
        ),
        (
            exchange(json!([tool_use("a b")]), json!("x")),
            "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
        ),
        (
            exchange(json!([{"type": "tool_use", "id": "a", "name": "shell", "input": "ls"}]), json!("x")),
            "messages.1.content.0.tool_use.input: Input should be an object",
        ),
        (
            exchange(json!([{"type": "tool_use", "id": "a", "name": "sh ell", "input": {}}]), json!("x")),
            "tool_use.name: String should match pattern",
        ),
        (
            exchange(
                json!([tool_use("a")]),
                json!([{"type": "tool_result", "tool_use_id": "a", "content": "", "is_error": true}]),
            ),
            "content cannot be empty if `is_error` is true",
        ),
        (
            exchange(
                json!([tool_use("a")]),
                json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": ""}]}]),
            ),
            "text content blocks must be non-empty",
        ),
        (no_tools, "must define tools"),
    ])
    .await;
}

#[tokio::test]
async fn thinking_blocks() {
    let block = |fields: Value| exchange(json!([fields, {"type": "text", "text": "b"}]), json!("x"));
    all_refused(vec![
        (
            block(json!({"type": "thinking", "thinking": "a"})),
            "messages.1.content.0.thinking.signature: Field required",
        ),
        (
            block(json!({"type": "thinking", "thinking": "a", "signature": "forged"})),
            "Invalid `signature` in `thinking` block",
        ),
        (block(json!({"type": "redacted_thinking"})), "messages.1.content.0.redacted_thinking.data: Field required"),
    ])
    .await;

    let offline = offline(SCRIPT).await;
    let mut content = offline.say("think").await.json()["content"].clone();
    let again = offline.post(&exchange(content.clone(), json!("x"))).await;
    assert_eq!(again.status, 200, "a thinking block comes back as it was sent");
    content[0]["thinking"] = json!("hm!");
    let changed = refused(&offline, &exchange(content, json!("x"))).await;
    assert!(changed.contains("Invalid `signature`"), "{changed}");
}

#[tokio::test]
async fn cache_marks() {
    let mark = json!({"type": "ephemeral"});
    let marked = |mark: &Value| json!({"type": "text", "text": "a", "cache_control": mark});
    let five = json!([marked(&mark), marked(&mark), marked(&mark), marked(&mark), marked(&mark)]);
    let four = json!([marked(&mark), marked(&mark), marked(&mark), marked(&mark)]);
    // The limit is over tools, system and messages together, and the request's own mark counts.
    let mut spread = user(json!([marked(&mark), marked(&mark)]));
    spread["system"] = json!([marked(&mark)]);
    spread["tools"][0]["cache_control"] = mark.clone();
    let good = offline(SCRIPT).await.post(&spread).await;
    assert_eq!(good.status, 200, "{}", good.text);
    spread["cache_control"] = mark.clone();
    let long_last = json!([marked(&mark), marked(&json!({"type": "ephemeral", "ttl": "1h"}))]);
    all_refused(vec![
        (user(five), "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        (spread, "Found 5."),
        (with("cache_control", json!({"type": "forever"})), "cache_control.type: Input should be 'ephemeral'"),
        (
            user(json!([marked(&json!({"type": "ephemeral", "ttl": "2h"}))])),
            "messages.0.content.0.text.cache_control.ttl: Input should be '5m' or '1h'",
        ),
        (user(long_last), "must not come after"),
    ])
    .await;
    let answer = offline(SCRIPT).await.post(&user(four)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn good_requests_pass() {
    let offline = offline(SCRIPT).await;
    let good = [
        // Consecutive messages of one role are one turn, in which the results still come first.
        request(json!([
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": [{"type": "text", "text": "c "}]},
            {"role": "assistant", "content": [tool_use("x")]},
            {"role": "user", "content": [tool_result("x")]},
            {"role": "user", "content": [{"type": "text", "text": "a note"}]},
        ])),
        exchange(json!([tool_use("a")]), json!([{"type": "tool_result", "tool_use_id": "a"}])),
        exchange(
            json!([{"type": "text", "text": "t", "citations": null}, {"type": "tool_use", "id": "a", "name": "shell", "input": {}, "caller": {"type": "direct"}}]),
            json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "no"}], "is_error": true}]),
        ),
        request(json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])),
        with("thinking", json!({"type": "adaptive", "display": "omitted"})),
        with("tool_choice", json!({"type": "auto", "disable_parallel_tool_use": true})),
        with("metadata", json!({"user_id": "u"})),
        with("system", json!("")),
    ];
    for body in good {
        let answer = offline.post(&body).await;
        assert_eq!(answer.status, 200, "{body}\n{}", answer.text);
    }
    let sampling = with("temperature", json!(0.5)).to_string();
    let old = offline.bare("POST", "/v1/messages").header("x-api-key", "any").header("anthropic-version", "2023-06-01");
    assert_eq!(send(old.body(sampling)).await.status, 200);
}
