//! A client, and an agent that plays a conversation.

use std::sync::Once;

use offline_model::{Handle, Options, ScriptSet, Server};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The sentence of an error.
    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }

    /// The events of a stream.
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        events(&self.text)
    }
}

/// Reads frames strictly: an event line, a data line, an empty line.
pub(crate) fn events(text: &str) -> Vec<(String, Value)> {
    text.split_terminator("\n\n")
        .map(|frame| {
            let (event, data) = frame.split_once('\n').unwrap();
            let name = event.strip_prefix("event: ").unwrap().to_owned();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(data["type"], *name, "the event's name is its data's type");
            (name, data)
        })
        .collect()
}

/// A server with its client.
pub(crate) struct Offline {
    pub(crate) handle: Handle,
    http: reqwest::Client,
}

/// Starts a server that plays one script, `offline-test`.
pub(crate) async fn offline(yaml: &str) -> Offline {
    let scripts = ScriptSet::new().with("test", yaml).unwrap_or_else(|e| panic!("{e}"));
    offline_with(scripts, Options::default()).await
}

pub(crate) async fn offline_with(scripts: ScriptSet, options: Options) -> Offline {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Without it reqwest panics, for plain http too.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Offline {
        handle: Server::start(scripts, options).await.unwrap(),
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
    }
}

impl Offline {
    /// A request with the headers that every client sends.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).header("x-api-key", "any").header("anthropic-version", "2026-10-21")
    }

    /// A request without any header of the API.
    pub(crate) fn bare(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.http.request(method, format!("{}{path}", self.handle.url()))
    }

    pub(crate) async fn post(&self, body: &Value) -> Answer {
        send(self.request("POST", "/v1/messages").body(body.to_string())).await
    }

    /// Says one thing to `offline-test`.
    pub(crate) async fn say(&self, text: &str) -> Answer {
        self.post(&request(json!([{"role": "user", "content": text}]))).await
    }

    /// Says one thing and reads the stream.
    pub(crate) async fn stream(&self, text: &str) -> Answer {
        let mut body = request(json!([{"role": "user", "content": text}]));
        body["stream"] = json!(true);
        self.post(&body).await
    }
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// A good request with these messages.
pub(crate) fn request(messages: Value) -> Value {
    json!({
        "model": "offline-test",
        "max_tokens": 4096,
        "system": "You are in a test.",
        "tools": [
            {"name": "shell", "description": "Runs a command.", "input_schema": {"type": "object"}},
            {"name": "conclude", "input_schema": {"type": "object"}},
        ],
        "messages": messages,
    })
}

/// A conversation with a script, as an agent leads it.
pub(crate) struct Agent<'a> {
    offline: &'a Offline,
    pub(crate) messages: Vec<Value>,
    entry: u32,
    /// Which rule gave each answer.
    pub(crate) rules: Vec<String>,
}

/// A call that the script made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) input: Value,
}

impl<'a> Agent<'a> {
    pub(crate) fn new(offline: &'a Offline, incident: &str) -> Self {
        Self { offline, messages: vec![json!({"role": "user", "content": incident})], entry: 0, rules: Vec::new() }
    }

    /// One turn of the model; its message goes into the conversation verbatim.
    pub(crate) async fn turn(&mut self) -> Vec<Call> {
        let body = request(Value::Array(self.messages.clone()));
        let answer = self.offline.post(&body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let rule = answer.headers.get("x-offline-rule");
        self.rules.push(rule.map_or("", |rule| rule.to_str().unwrap()).to_owned());
        let content = answer.json()["content"].clone();
        self.messages.push(json!({"role": "assistant", "content": content}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        content
            .as_array()
            .unwrap()
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .map(|block| Call { id: text(&block["id"]), name: text(&block["name"]), input: block["input"].clone() })
            .collect()
    }

    /// Answers calls the way the controller does; each call and each result is an entry.
    pub(crate) fn answer(&mut self, calls: &[Call], outputs: &[&str]) {
        assert_eq!(calls.len(), outputs.len(), "{calls:#?}");
        let results: Vec<Value> = calls
            .iter()
            .zip(outputs)
            .map(|(call, output)| {
                self.entry += 2;
                let text = format!("[entry {}] exit code 0 in 0.01 s\nstdout (9 bytes):\n{output}", self.entry);
                json!({"type": "tool_result", "tool_use_id": call.id, "content": text})
            })
            .collect();
        self.messages.push(json!({"role": "user", "content": results}));
    }
}
